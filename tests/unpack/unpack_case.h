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
#include "tests/testing/tree_listing.h"
#include "tests/unpack/guarded_root.h"
#include "tests/unpack/overlay_chain.h"
#include "unpack/layer.h"

namespace sluice::testing {

// Reads a string in pieces of at most `piece` bytes; the string is copied.
std::unique_ptr<ByteReader> StringReader(std::string bytes, size_t piece = size_t{64} << 10);

// A source that can be opened again and again, with all that a client knows expected of it. `tar` is for the diffID;
// empty: `blob` is not compressed.
LayerSource SourceOf(std::string blob, std::string name, const std::string* tar = nullptr);
// The same for several uncompressed layers, named "layer 1", "layer 2", …
std::vector<LayerSource> SourcesOf(const std::vector<std::string>& tars);

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
