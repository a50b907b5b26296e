// Random chains of layers, held to what must be true of all of them: both forms are one tree, a whiteout's place in the
// archive means nothing, and two layers are what they are as one.
#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/random.h"
#include "tests/testing/status_matchers.h"
#include "tests/unpack/random_layers.h"
#include "tests/unpack/unpack_case.h"
#include "unpack/flat_unpacker.h"

namespace sluice::testing {
namespace {

using ::testing::IsEmpty;
using Layer = std::vector<RandomEntry>;

std::string DescribeChain(const std::vector<Layer>& layers) {
  std::string text;
  for (size_t i = 0; i < layers.size(); ++i) absl::StrAppend(&text, "layer ", i + 1, "\n", Describe(layers[i]), "\n");
  return text;
}

// The root too: both forms are only compared without it.
absl::StatusOr<TreeListing> UnpackAndList(const std::vector<Layer>& layers) {
  std::vector<std::string> tars;
  for (const Layer& layer : layers) tars.push_back(TarOf(layer));
  const GuardedRoot root;
  const absl::Status status = UnpackFlat(root.fd(), SourcesOf(tars), {}).status();
  root.ExpectNothingOutsideTouched();
  RETURN_IF_ERROR(status);
  return ListTree(root.path());
}

// Of a chain with one layer more, which is dropped again if it is refused. Both forms must say the same.
bool AddToBoth(OverlayChain& chain, std::vector<Layer>& layers, const Layer& layer) {
  layers.push_back(layer);
  SCOPED_TRACE(DescribeChain(layers));
  const absl::Status added = chain.Add(SourceOf(TarOf(layer), absl::StrCat("layer ", layers.size()))).status();
  absl::StatusOr<TreeListing> flat = UnpackAndList(layers);
  EXPECT_EQ(added.code(), flat.status().code()) << added << "\n" << flat.status();
  if (!added.ok() || !flat.ok()) {
    EXPECT_THAT(added, StatusIs(added.code(), absl::StrCat("layer ", layers.size())));
    return false;
  }
  absl::StatusOr<std::unique_ptr<OverlayMount>> mount = chain.Mount(chain.size());
  EXPECT_OK(mount);
  absl::StatusOr<TreeListing> view = ListTree((*mount)->path());
  EXPECT_OK(view);
  if (!view.ok()) return false;
  flat->erase(".");
  view->erase(".");
  EXPECT_THAT(DiffListings(*view, *flat), IsEmpty()) << "overlay (first) and flat (second)";
  chain.ExpectNothingOutsideTouched();
  return !::testing::Test::HasFailure();
}

TEST(RandomChainsTest, BothFormsAreOneTree) {
  size_t layers_accepted = 0;
  const std::vector<uint64_t> seeds = Seeds(400);
  for (const uint64_t seed : seeds) {
    SCOPED_TRACE(SeedTrace(seed));
    RandomLayers random(seed);
    OverlayChain chain;
    std::vector<Layer> layers;
    while (layers.size() < 4 && AddToBoth(chain, layers, random.Next({}))) ++layers_accepted;
    if (HasFailure()) return;
  }
  // Or the test shows nothing.
  EXPECT_TRUE(seeds.size() == 1 || layers_accepted > seeds.size()) << layers_accepted;
}

bool IsWhiteout(const RandomEntry& entry) {
  return entry.kind == RandomEntry::Kind::kWhiteout || entry.kind == RandomEntry::Kind::kOpaque;
}

// An opaque mark says that its directory is there: what replaces the directory later replaces the mark.
void DropWhatReplacesOpaqueDirectories(Layer& layer) {
  const auto replaces_one = [opaque = layer](const RandomEntry& entry) {
    if (IsWhiteout(entry) || entry.kind == RandomEntry::Kind::kDirectory) return false;
    return std::any_of(opaque.begin(), opaque.end(), [&entry](const RandomEntry& mark) {
      return mark.kind == RandomEntry::Kind::kOpaque && absl::StartsWith(mark.path + "/", entry.path + "/");
    });
  };
  layer.erase(std::remove_if(layer.begin(), layer.end(), replaces_one), layer.end());
}

// Without symlinks in the upper layer: what a name means may depend on those that came before it.
TEST(RandomChainsTest, WhiteoutsMeanTheSameWhereverTheyStand) {
  size_t compared = 0;
  const std::vector<uint64_t> seeds = Seeds(300);
  for (const uint64_t seed : seeds) {
    SCOPED_TRACE(SeedTrace(seed));
    RandomLayers random(seed);
    // Behind symlinks it can't be seen by name which entry replaces an opaque directory.
    const bool behind_symlinks = random.random().OneIn(2);
    const Layer lower = random.Next({.symlinks = behind_symlinks, .whiteouts = false});
    Layer upper = random.Next({.symlinks = false, .opaque = !behind_symlinks});
    DropWhatReplacesOpaqueDirectories(upper);
    SCOPED_TRACE(DescribeChain({lower, upper}));
    const absl::StatusOr<TreeListing> as_it_is = UnpackAndList({lower, upper});
    std::stable_partition(upper.begin(), upper.end(), IsWhiteout);
    const absl::StatusOr<TreeListing> first = UnpackAndList({lower, upper});
    std::stable_partition(upper.begin(), upper.end(), std::not_fn(IsWhiteout));
    const absl::StatusOr<TreeListing> last = UnpackAndList({lower, upper});
    // A whiteout in what this layer has made a file is refused, one that comes before the file is not.
    if (as_it_is.ok() && first.ok() && last.ok()) {
      EXPECT_THAT(DiffListings(*as_it_is, *first), IsEmpty()) << "as it is, and with the whiteouts first";
      EXPECT_THAT(DiffListings(*as_it_is, *last), IsEmpty()) << "as it is, and with the whiteouts last";
      ++compared;
    }
    if (HasFailure()) return;
  }
  EXPECT_TRUE(seeds.size() == 1 || compared > seeds.size() / 4) << compared;
}

// Entries over a tree of the same layer and over one of a layer below take different ways to the same result. Without
// hard links: across layers they copy up. The upper layer has no symlinks and lists a directory before what is in it:
// within a layer a name leads where it does when it comes, over a layer below where it does in the end.
TEST(RandomChainsTest, TwoLayersAreWhatTheyAreAsOne) {
  size_t compared = 0;
  const std::vector<uint64_t> seeds = Seeds(300);
  for (const uint64_t seed : seeds) {
    SCOPED_TRACE(SeedTrace(seed));
    RandomLayers random(seed);
    const Layer lower = random.Next({.whiteouts = false, .hard_links = false});
    Layer upper = random.Next({.symlinks = false, .whiteouts = false, .hard_links = false});
    std::stable_sort(upper.begin(), upper.end(),
                     [](const RandomEntry& a, const RandomEntry& b) { return a.path < b.path; });
    SCOPED_TRACE(DescribeChain({lower, upper}));
    Layer both = lower;
    both.insert(both.end(), upper.begin(), upper.end());
    const absl::StatusOr<TreeListing> one = UnpackAndList({both});
    const absl::StatusOr<TreeListing> two = UnpackAndList({lower, upper});
    // A file where a directory must be gives way to it only if it is of a layer below.
    if (one.ok() && two.ok()) {
      EXPECT_THAT(DiffListings(*one, *two), IsEmpty()) << "one layer (first) and two (second)";
      ++compared;
    }
    if (HasFailure()) return;
  }
  EXPECT_TRUE(seeds.size() == 1 || compared > seeds.size() / 4) << compared;
}

}  // namespace
}  // namespace sluice::testing
