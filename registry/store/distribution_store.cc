// The distribution store: the file system storage of the CNCF registry (registry/storage/paths.go of distribution).
//
// Below <path>/docker/registry/v2, the content of all repositories is blobs/sha256/<2 hex>/<hex>/data. What belongs to
// a repository is said by files named link that hold a digest: repositories/<name>/_manifests/tags/<tag>/current/link,
// _manifests/revisions/sha256/<hex>/link and _layers/sha256/<hex>/link. Names nest, and no component of a name begins
// with '_'. Old versions write a link in place: it can be seen empty, and stays so after a crash.
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "registry/store/file_store.h"
#include "registry/store/reread.h"
#include "registry/store/store.h"
#include "registry/store/store_file.h"

namespace sluice {
namespace {

constexpr char kTree[] = "docker/registry/v2";
constexpr int64_t kMaxLinkBytes = 1024;

std::string RepositoryPlace(const std::string& repository) { return absl::StrCat(kTree, "/repositories/", repository); }
std::string RevisionLink(const std::string& repository, const Digest& digest) {
  return absl::StrCat(RepositoryPlace(repository), "/_manifests/revisions/sha256/", digest.Hex(), "/link");
}
std::string LayerLink(const std::string& repository, const Digest& digest) {
  return absl::StrCat(RepositoryPlace(repository), "/_layers/sha256/", digest.Hex(), "/link");
}

class DistributionStore : public FileStore {
 public:
  using FileStore::FileStore;

  absl::string_view kind() const override { return "distribution"; }

 protected:
  void ForEachPlace(const Digest& digest, absl::Span<const Endpoint>, Visit visit) const override {
    const std::string hex = digest.Hex();
    visit(absl::StrCat(kTree, "/blobs/sha256/", hex.substr(0, 2), "/", hex, "/data"));
  }

  absl::Status MayServe(const Digest& digest, absl::Span<const Endpoint> origins) const override {
    if (!options().require_link) return absl::OkStatus();
    for (const Endpoint& origin : origins) {
      if (!IsHere(origin)) continue;
      if (CheckLink(LayerLink(origin.repository, digest), digest).ok()) return absl::OkStatus();
      if (CheckLink(RevisionLink(origin.repository, digest), digest).ok()) return absl::OkStatus();
    }
    return absl::NotFoundError(
        absl::StrCat(path(), ": no repository of the image has a link to ", digest.ToString(), " (require_link)"));
  }

  absl::StatusOr<Descriptor> ResolveTag(const Reference& reference) const override {
    if (!IsRepository(reference.repository) || !IsTag(reference.tag)) {
      return absl::NotFoundError(
          absl::StrCat(path(), ": nothing can have the name \"", absl::CHexEscape(reference.ToString()), "\""));
    }
    ASSIGN_OR_RETURN(const Digest digest, ReadLink(absl::StrCat(RepositoryPlace(reference.repository),
                                                                "/_manifests/tags/", reference.tag, "/current/link")));
    // As the registry has it: a tag whose revision was deleted names nothing, although its bytes are there until the
    // next garbage collection.
    RETURN_IF_ERROR(CheckLink(RevisionLink(reference.repository, digest), digest));
    return Describe(digest, {{reference.host, reference.repository}});
  }

 private:
  // Errors name the file; InvalidArgument: it holds no digest.
  absl::StatusOr<Digest> ReadLink(const std::string& place) const {
    const std::string file_name = absl::StrCat(path(), "/", place);
    return Reread([&]() -> absl::StatusOr<Digest> {
      ASSIGN_OR_RETURN(StoreFile file, OpenStoreFile(path(), place));
      ASSIGN_OR_RETURN(const std::string content, ReadStoreFile(std::move(file), kMaxLinkBytes, file_name));
      absl::StatusOr<Digest> parsed = Digest::Parse(absl::StripAsciiWhitespace(content));
      if (!parsed.ok()) return Annotate(parsed.status(), file_name);
      return parsed;
    });
  }

  // NotFound whatever is wrong with the link: what it should lead to is not linked.
  absl::Status CheckLink(const std::string& place, const Digest& digest) const {
    const absl::StatusOr<Digest> linked = ReadLink(place);
    if (!linked.ok()) return absl::NotFoundError(linked.status().message());
    if (*linked == digest) return absl::OkStatus();
    return absl::NotFoundError(absl::StrCat(path(), "/", place, ": links to ", linked->ToString()));
  }
};

}  // namespace

std::unique_ptr<Store> MakeDistributionStore(std::string name, std::string path, std::vector<std::string> owned_hosts,
                                             bool require_link) {
  return std::make_unique<DistributionStore>(FileStoreOptions{.name = std::move(name),
                                                              .path = std::move(path),
                                                              .owned_hosts = std::move(owned_hosts),
                                                              .require_link = require_link});
}

}  // namespace sluice
