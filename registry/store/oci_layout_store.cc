// The oci-layout store (image-spec image-layout.md): <path>/{index.json, blobs/sha256/<hex>}.
//
// Its writers do not lock, and some write index.json and manifests in place: a reader can see them empty or half, and
// rereads a few times before it calls them torn. Links: a blob may be one of several hard links to an inode (zot), but
// no name inside the layout may be a symbolic one.
#include <time.h>

#include <algorithm>
#include <array>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "registry/manifest.h"
#include "registry/store/store.h"
#include "registry/store/store_file.h"

namespace sluice {
namespace {

// image-spec annotations.md.
constexpr char kRefName[] = "org.opencontainers.image.ref.name";
// containerd's exporter: the full name, beside a ref.name that is the bare tag.
constexpr char kContainerdName[] = "io.containerd.image.name";

// Pauses before each further attempt to read what may be just being written, milliseconds.
constexpr std::array<int, 3> kRereadAfter = {10, 25, 50};

void SleepMilliseconds(int milliseconds) {
  const timespec duration = {0, milliseconds * 1'000'000L};
  nanosleep(&duration, nullptr);
}

std::string Annotation(const Descriptor& descriptor, const char* name) {
  const auto found = descriptor.annotations.find(name);
  return found == descriptor.annotations.end() ? "" : found->second;
}

// How an entry of index.json names an image, from the surest on.
enum class Match { kNone, kBareTag, kFullName };

Match MatchName(const Descriptor& descriptor, const Reference& reference, const std::string& full_name) {
  const std::string ref_name = Annotation(descriptor, kRefName);
  const std::string containerd_name = Annotation(descriptor, kContainerdName);
  if (ref_name == full_name || containerd_name == full_name) return Match::kFullName;
  // An entry with a full name is that image and no other, whatever its bare tag says.
  if (ref_name == reference.tag && containerd_name.empty()) return Match::kBareTag;
  // A full reference as people shorten it: "alpine:3", or with docker.io written out. A bare tag never parses as one
  // of these, because it has neither ':' nor '/'.
  if (ref_name.find_first_of(":/") == std::string::npos) return Match::kNone;
  const absl::StatusOr<Reference> parsed = ParseReference(ref_name);
  return parsed.ok() && parsed->ToString() == full_name ? Match::kFullName : Match::kNone;
}

std::string NamesIn(const Index& index) {
  constexpr size_t kMost = 8;
  std::vector<std::string> names;
  for (const Descriptor& descriptor : index.manifests) {
    const std::string full = Annotation(descriptor, kContainerdName);
    const std::string name = full.empty() ? Annotation(descriptor, kRefName) : full;
    if (!name.empty() && std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    if (names.size() > kMost) break;
  }
  if (names.empty()) return "it names no image";
  if (names.size() <= kMost) return absl::StrCat("it has ", absl::StrJoin(names, ", "));
  names.pop_back();
  return absl::StrCat("it has ", absl::StrJoin(names, ", "), " and more");
}

class OciLayoutStore : public Store {
 public:
  OciLayoutStore(std::string name, std::string path, std::vector<std::string> owned_hosts, bool owns_all)
      : name_(std::move(name)), path_(std::move(path)), owned_hosts_(std::move(owned_hosts)), owns_all_(owns_all) {}

  const std::string& name() const override { return name_; }
  absl::string_view kind() const override { return "oci-layout"; }
  const std::string& path() const override { return path_; }

  bool OwnsTagsOf(absl::string_view host) const override {
    return owns_all_ || std::find(owned_hosts_.begin(), owned_hosts_.end(), host) != owned_hosts_.end();
  }

  std::string BlobPath(const Digest& digest) const override {
    return absl::StrCat(path_, "/blobs/sha256/", digest.Hex());
  }

  absl::StatusOr<Descriptor> Resolve(const Reference& reference) const override {
    return reference.digest.has_value() ? ResolveDigest(*reference.digest) : ResolveTag(reference);
  }

  absl::StatusOr<std::string> ReadDocument(const Digest& digest, int64_t max_bytes) const override {
    for (size_t attempt = 0;; ++attempt) {
      ASSIGN_OR_RETURN(StoreFile file, OpenStoreFile(path_, {"blobs", "sha256", digest.Hex()}));
      ASSIGN_OR_RETURN(std::string content, ReadStoreFile(std::move(file), max_bytes, BlobPath(digest)));
      const Digest actual = Digest::Of(content);
      if (actual == digest) return content;
      if (attempt == kRereadAfter.size()) {
        return absl::DataLossError(absl::StrCat(BlobPath(digest), ": its content has digest ", actual.ToString()));
      }
      SleepMilliseconds(kRereadAfter[attempt]);
    }
  }

  absl::StatusOr<std::unique_ptr<ByteReader>> OpenBlob(const Digest& digest,
                                                       std::optional<int64_t> size) const override {
    ASSIGN_OR_RETURN(StoreFile file, OpenStoreFile(path_, {"blobs", "sha256", digest.Hex()}));
    if (size.has_value() && file.size != *size) {
      return absl::NotFoundError(absl::StrCat(BlobPath(digest), ": ", file.size, " bytes instead of ", *size));
    }
    return StreamStoreFile(std::move(file), BlobPath(digest));
  }

 private:
  // The descriptor of a manifest or index that lies in blobs/, whether or not an index names it.
  absl::StatusOr<Descriptor> ResolveDigest(const Digest& digest) const {
    ASSIGN_OR_RETURN(const std::string content, ReadDocument(digest, kMaxManifestBytes));
    absl::StatusOr<std::variant<Manifest, Index>> parsed = ParseManifestOrIndex(content);
    if (!parsed.ok()) return Annotate(parsed.status(), BlobPath(digest));
    Descriptor descriptor;
    descriptor.media_type = std::visit([](const auto& document) { return document.media_type; }, *parsed);
    descriptor.digest = digest;
    descriptor.size = static_cast<int64_t>(content.size());
    return descriptor;
  }

  absl::StatusOr<Descriptor> ResolveTag(const Reference& reference) const {
    ASSIGN_OR_RETURN(const Index index, ReadIndex());
    const std::string full_name = reference.ToString();
    const Descriptor* found = nullptr;
    Match found_by = Match::kNone;
    bool ambiguous = false;
    for (const Descriptor& descriptor : index.manifests) {
      const Match match = MatchName(descriptor, reference, full_name);
      if (match == Match::kNone || match < found_by) continue;
      // Some writers only ever append: the last of the same name is the one that counts.
      ambiguous = match == Match::kBareTag && found_by == match && (ambiguous || found->digest != descriptor.digest);
      found = &descriptor;
      found_by = match;
    }
    if (found == nullptr) {
      return absl::NotFoundError(absl::StrCat(path_, ": no image ", full_name, " in index.json: ", NamesIn(index)));
    }
    // A bare tag does not say whose it is: two of them may be two repositories, or two registries over one layout.
    // Where the registry can be asked instead, it is.
    if (ambiguous && !owns_all_) {
      return absl::InvalidArgumentError(
          absl::StrCat(path_, ": index.json names several images \"", reference.tag, "\" without saying whose"));
    }
    return *found;
  }

  absl::StatusOr<Index> ReadIndex() const {
    for (size_t attempt = 0;; ++attempt) {
      absl::StatusOr<Index> index = ReadIndexOnce();
      if (index.ok() || absl::IsNotFound(index.status())) return index;
      if (attempt == kRereadAfter.size()) return absl::NotFoundError(index.status().message());
      SleepMilliseconds(kRereadAfter[attempt]);
    }
  }

  absl::StatusOr<Index> ReadIndexOnce() const {
    const std::string path = absl::StrCat(path_, "/index.json");
    ASSIGN_OR_RETURN(StoreFile file, OpenStoreFile(path_, {"index.json"}));
    ASSIGN_OR_RETURN(const std::string content, ReadStoreFile(std::move(file), kMaxIndexBytes, path));
    absl::StatusOr<std::variant<Manifest, Index>> parsed = ParseManifestOrIndex(content);
    if (!parsed.ok()) return Annotate(parsed.status(), path);
    if (!std::holds_alternative<Index>(*parsed))
      return absl::InvalidArgumentError(absl::StrCat(path, ": not an index"));
    return std::get<Index>(*std::move(parsed));
  }

  const std::string name_;
  const std::string path_;
  const std::vector<std::string> owned_hosts_;
  const bool owns_all_;
};

}  // namespace

std::unique_ptr<Store> MakeOciLayoutStore(std::string name, std::string path, std::vector<std::string> owned_hosts,
                                          bool owns_all) {
  return std::make_unique<OciLayoutStore>(std::move(name), std::move(path), std::move(owned_hosts), owns_all);
}

}  // namespace sluice
