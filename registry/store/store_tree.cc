#include "registry/store/store_tree.h"

#include <sys/stat.h>

#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/testing/docker_registry.h"
#include "tests/testing/zot_builder.h"

namespace sluice {
namespace {

using ::sluice::testing::DockerRegistry;
using ::sluice::testing::RunCommand;
using ::sluice::testing::ZotBuilder;

constexpr char kCopy[] = "skopeo copy -q --insecure-policy --preserve-digests --all --dest-tls-verify=false oci:";

class OciLayoutTree : public StoreTree {
 public:
  explicit OciLayoutTree(std::string directory) : directory_(std::move(directory)) {}

  std::unique_ptr<Store> Open(std::vector<std::string> hosts, bool) const override {
    return MakeOciLayoutStore("test", directory_, std::move(hosts));
  }
  void Push(const std::string& source, const std::string& source_tag, const std::string& repository,
            const std::string& tag) override {
    RunCommand(absl::StrCat(kCopy, source, ":", source_tag, " oci:", directory_, ":", Name(repository, tag)));
  }
  void Delete(const std::string& repository, const std::string& tag) override {
    RunCommand(absl::StrCat("umoci rm --image ", directory_, ":", Name(repository, tag)));
    RunCommand(absl::StrCat("umoci gc --layout ", directory_));
  }
  std::string path() const override { return directory_; }
  std::string BlobPath(const std::string&, const Digest& digest) const override {
    return absl::StrCat(directory_, "/blobs/sha256/", digest.Hex());
  }
  std::string TagPath(const std::string&, const std::string&) const override {
    return absl::StrCat(directory_, "/index.json");
  }

 private:
  static std::string Name(const std::string& repository, const std::string& tag) {
    return absl::StrCat(kHost, "/", repository, ":", tag);
  }

  const std::string directory_;
};

class ZotTree : public StoreTree {
 public:
  explicit ZotTree(std::string directory) : directory_(std::move(directory)), zot_(directory_) {}

  std::unique_ptr<Store> Open(std::vector<std::string> hosts, bool require_link) const override {
    return MakeZotStore("test", directory_, std::move(hosts), require_link);
  }
  void Push(const std::string& source, const std::string& source_tag, const std::string& repository,
            const std::string& tag) override {
    zot_.Push(source, source_tag, repository, tag);
  }
  void Delete(const std::string& repository, const std::string& tag) override { zot_.Delete(repository, tag); }
  std::string path() const override { return directory_; }
  std::string BlobPath(const std::string& repository, const Digest& digest) const override {
    return zot_.BlobPath(repository, digest);
  }
  std::string TagPath(const std::string& repository, const std::string&) const override {
    return zot_.IndexPath(repository);
  }

 private:
  const std::string directory_;
  ZotBuilder zot_;
};

class DistributionTree : public StoreTree {
 public:
  explicit DistributionTree(const std::string& directory) : registry_(directory) {}

  std::unique_ptr<Store> Open(std::vector<std::string> hosts, bool require_link) const override {
    return MakeDistributionStore("test", path(), std::move(hosts), require_link);
  }
  void Push(const std::string& source, const std::string& source_tag, const std::string& repository,
            const std::string& tag) override {
    RunCommand(absl::StrCat(kCopy, source, ":", source_tag, " ", Url(repository, tag)));
  }
  void Delete(const std::string& repository, const std::string& tag) override {
    RunCommand(absl::StrCat("skopeo delete --tls-verify=false ", Url(repository, tag)));
    registry_.CollectGarbage();
  }
  std::string path() const override { return registry_.storage(); }
  std::string BlobPath(const std::string&, const Digest& digest) const override {
    return absl::StrCat(path(), "/docker/registry/v2/blobs/sha256/", digest.Hex().substr(0, 2), "/", digest.Hex(),
                        "/data");
  }
  std::string TagPath(const std::string& repository, const std::string& tag) const override {
    return absl::StrCat(path(), "/docker/registry/v2/repositories/", repository, "/_manifests/tags/", tag,
                        "/current/link");
  }

 private:
  std::string Url(const std::string& repository, const std::string& tag) const {
    return absl::StrCat("docker://", registry_.host(), "/", repository, ":", tag);
  }

  DockerRegistry registry_;
};

}  // namespace

std::unique_ptr<StoreTree> StoreTree::Make(const std::string& kind, const std::string& directory) {
  if (kind == "oci-layout") return std::make_unique<OciLayoutTree>(directory);
  if (kind == "zot") return std::make_unique<ZotTree>(directory);
  if (kind == "distribution") return std::make_unique<DistributionTree>(directory);
  std::abort();
}

}  // namespace sluice
