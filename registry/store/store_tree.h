// What a kind of store is in the shared tests: a tree on disk, and the programs that write it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/digest.h"
#include "registry/store/store.h"

namespace sluice {

// A failing program ends the test program with a message. One thread at a time, but for the stores.
class StoreTree {
 public:
  // "oci-layout": written by skopeo, garbage-collected by umoci. "zot": tests/testing/zot_builder. "distribution":
  // Debian's docker-registry, pushed to by skopeo. `directory` exists and is empty.
  static std::unique_ptr<StoreTree> Make(const std::string& kind, const std::string& directory);

  // The registry that the images are pushed to, as the store's users name it.
  static constexpr char kHost[] = "172.30.0.1:5000";

  virtual ~StoreTree() = default;

  // A store named "test".
  virtual std::unique_ptr<Store> Open(std::vector<std::string> hosts, bool require_link = false) const = 0;

  // The image, or index, that has the name `source_tag` in the layout directory `source`.
  virtual void Push(const std::string& source, const std::string& source_tag, const std::string& repository,
                    const std::string& tag) = 0;
  // The image and, by garbage collection, its blobs.
  virtual void Delete(const std::string& repository, const std::string& tag) = 0;

  virtual std::string path() const = 0;
  virtual std::string BlobPath(const std::string& repository, const Digest& digest) const = 0;
  // The file that says which image has the tag.
  virtual std::string TagPath(const std::string& repository, const std::string& tag) const = 0;
};

}  // namespace sluice
