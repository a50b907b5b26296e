// Ten runs of sluicectl unpack at the same time: each tree is the one that a run by itself makes, and the memory of all
// together stays within ten times the bound of one.
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cmd/sluicectl_fixture.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/tree_listing.h"

namespace sluice {
namespace {

using testing::DiffListings;
using ::testing::IsEmpty;
using testing::ListTree;
using testing::NamesIn;
using testing::Outcome;
using testing::Process;
using testing::Sluicectl;
using testing::TreeListing;

constexpr int kRuns = 10;
constexpr int64_t kMostMemory = int64_t{96} << 20;

class SluicectlParallelTest : public testing::SluicectlFixture {
 protected:
  // Layers that delete, replace and link what is below, with some weight.
  SluicectlParallelTest() {
    for (int i = 0; i < kRuns; ++i) {
      testing::ImageSpec spec;
      testing::TarBuilder base, top;
      base.Directory("d").Directory("gone").File("gone/x", "x");
      for (int file = 0; file < 50; ++file) base.File(absl::StrCat("d/", file), std::string(20'000 + i, 'a' + i));
      top.Whiteout("gone").File("d/0", absl::StrCat("image ", i)).File("implied/y", "y");
      spec.layers = {{.tar = base.Build()}, {.tar = top.Build(), .compression = testing::LayerCompression::kZstd}};
      layout_.AddImage(spec, Reference(i));
    }
  }
  static std::string Reference(int image) { return absl::StrCat("example.com/ten:", image); }
  std::vector<std::string> Arguments(int image, const std::string& directory) const {
    return {"unpack", Reference(image), work_.At(directory), "--layout", layout_.directory()};
  }
  TreeListing ListingOf(const std::string& directory) const {
    absl::StatusOr<TreeListing> listing = ListTree(work_.At(directory));
    EXPECT_OK(listing);
    return listing.ok() ? *std::move(listing) : TreeListing();
  }
  // `arguments_of(i, directory)`: the command of run i.
  template <typename ArgumentsOf>
  void ExpectTenAtOnce(ArgumentsOf arguments_of) const {
    std::vector<std::unique_ptr<Process>> processes;
    for (int i = 0; i < kRuns; ++i) {
      processes.push_back(std::make_unique<Process>(arguments_of(i, absl::StrCat("many-", i))));
    }
    int64_t memory = 0;
    for (const std::unique_ptr<Process>& process : processes) {
      const Outcome outcome = process->Wait();
      EXPECT_EQ(outcome.code, 0) << outcome.err;
      memory += outcome.peak_bytes;
    }
    EXPECT_LE(memory, kRuns * kMostMemory);
    EXPECT_EQ(NamesIn(work_.path()).size(), size_t{kRuns});
    TreeListing alone;
    for (int i = 0; i < kRuns; ++i) {
      if (i == 0 || arguments_of(i, "alone") != arguments_of(i - 1, "alone")) {
        std::filesystem::remove_all(work_.At("alone"));
        ASSERT_EQ(Sluicectl(arguments_of(i, "alone")).code, 0);
        alone = ListingOf("alone");
        EXPECT_GT(alone.size(), 50u);
      }
      EXPECT_THAT(DiffListings(alone, ListingOf(absl::StrCat("many-", i))), IsEmpty()) << "run " << i;
    }
  }
};

TEST_F(SluicectlParallelTest, TenOfOneImage) {
  ExpectTenAtOnce([this](int, const std::string& directory) { return Arguments(0, directory); });
}

TEST_F(SluicectlParallelTest, OfTenImages) {
  ExpectTenAtOnce([this](int i, const std::string& directory) { return Arguments(i, directory); });
  EXPECT_EQ(ListingOf("many-3").at("d/0").head, "image 3");
}

TEST_F(SluicectlParallelTest, TenOfARealImage) {
  ASSERT_EQ(std::system("tests/corpora/make_images.sh small >&2"), 0);
  const std::string repository = std::filesystem::canonical("tests/corpora/make_images.sh").parent_path() / "../..";
  const char* cache = std::getenv("SLUICE_CACHE");
  const std::string layout = absl::StrCat(cache != nullptr ? cache : repository + "/.cache", "/images/small-gzip");
  ExpectTenAtOnce([this, &layout](int, const std::string& directory) {
    return std::vector<std::string>{"unpack", "example.com/small:1", work_.At(directory), "--layout", layout};
  });
}

// All of them want the place; one gets it. (In an existing directory they may all be in each other's way; then none
// gets it.)
TEST_F(SluicectlParallelTest, TenIntoOneDirectory) {
  for (const bool in_place : {false, true}) {
    SCOPED_TRACE(in_place);
    if (in_place) work_.MakeDirectory("root");
    std::vector<std::unique_ptr<Process>> processes;
    for (int i = 0; i < kRuns; ++i) processes.push_back(std::make_unique<Process>(Arguments(0, "root")));
    int winners = 0;
    for (const std::unique_ptr<Process>& process : processes) {
      const Outcome outcome = process->Wait();
      EXPECT_TRUE(outcome.code == 0 || outcome.code == 1) << outcome.err;
      winners += outcome.code == 0 ? 1 : 0;
    }
    EXPECT_LE(winners, 1);
    EXPECT_TRUE(winners == 1 || in_place);
    ASSERT_EQ(Sluicectl(Arguments(0, "alone")).code, 0);
    if (winners == 1) {
      // The others' attempts may touch the time of a directory that they share.
      const std::vector<testing::Ignored> ignored = {{".", testing::Attribute::kMtime}};
      EXPECT_THAT(
          DiffListings(ListingOf("alone"), ListingOf("root"), in_place ? ignored : std::vector<testing::Ignored>{}),
          IsEmpty());
    } else {
      EXPECT_THAT(NamesIn(work_.At("root")), IsEmpty());
    }
    EXPECT_EQ(NamesIn(work_.path()).size(), 2u);
    for (const std::string& name : NamesIn(work_.path())) std::filesystem::remove_all(work_.At(name));
  }
}

}  // namespace
}  // namespace sluice
