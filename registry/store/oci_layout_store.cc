// The oci-layout store: <path>/{index.json, blobs/sha256/<hex>}.
//
// Its writers do not lock, and some write index.json and manifests in place. A blob may be one of several hard links to
// an inode.
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "registry/store/file_store.h"
#include "registry/store/layout_index.h"
#include "registry/store/store.h"

namespace sluice {
namespace {

// How an entry of index.json names an image, from the surest on.
enum class Match { kNone, kBareTag, kFullName };

Match MatchName(const Descriptor& descriptor, const Reference& reference, const std::string& full_name) {
  const std::string ref_name = RefName(descriptor);
  const std::string containerd_name = ContainerdName(descriptor);
  if (ref_name == full_name || containerd_name == full_name) return Match::kFullName;
  // An entry with a full name is that image and no other, whatever its bare tag says.
  if (ref_name == reference.tag && containerd_name.empty()) return Match::kBareTag;
  // A full reference as people shorten it: "alpine:3", or with docker.io written out. A bare tag never parses as one
  // of these, because it has neither ':' nor '/'.
  if (ref_name.find_first_of(":/") == std::string::npos) return Match::kNone;
  const absl::StatusOr<Reference> parsed = ParseReference(ref_name);
  return parsed.ok() && parsed->ToString() == full_name ? Match::kFullName : Match::kNone;
}

class OciLayoutStore : public FileStore {
 public:
  using FileStore::FileStore;

  absl::string_view kind() const override { return "oci-layout"; }

 protected:
  void ForEachPlace(const Digest& digest, absl::Span<const Endpoint>, Visit visit) const override {
    visit(absl::StrCat("blobs/sha256/", digest.Hex()));
  }

  absl::StatusOr<Descriptor> ResolveTag(const Reference& reference) const override {
    ASSIGN_OR_RETURN(const Index index, ReadLayoutIndex(path(), ""));
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
      return absl::NotFoundError(absl::StrCat(path(), ": no image ", full_name, " in index.json: ", NamesIn(index)));
    }
    // A bare tag does not say whose it is: two of them may be two repositories, or two registries over one layout.
    // Where the registry can be asked instead, it is.
    if (ambiguous && !options().owns_all) {
      return absl::InvalidArgumentError(
          absl::StrCat(path(), ": index.json names several images \"", reference.tag, "\" without saying whose"));
    }
    return *found;
  }
};

}  // namespace

std::unique_ptr<Store> MakeOciLayoutStore(std::string name, std::string path, std::vector<std::string> owned_hosts,
                                          bool owns_all) {
  return std::make_unique<OciLayoutStore>(FileStoreOptions{
      .name = std::move(name), .path = std::move(path), .owned_hosts = std::move(owned_hosts), .owns_all = owns_all});
}

}  // namespace sluice
