// Whiteouts and opaque directories: OCI image-spec layer.md, "Whiteouts" and "Opaque Whiteout".
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/tar_builder.h"
#include "tests/testing/tree_listing.h"
#include "tests/unpack/unpack_case.h"

namespace sluice::testing {
namespace {

using Tar = TarBuilder;

// d/ with two files and a directory below.
std::string Lower() {
  return Tar()
      .Directory("d", {.mode = 0750, .uid = 7, .xattrs = {{"user.of", "lower"}}})
      .File("d/a", "lower a")
      .File("d/b", "lower b")
      .Directory("d/sub")
      .File("d/sub/c", "lower c")
      .File("f", "lower f")
      .Build();
}

std::vector<UnpackCase> Cases() {
  return {
      {"HidesAFileAndLeavesItsDirectoryAsItWas",
       {Lower(), Tar().Whiteout("d/a").Build()},
       {R"(d d0750 7:0 user.of="lower")", R"(d/b -0644 "lower b")", "d/sub d0755", R"(d/sub/c -0644 "lower c")",
        R"(f -0644 "lower f")"}},
      {"HidesADirectoryWithAllThatIsInIt", {Lower(), Tar().Whiteout("d").Build()}, {R"(f -0644 "lower f")"}},
      {"HidesASymlinkAndNotItsTarget",
       {Tar().File("f", "1").Symlink("l", "f").Build(), Tar().Whiteout("l").Build()},
       {R"(f -0644 "1")"}},
      // "Whiteout files MUST only apply to resources in lower/parent layers": containerd's naive path and the script
      // this work grew from delete the new file (peers.md §1.2 b).
      {"FileThenItsWhiteoutKeepsTheNewFile",
       {Lower(), Tar().File("f", "new").Whiteout("f").Whiteout("d").Build()},
       {R"(f -0644 "new")"}},
      {"WhiteoutThenFileKeepsTheNewFile",
       {Lower(), Tar().Whiteout("f").File("f", "new").Whiteout("d").Build()},
       {R"(f -0644 "new")"}},
      // containerd's overlay path loses the whiteout, and the lower content shines through.
      {"WhiteoutThenDirectoryHidesTheLowerContent",
       {Lower(), Tar().Whiteout("d").Directory("d").File("d/new", "n").Build()},
       {"d d0755", R"(d/new -0644 "n")", R"(f -0644 "lower f")"}},
      // containerd fails the pull.
      {"DirectoryThenItsWhiteoutHidesTheLowerContent",
       {Lower(), Tar().Directory("d").File("d/new", "n").Whiteout("d").Build()},
       {"d d0755", R"(d/new -0644 "n")", R"(f -0644 "lower f")"}},
      {"WhiteoutThenSymlink",
       {Lower(), Tar().Whiteout("d").Symlink("d", "f").Build()},
       {"d l0777 -> f", R"(f -0644 "lower f")"}},
      {"WhiteoutThenImpliedDirectoryIsANewDirectory",
       {Lower(), Tar().Whiteout("d").File("d/new", "n").Build()},
       {"d d0755 @0", R"(d/new -0644 "n")", R"(f -0644 "lower f")"}},
      {"BelowADirectoryThatAFileReplaces",
       {Tar().Directory("d").Directory("d/e").File("d/e/x").Build(), Tar().Whiteout("d/e/x").Fifo("d").Build()},
       {"d p0644"}},
      {"MissingTargetIsFine",
       {Lower(), Tar().Whiteout("missing").Whiteout("d/missing").Whiteout("d").Build()},
       {R"(f -0644 "lower f")"}},
      {"TwiceIsFine", {Lower(), Tar().Whiteout("d").Whiteout("d").Build()}, {R"(f -0644 "lower f")"}},
      {"TypeAndContentOfTheWhiteoutAreIgnored",
       {Tar().File("a").File("b").File("c").File("d").File("keep").Build(), Tar()
                                                                                .Entry('0', ".wh.a", "some content")
                                                                                .Directory(".wh.b")
                                                                                .Symlink(".wh.c", "/etc/passwd")
                                                                                .HardLink(".wh.d", "keep")
                                                                                .Build()},
       {"keep -0644"}},
      {"ThroughASymlinkOfALowerLayer",
       {Tar().Directory("real").File("real/x", "1").File("real/y", "2").Symlink("link", "real").Build(),
        Tar().Whiteout("link/x").Build()},
       {"link l0777 -> real", "real d0755", R"(real/y -0644 "2")"}},
      {"WhiteoutInTheFirstLayerLeavesNothing", {Tar().Whiteout("a").File("b").Build()}, {"b -0644"}},
      {"BelowANewDirectoryLeavesNothing",
       {Tar().File("x").Build(), Tar().Directory("new").Whiteout("new/a").File("new/b").Build()},
       {"new d0755", "new/b -0644", "x -0644"}},
      {"AHiddenNameComesBackInAThirdLayer",
       {Lower(), Tar().Whiteout("d").Build(), Tar().File("d/new", "n").Build()},
       {"d d0755 @0", R"(d/new -0644 "n")", R"(f -0644 "lower f")"}},
      {"AHiddenDirectoryComesBackExplicitly",
       {Lower(), Tar().Whiteout("d").Build(), Tar().Directory("d", {.mode = 0700}).Build()},
       {"d d0700", R"(f -0644 "lower f")"}},
      // "children of the opaque directory that are in the same layer are not hidden", whatever the order (peers.md
      // §1.2 a).
      {"OpaqueBeforeItsSiblingsKeepsThem",
       {Lower(), Tar().Directory("d").Opaque("d").File("d/new", "n").Build()},
       {"d d0755", R"(d/new -0644 "n")", R"(f -0644 "lower f")"}},
      {"OpaqueAfterItsSiblingsKeepsThem",
       {Lower(), Tar().Directory("d").File("d/new", "n").File("d/a", "new a").Opaque("d").Build()},
       {"d d0755", R"(d/a -0644 "new a")", R"(d/new -0644 "n")", R"(f -0644 "lower f")"}},
      // containerd's naive path deletes the implied directory together with its new children.
      {"OpaqueKeepsNewChildrenOfImpliedDirectories",
       {Lower(), Tar().File("d/sub/new", "n").Opaque("d").Build()},
       {R"(d d0750 7:0 user.of="lower")", "d/sub d0755 @0", R"(d/sub/new -0644 "n")", R"(f -0644 "lower f")"}},
      {"OpaqueOfAnImpliedDirectoryKeepsTheDirectorysAttributes",
       {Lower(), Tar().Opaque("d").Build()},
       {R"(d d0750 7:0 user.of="lower")", R"(f -0644 "lower f")"}},
      {"OpaqueBelowOpaque",
       {Lower(), Tar().Opaque("d").Opaque("d/sub").File("d/sub/new", "n").Build()},
       {R"(d d0750 7:0 user.of="lower")", "d/sub d0755 @0", R"(d/sub/new -0644 "n")", R"(f -0644 "lower f")"}},
      {"WhiteoutInsideAnOpaqueDirectoryLeavesNothing",
       {Lower(), Tar().Directory("d").Opaque("d").Whiteout("d/a").Whiteout("d/sub").Build()},
       {"d d0755", R"(f -0644 "lower f")"}},
      {"WhiteoutBeforeTheOpaqueMarkerLeavesNothing",
       {Lower(), Tar().Directory("d").Whiteout("d/a").Opaque("d").Build()},
       {"d d0755", R"(f -0644 "lower f")"}},
      // The kernel does not look at trusted.overlay.opaque on the root of a lowerdir.
      {"OpaqueRootHidesEverythingBelow", {Lower(), Tar().Opaque("").File("new", "n").Build()}, {R"(new -0644 "n")"}},
      {"OpaqueRootAfterEntriesKeepsThem",
       {Lower(), Tar().File("f", "new").File("d/x", "x").Opaque("").Build()},
       {"d d0755 @0", R"(d/x -0644 "x")", R"(f -0644 "new")"}},
      {"OpaqueThroughASymlinkOfALowerLayer",
       {Tar().Directory("real").File("real/x").Symlink("link", "real").Build(), Tar().Opaque("link").Build()},
       {"link l0777 -> real", "real d0755"}},
      {"TwoLayersOfOpaque",
       {Lower(), Tar().Directory("d").Opaque("d").File("d/2").Build(),
        Tar().Directory("d", {.mode = 0711}).Opaque("d").File("d/3").Build()},
       {"d d0711", "d/3 -0644", R"(f -0644 "lower f")"}},
      {"ImpliedOverAnOpaqueDirectoryTakesItsAttributes",
       {Lower(), Tar().Directory("d", {.mode = 0711}).Opaque("d").Build(), Tar().File("d/e").Build()},
       {"d d0711", "d/e -0644", R"(f -0644 "lower f")"}},
      {"ANewDirectoryOverALowerFileIsEmpty",
       {Tar().Directory("d").File("d/old").Build(), Tar().File("d").Build(), Tar().Directory("d").Build()},
       {"d d0755"}},
      {"ReplacedByAFileAndMadeAgainInOneLayerHidesTheLowerContent",
       {Lower(), Tar().File("d").Directory("d").File("d/new").Build()},
       {"d d0755", "d/new -0644", R"(f -0644 "lower f")"}},
      // containerd.md §6.2: treated as whiteouts of ".wh.plnk" and so on, and never visible.
      {"AufsMarksAreNotVisible",
       {Lower(), Tar().Whiteout(".wh.plnk").Whiteout(".wh.aufs").Whiteout(".wh.orph").Whiteout("d").Build()},
       {R"(f -0644 "lower f")"}},
      {"OnlyTheLastComponentIsAWhiteout",
       {Lower(), Tar().Directory(".wh-dir").File(".wh-dir/x").Whiteout("d").Build()},
       {".wh-dir d0755", ".wh-dir/x -0644", R"(f -0644 "lower f")"}},
      {"WhiteoutAndReplacementOfAHardLinkKeepsTheOtherName",
       {Tar().File("a", "1").HardLink("b", "a").Build(), Tar().Whiteout("a").Build()},
       {R"(b -0644 "1")"}},
  };
}

class WhiteoutsTest : public ::testing::TestWithParam<UnpackCase> {};
TEST_P(WhiteoutsTest, TreeIs) { CheckUnpacks(GetParam()); }
INSTANTIATE_TEST_SUITE_P(Whiteouts, WhiteoutsTest, ::testing::ValuesIn(Cases()), CaseName());

std::vector<RefusalCase> Refusals() {
  const auto code = absl::StatusCode::kInvalidArgument;
  return {
      {"EmptyTarget", {Lower(), Tar().File("d/.wh.").Build()}, code, {"d/.wh."}},
      {"DotTarget", {Lower(), Tar().File("d/.wh..").Build()}, code, {"d/.wh.."}},
      {"DotDotTarget", {Lower(), Tar().File("d/.wh...").Build()}, code, {"d/.wh..."}},
      {"DotDotTargetInTheRoot", {Lower(), Tar().File(".wh...").Build()}, code, {".wh..."}},
  };
}

class WhiteoutRefusalTest : public ::testing::TestWithParam<RefusalCase> {};
TEST_P(WhiteoutRefusalTest, IsRefused) { CheckRefuses(GetParam()); }
INSTANTIATE_TEST_SUITE_P(Whiteouts, WhiteoutRefusalTest, ::testing::ValuesIn(Refusals()), CaseName());

// What stands in the layer directory itself: a whiteout or an opaque mark only where it hides something, else the name
// is visible as "c?????????" in views of a part of the chain, and tar fails on it.
TEST(WhiteoutFormTest, FirstLayerHasNone) {
  OverlayChain chain;
  ASSERT_OK(chain.Add(
      SourceOf(Tar().Directory("d").Whiteout("d/a").Opaque("d").Whiteout("b").Opaque("").Build(), "layer 1")));
  ASSERT_OK_AND_ASSIGN(const TreeListing disk, ListTree(chain.directory(0)));
  EXPECT_THAT(Lines(disk), ::testing::ElementsAre("d d0755"));
  EXPECT_TRUE(disk.at(".").xattrs.empty());
}

TEST(WhiteoutFormTest, WhiteoutIsAZeroDeviceAndOnlyOverSomething) {
  OverlayChain chain;
  ASSERT_OK(chain.Add(SourceOf(Lower(), "layer 1")));
  ASSERT_OK(chain.Add(SourceOf(Tar().Whiteout("f").Whiteout("missing").Whiteout("d/missing").Build(), "layer 2")));
  ASSERT_OK_AND_ASSIGN(const TreeListing disk, ListTree(chain.directory(1)));
  ASSERT_EQ(disk.count("f"), 1u);
  EXPECT_EQ(disk.at("f").type, 'c');
  EXPECT_EQ(disk.at("f").major, 0u);
  EXPECT_EQ(disk.at("f").minor, 0u);
  EXPECT_EQ(disk.count("missing"), 0u);
  EXPECT_EQ(disk.count("d/missing"), 0u);
}

TEST(WhiteoutFormTest, NoneInsideAnOpaqueDirectory) {
  OverlayChain chain;
  ASSERT_OK(chain.Add(SourceOf(Lower(), "layer 1")));
  ASSERT_OK(chain.Add(SourceOf(Tar().Directory("d").Whiteout("d/a").Opaque("d").Build(), "layer 2")));
  ASSERT_OK_AND_ASSIGN(const TreeListing disk, ListTree(chain.directory(1)));
  EXPECT_THAT(Lines(disk), ::testing::ElementsAre(R"(d d0755 trusted.overlay.opaque="y")"));
}

TEST(WhiteoutFormTest, NoneOverANameThatAnOlderLayerHides) {
  OverlayChain chain;
  ASSERT_OK(chain.Add(SourceOf(Lower(), "layer 1")));
  ASSERT_OK(chain.Add(SourceOf(Tar().Whiteout("f").Build(), "layer 2")));
  ASSERT_OK(chain.Add(SourceOf(Tar().Whiteout("f").Build(), "layer 3")));
  ASSERT_OK_AND_ASSIGN(const TreeListing disk, ListTree(chain.directory(2)));
  EXPECT_EQ(disk.count("f"), 0u);
}

}  // namespace
}  // namespace sluice::testing
