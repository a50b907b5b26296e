// Directories that a layer writes into without listing them: they keep what the topmost layer below that has them says,
// and a symlink there is followed, within the root (DESIGN: a merged-view unpacker's result).
#include "gtest/gtest.h"
#include "tests/testing/tar_builder.h"
#include "tests/unpack/unpack_case.h"

namespace sluice::testing {
namespace {

using Tar = TarBuilder;

// Merged /usr, as Debian has it.
std::string MergedUsr() {
  return Tar().Directory("usr").Directory("usr/bin").File("usr/bin/sh", "sh").Symlink("bin", "usr/bin").Build();
}

std::vector<UnpackCase> Cases() {
  return {
      {"WithoutAParentBelowIsAPlainDirectory",
       {Tar().File("a/b/c", "1").Build()},
       {"a d0755 @0", "a/b d0755 @0", R"(a/b/c -0644 "1")"}},
      {"KeepsModeOwnerTimesAndXattrsOfTheParent",
       {Tar()
            .Directory("tmp", {.mode = 01777,
                               .uid = 3,
                               .gid = 4,
                               .mtime = 1'500'000'000,
                               .nanoseconds = 9,
                               .xattrs = {{"user.note", "kept"}}})
            .Build(),
        Tar().File("tmp/x", "1").Build()},
       {R"(tmp d1777 3:4 @1500000000.000000009 user.note="kept")", R"(tmp/x -0644 "1")"}},
      {"KeepsThoseOfTheTopmostParentThatHasIt",
       {Tar().Directory("d", {.mode = 0700}).Build(), Tar().Directory("d", {.mode = 0711}).Build(),
        Tar().File("other").Build(), Tar().File("d/x").Build()},
       {"d d0711", "d/x -0644", "other -0644"}},
      {"SeveralLevels",
       {Tar()
            .Directory("a", {.mode = 0711})
            .Directory("a/b", {.mode = 0722})
            .Directory("a/b/c", {.mode = 0733})
            .Build(),
        Tar().File("a/b/c/x").Build()},
       {"a d0711", "a/b d0722", "a/b/c d0733", "a/b/c/x -0644"}},
      {"HalfOfThemBelow",
       {Tar().Directory("a", {.mode = 0711}).Build(), Tar().File("a/b/c").Build()},
       {"a d0711", "a/b d0755 @0", "a/b/c -0644"}},
      {"ListedLaterInTheSameLayer",
       {Tar().File("d/x").Directory("d", {.mode = 0700, .uid = 1}).Build()},
       {"d d0700 1:0", "d/x -0644"}},
      // hypeman#98: `bin/x` over a lower `bin -> usr/bin`; containerd's overlay path turns bin into a directory.
      {"LowerSymlinkIsFollowed",
       {MergedUsr(), Tar().File("bin/x", "1").Build()},
       {"bin l0777 -> usr/bin", "usr d0755", "usr/bin d0755", R"(usr/bin/sh -0644 "sh")", R"(usr/bin/x -0644 "1")"}},
      {"LowerAbsoluteSymlinkIsOfTheRoot",
       {Tar().Directory("usr").Directory("usr/bin", {.mode = 0711}).Symlink("bin", "/usr/bin").Build(),
        Tar().File("bin/x", "1").Build()},
       {"bin l0777 -> /usr/bin", "usr d0755", "usr/bin d0711", R"(usr/bin/x -0644 "1")"}},
      {"LowerSymlinkUpwardsIsClampedAtTheRoot",
       {Tar().Directory("a").Directory("t").Symlink("a/l", "../../../../t").Build(), Tar().File("a/l/x", "1").Build()},
       {"a d0755", "a/l l0777 -> ../../../../t", "t d0755", R"(t/x -0644 "1")"}},
      {"ChainOfSymlinksInThreeLayers",
       {Tar().Directory("real", {.mode = 0711}).Build(), Tar().Symlink("l1", "real").Build(),
        Tar().Symlink("l2", "l1").Build(), Tar().File("l2/x", "1").Build()},
       {"l1 l0777 -> real", "l2 l0777 -> l1", "real d0711", R"(real/x -0644 "1")"}},
      {"SymlinkInTheMiddle",
       {Tar().Directory("a").Directory("a/b", {.mode = 0711}).Symlink("l", "a").Build(), Tar().File("l/b/x").Build()},
       {"a d0755", "a/b d0711", "a/b/x -0644", "l l0777 -> a"}},
      {"DirectoriesBelowALowerSymlink",
       {MergedUsr(), Tar().Directory("bin/sub", {.mode = 0700}).File("bin/sub/x").Build()},
       {"bin l0777 -> usr/bin", "usr d0755", "usr/bin d0755", R"(usr/bin/sh -0644 "sh")", "usr/bin/sub d0700",
        "usr/bin/sub/x -0644"}},
      // All three are t/d/x, two of them after moves: the last one in the archive stays.
      {"TheLastOfThreeNamesOfOnePlaceStays",
       {Tar().Directory("t").Symlink("k", "t").Symlink("m", "k/d").Build(),
        Tar().File("m/x", "1").File("k/d/x", "2").File("m/y", "1").File("k/d/y", "2").File("m/y", "3").Build()},
       {"k l0777 -> t", "m l0777 -> k/d", "t d0755", "t/d d0755 @0", R"(t/d/x -0644 "2")", R"(t/d/y -0644 "3")"}},
      {"AListedDirectoryMeetsAnUnlistedOne",
       {Tar().Directory("t").Symlink("l", "t").Build(),
        Tar().File("t/s/y").Directory("l/s", {.mode = 0711, .mtime = 5}).File("l/s/x").Build()},
       {"l l0777 -> t", "t d0755", "t/s d0711 @5", "t/s/x -0644", "t/s/y -0644"}},
      {"TheLastOfThreeListingsOfOneDirectoryStays",
       {Tar().Directory("t").Symlink("k", "t").Symlink("m", "t").Build(), Tar()
                                                                              .File("t/x")
                                                                              .Directory("t/s", {.mode = 0700})
                                                                              .Directory("m/s", {.mode = 0703})
                                                                              .Directory("k/s", {.mode = 0701})
                                                                              .Build()},
       {"k l0777 -> t", "m l0777 -> t", "t d0755", "t/s d0701", "t/x -0644"}},
      {"AFileBehindALowerSymlinkReplacesUnlistedDirectories",
       {Tar().Directory("t").Symlink("l", "t").Build(), Tar().File("t/a/b/c").File("l/a", "1").Build()},
       {"l l0777 -> t", "t d0755", R"(t/a -0644 "1")"}},
      {"DanglingLowerSymlinkGetsItsTarget",
       {Tar().Symlink("l", "made/here").Build(), Tar().File("l/x").Build()},
       {"l l0777 -> made/here", "made d0755 @0", "made/here d0755 @0", "made/here/x -0644"}},
      {"SymlinkOfTheSameLayerIsFollowed",
       {Tar().Directory("real").Symlink("l", "real").File("l/x", "1").Build()},
       {"l l0777 -> real", "real d0755", R"(real/x -0644 "1")"}},
      {"AbsoluteSymlinkOfTheSameLayerIsOfTheRoot",
       {Tar().Directory("d").Symlink("d/l", "/t").File("d/l/x").Build()},
       {"d d0755", "d/l l0777 -> /t", "t d0755 @0", "t/x -0644"}},
      {"SymlinkOfTheSameLayerUpFromADirectoryBelow",
       {Tar().Directory("a").Build(), Tar().Symlink("l", "a/../t").File("l/x").Build()},
       {"a d0755", "l l0777 -> a/../t", "t d0755 @0", "t/x -0644"}},
      {"SymlinkOfTheSameLayerIntoALowerDirectory",
       {Tar().Directory("real", {.mode = 0711}).Build(), Tar().Symlink("l", "real").File("l/x", "1").Build()},
       {"l l0777 -> real", "real d0711", R"(real/x -0644 "1")"}},
      // An explicit entry replaces, whatever is below: OCI layer.md, "Changeset over existing files".
      {"ExplicitDirectoryReplacesALowerSymlink",
       {MergedUsr(), Tar().Directory("bin").File("bin/x", "1").Build()},
       {"bin d0755", R"(bin/x -0644 "1")", "usr d0755", "usr/bin d0755", R"(usr/bin/sh -0644 "sh")"}},
      {"ImpliedOverAReplacedSymlinkIsTheNewDirectory",
       {MergedUsr(), Tar().Directory("bin", {.mode = 0711}).Build(), Tar().File("bin/x", "1").Build()},
       {"bin d0711", R"(bin/x -0644 "1")", "usr d0755", "usr/bin d0755", R"(usr/bin/sh -0644 "sh")"}},
      {"ExplicitSymlinkReplacesALowerDirectory",
       {Tar().Directory("lib").File("lib/old").Directory("usr").Build(), Tar().Symlink("lib", "usr").Build(),
        Tar().File("lib/new").Build()},
       {"lib l0777 -> usr", "usr d0755", "usr/new -0644"}},
      {"ExplicitSymlinkReplacesAnImpliedDirectoryOfItsLayer",
       {Tar().File("lib/x").Directory("usr").Symlink("lib", "usr").Build()},
       {"lib l0777 -> usr", "usr d0755"}},
      {"DirectoryReplacedByAFileBelowIsNotTheParent",
       {Tar().Directory("d", {.mode = 0700}).File("d/old").Build(), Tar().Whiteout("d").Build(),
        Tar().File("d/new").Build()},
       {"d d0755 @0", "d/new -0644"}},
      // umoci and containerd's naive path fail; containerd's overlay path and Docker replace what is not a directory.
      {"FileBelowGivesWay", {Tar().File("f", "old").Build(), Tar().File("f/x").Build()}, {"f d0755 @0", "f/x -0644"}},
      {"FileBelowBehindALowerSymlinkGivesWay",
       {Tar().File("f", "old").Symlink("l", "f").Build(), Tar().File("l/x").Build()},
       {"f d0755 @0", "f/x -0644", "l l0777 -> f"}},
      // The times of a directory are its own, not those of its last change.
      {"ParentTimesSurviveEverySortOfChange",
       {Tar().Directory("d").File("d/a").File("d/b").Directory("d/c").File("d/c/x").Build(),
        Tar().Whiteout("d/a").File("d/b", "new").File("d/new").HardLink("d/link", "d/new").Whiteout("d/c/x").Build()},
       {"d d0755", R"(d/b -0644 "new")", "d/c d0755", "d/link -0644", "d/new -0644 =d/link"}},
  };
}

class ImpliedDirectoriesTest : public ::testing::TestWithParam<UnpackCase> {};
TEST_P(ImpliedDirectoriesTest, TreeIs) { CheckUnpacks(GetParam()); }
INSTANTIATE_TEST_SUITE_P(ImpliedDirectories, ImpliedDirectoriesTest, ::testing::ValuesIn(Cases()), CaseName());

std::vector<RefusalCase> Refusals() {
  const auto code = absl::StatusCode::kInvalidArgument;
  return {
      {"ParentIsAFileOfTheSameLayer", {Tar().File("f").File("f/x").Build()}, code, {"f/x"}},
      {"ParentIsALoopOfSymlinks", {Tar().Symlink("a", "b").Symlink("b", "a").File("a/x").Build()}, code, {"a/x"}},
      {"ParentIsALoopOfSymlinksBelow",
       {Tar().Symlink("a", "b").Symlink("b", "a").Build(), Tar().File("a/x").Build()},
       code,
       {"too many symlinks"}},
      // Which only an unpacker that goes entry by entry can do.
      {"ASymlinkGoesUpFromASymlinkBelow",
       {Tar().Directory("x").Directory("x/y").Symlink("a", "x/y").Build(),
        Tar().Symlink("l", "a/../t").File("l/f").Build()},
       absl::StatusCode::kFailedPrecondition,
       {"a/.."}},
      {"ASymlinkGoesUpFromASymlinkBehindASymlinkBelow",
       {Tar().Directory("d").Directory("z").Symlink("d/e", "../z").Symlink("b", "d").Build(),
        Tar().Symlink("l", "b/e/../t").File("l/f").File("d/e/x").Build()},
       absl::StatusCode::kFailedPrecondition,
       {"d/e/.."}},
      {"ASymlinkBelowLeadsTheEntryToItsOwnPlace",
       {Tar().Directory("d").Symlink("d/l", ".").Build(), Tar().File("d/l/l").Build()},
       absl::StatusCode::kFailedPrecondition,
       {"entry d/l/l", "own place"}},
  };
}

class ImpliedDirectoryRefusalTest : public ::testing::TestWithParam<RefusalCase> {};
TEST_P(ImpliedDirectoryRefusalTest, IsRefused) { CheckRefuses(GetParam()); }
INSTANTIATE_TEST_SUITE_P(ImpliedDirectories, ImpliedDirectoryRefusalTest, ::testing::ValuesIn(Refusals()), CaseName());

}  // namespace
}  // namespace sluice::testing
