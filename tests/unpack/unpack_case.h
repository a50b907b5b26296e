// What the table tests of unpacking share: layers in, a tree out, in flat form, as an overlay chain that the kernel
// mounts, and as one tar that GNU tar unpacks; all must be the tree that the case names.
#pragma once

#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/byte_reader.h"
#include "tests/testing/overlay_mount.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/tree_listing.h"
#include "unpack/layer.h"

namespace sluice::testing {

// Reads a string in pieces of at most `piece` bytes; the string is copied.
std::unique_ptr<ByteReader> StringReader(std::string bytes, size_t piece = size_t{64} << 10);

// A source that can be opened again and again, with all that a client knows expected of it. `tar` is for the diffID;
// empty: `blob` is not compressed.
LayerSource SourceOf(std::string blob, std::string name, const std::string* tar = nullptr);
// The same for several uncompressed layers, named "layer 1", "layer 2", …
std::vector<LayerSource> SourcesOf(const std::vector<std::string>& tars);

// A directory beside which things stand that no layer may touch: ../outside as seen from path(), and OutsidePath().
class GuardedRoot {
 public:
  GuardedRoot();

  const std::string& path() const { return path_; }
  int fd() const { return fd_.get(); }
  // Adds a failure to the running test if anything outside changed since construction, the directory above included.
  void ExpectNothingOutsideTouched() const;

 private:
  TempDir parent_;
  std::string path_;
  UniqueFd fd_;
  std::vector<std::string> before_;
};

// The absolute path of a directory that hostile layers aim at: it has "secret" (a file), "dir/inner" and is mode 0755.
const std::string& OutsidePath();

// A chain of layer directories in overlay form.
class OverlayChain {
 public:
  // Unpacks one more layer on top; the error is Stream()'s or Finish()'s.
  absl::StatusOr<UnpackedLayer> Add(const LayerSource& source, const UnpackOptions& options = {});
  // The first `count` layers, base first, as the kernel merges them.
  absl::StatusOr<std::unique_ptr<OverlayMount>> Mount(size_t count) const;
  // The directory of one layer as it is on disk, whiteouts and all. 0 is the base.
  const std::string& directory(size_t layer) const { return roots_[layer]->path(); }
  const GuardedRoot& root(size_t layer) const { return *roots_[layer]; }
  size_t size() const { return roots_.size(); }

 private:
  std::vector<std::unique_ptr<GuardedRoot>> roots_;
};

// The layers, uncompressed, as one tar.
absl::StatusOr<std::string> ExportToString(const std::vector<std::string>& tars, const UnpackOptions& options = {});
// What GNU tar makes of an archive, the root included. Adds a failure if it complains.
TreeListing ListUntarred(const std::string& tar);

// `want`: FormatBriefly() of every entry but the root, ordered by path. A directory that no layer describes is of 1970
// ("@0"): the same layers always give the same tree.
struct UnpackCase {
  std::string name;                 // says the rule
  std::vector<std::string> layers;  // uncompressed tars, base first
  std::vector<std::string> want;
};

// Expects that the flat tree, the mounted chain and the unpacked export are `unpack_case.want`, that for every prefix
// of the chain the first two agree and every name in the view can be stat'ed, and that nothing outside was touched.
void CheckUnpacks(const UnpackCase& unpack_case);

// A chain that must be refused, by its last layer, in both forms and by the export.
struct RefusalCase {
  std::string name;
  std::vector<std::string> layers;
  absl::StatusCode code;
  std::vector<std::string> words;  // all in the message, beside the name of the last layer
  UnpackLimits limits = {};
};

// Expects the error, one line of it, that nothing outside was touched, and that nothing was exported.
void CheckRefuses(const RefusalCase& refusal);

// The lines CheckUnpacks() compares.
std::vector<std::string> Lines(const TreeListing& listing);

// Names of parameterised tests.
inline void PrintTo(const UnpackCase& unpack_case, std::ostream* out) { *out << unpack_case.name; }
inline void PrintTo(const RefusalCase& refusal, std::ostream* out) { *out << refusal.name; }
struct CaseName {
  template <typename Info>
  std::string operator()(const Info& info) const {
    return info.param.name;
  }
};

}  // namespace sluice::testing
