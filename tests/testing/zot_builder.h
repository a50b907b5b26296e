// The storage directory of a zot registry, written the way zot's pkg/storage writes it: a layout per repository, blobs
// renamed from .uploads, one inode for all repositories that have a blob (dedupe), index.json replaced by rename, an
// entry that has lost its tag kept without a name.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "base/digest.h"
#include "nlohmann/json.hpp"

namespace sluice::testing {

// A failing write ends the test program with a message. One thread at a time.
class ZotBuilder {
 public:
  // `root` exists and is empty.
  explicit ZotBuilder(std::string root);

  // The image (or index, and all images below it) that has the name `source_name` in the layout `source`, as a push.
  void Push(const std::string& source, absl::string_view source_name, const std::string& repository,
            absl::string_view tag);
  // The tag's image and, as garbage collection does, the blobs of the repository that no other image of it needs.
  void Delete(const std::string& repository, absl::string_view tag);

  std::string BlobPath(const std::string& repository, const Digest& digest) const;
  std::string IndexPath(const std::string& repository) const;

 private:
  std::string Directory(const std::string& repository) const;
  void WriteByRename(const std::string& repository, const std::string& path, const std::string& content);
  // The blob and, if it is a manifest or an index, all that it names.
  void PushBlob(const std::string& source, const nlohmann::json& descriptor, const std::string& repository);
  nlohmann::json ReadEntries(const std::string& repository) const;
  void WriteIndex(const std::string& repository, nlohmann::json manifests);

  const std::string root_;
  int uploads_ = 0;
};

}  // namespace sluice::testing
