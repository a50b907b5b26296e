// Layers of any entries, as overlayfs directories and as a flat tree, both on the disk: nothing outside is touched,
// both forms accept the same layers and are the same tree.
#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/fuzz/fuzzing.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/tree_listing.h"
#include "tests/unpack/guarded_root.h"
#include "tests/unpack/overlay_chain.h"
#include "tests/unpack/unpack_case.h"
#include "unpack/flat_unpacker.h"
#include "unpack/layer.h"

namespace sluice::testing {
namespace {

constexpr size_t kBlockBytes = 512;
constexpr size_t kChecksumAt = 148;
constexpr size_t kChecksumBytes = 8;
constexpr size_t kMostLayers = 3;

UnpackOptions Bounded() {
  UnpackOptions options;
  options.limits.max_entries = 500;
  options.limits.max_depth = 100;
  options.limits.max_unpacked_bytes = int64_t{1} << 20;
  options.limits.max_special_header_bytes = int64_t{64} << 10;
  options.limits.max_bookkeeping_bytes = int64_t{1} << 20;
  return options;
}

// The archive with right checksums wherever a header may stand: no mutation would get past a wrong one. Contents change
// too, which is all the same to what is tested.
std::string WithChecksums(absl::string_view input) {
  std::string tar(input);
  for (size_t at = 0; at + kBlockBytes <= tar.size(); at += kBlockBytes) {
    char* const block = &tar[at];
    if (block[0] == '\0') continue;
    std::memset(block + kChecksumAt, ' ', kChecksumBytes);
    unsigned sum = 0;
    for (size_t i = 0; i < kBlockBytes; ++i) sum += static_cast<unsigned char>(block[i]);
    absl::SNPrintF(block + kChecksumAt, kChecksumBytes, "%06o", sum);
  }
  return tar;
}

// Without the root, whose attributes are decided differently in the two forms.
absl::StatusOr<TreeListing> ListWithoutRoot(const std::string& path) {
  ASSIGN_OR_RETURN(TreeListing listing, ListTree(path));
  listing.erase(".");
  return listing;
}

absl::StatusOr<TreeListing> ListFlat(const std::vector<LayerSource>& sources) {
  const GuardedRoot root;
  const absl::Status status = UnpackFlat(root.fd(), sources, Bounded()).status();
  root.ExpectNothingOutsideTouched();
  RETURN_IF_ERROR(status);
  return ListWithoutRoot(root.path());
}

absl::StatusOr<TreeListing> ListOverlay(const std::vector<LayerSource>& sources) {
  OverlayChain chain;
  absl::Status status;
  for (const LayerSource& source : sources) {
    status = chain.Add(source, Bounded()).status();
    if (!status.ok()) break;
  }
  chain.ExpectNothingOutsideTouched();
  RETURN_IF_ERROR(status);
  const absl::StatusOr<std::unique_ptr<OverlayMount>> mount = chain.Mount(chain.size());
  EXPECT_OK(mount);
  RETURN_IF_ERROR(mount.status());
  absl::StatusOr<TreeListing> listing = ListWithoutRoot((*mount)->path());
  EXPECT_OK(listing);
  return listing;
}

}  // namespace

// The input: tars, base first, with "<layer>" between them; checksums are put right.
SLUICE_FUZZ_TARGET(input) {
  std::vector<std::string> tars;
  for (const absl::string_view tar : absl::StrSplit(input, absl::MaxSplits("<layer>", kMostLayers - 1))) {
    tars.push_back(WithChecksums(tar));
  }
  const std::vector<LayerSource> sources = SourcesOf(tars);
  const absl::StatusOr<TreeListing> overlay = ListOverlay(sources);
  const absl::StatusOr<TreeListing> flat = ListFlat(sources);
  ExpectGoodMessage(overlay.status());
  ExpectGoodMessage(flat.status());
  EXPECT_EQ(overlay.status().code(), flat.status().code()) << overlay.status() << "\n" << flat.status();
  if (overlay.ok() && flat.ok()) {
    EXPECT_THAT(DiffListings(*overlay, *flat), ::testing::IsEmpty()) << "overlay (first) and flat (second)";
  }
}

}  // namespace sluice::testing
