#include "registry/store/file_store.h"

#include <sys/stat.h>

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "registry/manifest.h"
#include "registry/store/reread.h"
#include "registry/store/store_file.h"

namespace sluice {

bool FileStore::OwnsTagsOf(absl::string_view host) const {
  return options_.owns_all ||
         std::find(options_.owned_hosts.begin(), options_.owned_hosts.end(), host) != options_.owned_hosts.end();
}

absl::StatusOr<Descriptor> FileStore::Resolve(const Reference& reference) const {
  if (!reference.digest.has_value()) return ResolveTag(reference);
  return Describe(*reference.digest, {{reference.host, reference.repository}});
}

absl::StatusOr<std::string> FileStore::ReadDocument(const Digest& digest, int64_t max_bytes,
                                                    absl::Span<const Endpoint> origins) const {
  return ReadFirst(digest, origins, [&](const std::string& place) {
    return Reread([&]() -> absl::StatusOr<std::string> {
      const std::string file_name = absl::StrCat(path(), "/", place);
      ASSIGN_OR_RETURN(StoreFile file, OpenStoreFile(path(), place));
      ASSIGN_OR_RETURN(std::string content, ReadStoreFile(std::move(file), max_bytes, file_name));
      if (const Digest actual = Digest::Of(content); actual != digest) {
        return absl::DataLossError(
            absl::StrCat(file_name, ": its content has digest ", actual.ToString(), " instead of ", digest.ToString()));
      }
      return content;
    });
  });
}

std::string FileStore::BlobPath(const Digest& digest, absl::Span<const Endpoint> origins) const {
  std::string present, first;
  if (!MayServe(digest, origins).ok()) return "";
  ForEachPlace(digest, origins, [&](const std::string& place) {
    const std::string file_name = absl::StrCat(path(), "/", place);
    if (first.empty()) first = file_name;
    struct stat file = {};
    if (lstat(file_name.c_str(), &file) == 0 && S_ISREG(file.st_mode) && file.st_size > 0) present = file_name;
    return !present.empty();
  });
  return present.empty() ? first : present;
}

absl::StatusOr<std::unique_ptr<ByteReader>> FileStore::OpenBlob(const Digest& digest, std::optional<int64_t> size,
                                                                absl::Span<const Endpoint> origins) const {
  using Opened = absl::StatusOr<std::unique_ptr<ByteReader>>;
  return ReadFirst(digest, origins, [&](const std::string& place) -> Opened {
    std::string file_name = absl::StrCat(path(), "/", place);
    ASSIGN_OR_RETURN(StoreFile file, OpenStoreFile(path(), place));
    // zot on S3 leaves such placeholders for what it has elsewhere.
    if (file.size == 0 && digest != Digest::Of("")) return absl::NotFoundError(absl::StrCat(file_name, ": empty"));
    if (size.has_value() && file.size != *size) {
      return absl::DataLossError(absl::StrCat(file_name, ": ", file.size, " bytes instead of ", *size));
    }
    return StreamStoreFile(std::move(file), std::move(file_name));
  });
}

absl::StatusOr<Descriptor> FileStore::Describe(const Digest& digest, absl::Span<const Endpoint> origins) const {
  ASSIGN_OR_RETURN(const std::string content, ReadDocument(digest, kMaxManifestBytes, origins));
  absl::StatusOr<std::variant<Manifest, Index>> parsed = ParseManifestOrIndex(content);
  if (!parsed.ok()) return Annotate(parsed.status(), BlobPath(digest, origins));
  Descriptor descriptor;
  descriptor.media_type = std::visit([](const auto& document) { return document.media_type; }, *parsed);
  descriptor.digest = digest;
  descriptor.size = static_cast<int64_t>(content.size());
  return descriptor;
}

bool FileStore::IsHere(const Endpoint& origin) const {
  return IsRepository(origin.repository) && (!options_.require_link || OwnsTagsOf(origin.host));
}

template <typename Read>
auto FileStore::ReadFirst(const Digest& digest, absl::Span<const Endpoint> origins, const Read& read) const
    -> decltype(read(std::string())) {
  RETURN_IF_ERROR(MayServe(digest, origins));
  decltype(read(std::string())) answer =
      absl::NotFoundError(absl::StrCat(path(), ": no repository has ", digest.ToString()));
  bool tried = false;
  ForEachPlace(digest, origins, [&](const std::string& place) {
    auto next = read(place);
    // A damaged file says more than an absent one, and the likeliest place more than another.
    const bool says_more = !tried || (absl::IsNotFound(answer.status()) && !absl::IsNotFound(next.status()));
    if (next.ok() || says_more) answer = std::move(next);
    tried = true;
    return answer.ok();
  });
  return answer;
}

}  // namespace sluice
