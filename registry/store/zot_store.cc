// The zot store (zot's pkg/storage): each repository is an OCI layout, <path>/<repository>/{index.json,
// blobs/sha256/<hex>}, whose entries are named by bare tags. Names nest: a/b may be beside a/b/c.
//
// index.json is replaced by rename. With dedupe a blob has a hard link in every repository that has it. Beside them are
// .uploads and .sync in a repository, cache.db, meta.db and directories that begin with '_' in the root.
#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "registry/store/file_store.h"
#include "registry/store/layout_index.h"
#include "registry/store/repository_tree.h"
#include "registry/store/store.h"

namespace sluice {
namespace {

class ZotStore : public FileStore {
 public:
  explicit ZotStore(FileStoreOptions options) : FileStore(std::move(options)), repositories_(path()) {}

  absl::string_view kind() const override { return "zot"; }

 protected:
  void ForEachPlace(const Digest& digest, absl::Span<const Endpoint> origins, Visit visit) const override {
    for (const Endpoint& origin : origins) {
      if (IsHere(origin) && visit(BlobPlace(origin.repository, digest))) return;
    }
    if (options().require_link) return;
    // An image that was pulled by another name than it has here.
    for (const std::string& repository : repositories_.List()) {
      const std::string place = BlobPlace(repository, digest);
      if (absl::c_any_of(origins, [&](const Endpoint& origin) { return origin.repository == repository; })) continue;
      struct stat file = {};
      if (lstat(absl::StrCat(path(), "/", place).c_str(), &file) == 0 && visit(place)) return;
    }
  }

  absl::StatusOr<Descriptor> ResolveTag(const Reference& reference) const override {
    if (!IsRepository(reference.repository)) {
      return absl::NotFoundError(
          absl::StrCat(path(), ": nothing can have the name \"", absl::CHexEscape(reference.ToString()), "\""));
    }
    ASSIGN_OR_RETURN(const Index index, ReadLayoutIndex(path(), reference.repository));
    const auto found = std::find_if(index.manifests.rbegin(), index.manifests.rend(),
                                    [&](const Descriptor& entry) { return RefName(entry) == reference.tag; });
    if (found != index.manifests.rend()) return *found;
    return absl::NotFoundError(absl::StrCat(path(), "/", reference.repository, ": no tag ", reference.tag,
                                            " in index.json: ", NamesIn(index)));
  }

 private:
  static std::string BlobPlace(const std::string& repository, const Digest& digest) {
    return absl::StrCat(repository, "/blobs/sha256/", digest.Hex());
  }

  const RepositoryTree repositories_;
};

}  // namespace

std::unique_ptr<Store> MakeZotStore(std::string name, std::string path, std::vector<std::string> owned_hosts,
                                    bool require_link) {
  return std::make_unique<ZotStore>(FileStoreOptions{.name = std::move(name),
                                                     .path = std::move(path),
                                                     .owned_hosts = std::move(owned_hosts),
                                                     .require_link = require_link});
}

}  // namespace sluice
