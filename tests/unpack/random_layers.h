// Random layers of few names, so that their entries meet: replaced types, implied parents behind symlinks, whiteouts
// before and after, links forward and to layers below.
#pragma once

#include <string>
#include <vector>

#include "absl/types/span.h"
#include "tests/testing/random.h"
#include "tests/testing/tar_builder.h"

namespace sluice::testing {

// One entry as the archive will have it.
struct RandomEntry {
  enum class Kind { kFile, kSparseFile, kDirectory, kSymlink, kHardLink, kFifo, kDevice, kWhiteout, kOpaque };
  Kind kind = Kind::kFile;
  std::string path;          // of a whiteout, what it hides; of an opaque mark, its directory
  std::string name;          // the same as it is spelled in the archive
  std::string link = {};     // of symlinks and hard links
  std::string content = {};  // of files
  TarMeta meta;
};

struct RandomLayerOptions {
  size_t max_entries = 8;
  bool symlinks = true;
  bool whiteouts = true;
  bool opaque = true;
  bool hard_links = true;
  // Only what all tars agree on: every directory listed, names and symlinks that don't go up, no xattrs on directories.
  bool plain = false;
};

class RandomLayers {
 public:
  explicit RandomLayers(uint64_t seed) : random_(seed) {}

  std::vector<RandomEntry> Next(const RandomLayerOptions& options);
  Random& random() { return random_; }

 private:
  RandomEntry NextEntry(const RandomLayerOptions& options);
  void ListParents(const std::string& path, std::vector<RandomEntry>& layer);
  std::string Path();
  std::string Spelled(std::string path);
  TarMeta Meta();

  Random random_;
  std::vector<std::string> files_;  // names that were written and are no directories
};

std::string TarOf(absl::Span<const RandomEntry> layer);
// One entry a line, for messages.
std::string Describe(absl::Span<const RandomEntry> layer);

}  // namespace sluice::testing
