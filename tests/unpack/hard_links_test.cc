// Hard links, within a layer, forward, and to names that only a layer below has.
#include "gtest/gtest.h"
#include "tests/testing/tar_builder.h"
#include "tests/unpack/unpack_case.h"

namespace sluice::testing {
namespace {

using Tar = TarBuilder;

// cap_net_raw+ep: struct vfs_cap_data, revision 2.
std::string NetRaw() {
  return std::string("\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", 20);
}
const std::string kNetRawLine = "security.capability=\"" + EscapeBytes(NetRaw()) + "\"";

std::vector<UnpackCase> Cases() {
  return {
      {"ToAnEarlierFile",
       {Tar().File("a", "1").HardLink("b", "a").HardLink("c", "b").Build()},
       {R"(a -0644 "1")", R"(b -0644 "1" =a)", R"(c -0644 "1" =a)"}},
      {"ToALaterFile", {Tar().HardLink("a", "z").File("z", "1").Build()}, {R"(a -0644 "1")", R"(z -0644 "1" =a)"}},
      {"ToALaterLinkToALaterFile",
       {Tar().HardLink("a", "b").HardLink("b", "c").File("c", "1").Build()},
       {R"(a -0644 "1")", R"(b -0644 "1" =a)", R"(c -0644 "1" =a)"}},
      {"LinkNamesAreOfTheRootWhateverTheirSpelling",
       {Tar()
            .Directory("d")
            .File("d/f", "1")
            .HardLink("d/a", "/d/f")
            .HardLink("d/b", "./d/f")
            .HardLink("d/c", "d//f")
            .HardLink("d/e", "../d/f")
            .Build()},
       {"d d0755", R"(d/a -0644 "1")", R"(d/b -0644 "1" =d/a)", R"(d/c -0644 "1" =d/a)", R"(d/e -0644 "1" =d/a)",
        R"(d/f -0644 "1" =d/a)"}},
      {"ThroughASymlinkedDirectory",
       {Tar().Directory("d").File("d/f", "1").Symlink("l", "d").HardLink("x", "l/f").Build()},
       {"d d0755", R"(d/f -0644 "1")", "l l0777 -> d", R"(x -0644 "1" =d/f)"}},
      {"ToASymlinkIsALinkToTheSymlink",
       {Tar().File("f", "1").Symlink("l", "f").HardLink("x", "l", {.mode = 0777}).Build()},
       {R"(f -0644 "1")", "l l0777 -> f", "x l0777 -> f =l"}},
      {"ToASymlinkOfALowerLayer",
       {Tar().File("f", "1").Symlink("l", "f").Build(), Tar().HardLink("x", "l", {.mode = 0777}).Build()},
       {R"(f -0644 "1")", "l l0777 -> f", "x l0777 -> f =l"}},
      {"ToDevicesAndFifos",
       {Tar().CharDevice("n", 1, 3).Fifo("p").HardLink("n2", "n").HardLink("p2", "p").Build()},
       {"n c0644 1,3", "n2 c0644 1,3 =n", "p p0644", "p2 p0644 =p"}},
      // containerd: the entry's metadata is applied to the shared inode, the last one wins.
      {"MetadataOfTheLinkEntryIsAppliedToTheSharedInode",
       {Tar().File("a", "1").HardLink("b", "a", {.mode = 0600, .uid = 5, .mtime = 1'500'000'000}).Build()},
       {R"(a -0600 5:0 @1500000000 "1")", R"(b -0600 5:0 @1500000000 "1" =a)"}},
      // chown drops security.capability, also where it changes nothing: applying the link entry's owner must not cost
      // the file what its own entry gave it, as containerd's does.
      {"SetuidSurvivesANewOwnerFromTheLinkEntry",
       {Tar().File("su", "1", {.mode = 04755}).HardLink("x", "su", {.mode = 04755, .uid = 5}).Build()},
       {R"(su -4755 5:0 "1")", R"(x -4755 5:0 "1" =su)"}},
      {"CapabilityOfTheFileSurvivesItsLinkEntry",
       {Tar()
            .File("a", "1", {.mode = 04755, .xattrs = {{"security.capability", NetRaw()}}})
            .HardLink("b", "a", {.mode = 04755})
            .Build()},
       {R"(a -4755 "1" )" + kNetRawLine, R"(b -4755 "1" =a )" + kNetRawLine}},
      {"ReplacingOneNameLeavesTheOther",
       {Tar().File("a", "1").HardLink("b", "a").File("a", "2").Build()},
       {R"(a -0644 "2")", R"(b -0644 "1")"}},
      {"ReplacesWhatStoodThere",
       {Tar().File("a", "1").Directory("b").File("b/x").Build(), Tar().File("a", "2").HardLink("b", "a").Build()},
       {R"(a -0644 "2")", R"(b -0644 "2" =a)"}},
      // containerd's overlay path fails the pull: it looks only at the directory it writes.
      {"ToAFileOfALowerLayerCopiesItUp",
       {Tar()
            .Directory("d", {.mode = 0711})
            .File("d/f", "1", {.mode = 0640, .uid = 3, .xattrs = {{"user.a", "b"}}})
            .Build(),
        Tar().HardLink("x", "d/f", {.mode = 0640, .uid = 3}).Build()},
       {"d d0711", R"(d/f -0640 3:0 "1" user.a="b")", R"(x -0640 3:0 "1" =d/f user.a="b")"}},
      {"ToAFileOfALowerLayerWithNewMetadata",
       {Tar().File("f", "1").Build(), Tar().HardLink("x", "f", {.mode = 0600, .uid = 3}).Build()},
       {R"(f -0600 3:0 "1")", R"(x -0600 3:0 "1" =f)"}},
      {"SeveralToOneFileOfALowerLayerAreOneInode",
       {Tar().File("f", "1").Build(), Tar().HardLink("x", "f").HardLink("y", "f").HardLink("z", "x").Build()},
       {R"(f -0644 "1")", R"(x -0644 "1" =f)", R"(y -0644 "1" =f)", R"(z -0644 "1" =f)"}},
      {"TheTopmostLayerThatHasTheTargetIsTheOne",
       {Tar().File("f", "old").Build(), Tar().File("f", "new").Build(), Tar().HardLink("x", "f").Build()},
       {R"(f -0644 "new")", R"(x -0644 "new" =f)"}},
      {"ToDevicesAndFifosOfALowerLayer",
       {Tar().CharDevice("c", 5, 7).BlockDevice("b", 8, 9).Fifo("p").Build(),
        Tar().HardLink("c2", "c").HardLink("b2", "b").HardLink("p2", "p").Build()},
       {"b b0644 8,9", "b2 b0644 8,9 =b", "c c0644 5,7", "c2 c0644 5,7 =c", "p p0644", "p2 p0644 =p"}},
      {"ThroughASymlinkOfALowerLayer",
       {Tar().Directory("d").File("d/f", "1").Symlink("l", "d").Build(), Tar().HardLink("l/x", "l/f").Build()},
       {"d d0755", R"(d/f -0644 "1")", R"(d/x -0644 "1" =d/f)", "l l0777 -> d"}},
      {"ThroughAnAbsoluteSymlinkOfALowerLayer",
       {Tar().Directory("d").Symlink("d/l", "/t").Directory("t").File("t/f", "1").Build(),
        Tar().HardLink("x", "d/l/f").Build()},
       {"d d0755", "d/l l0777 -> /t", "t d0755", R"(t/f -0644 "1")", R"(x -0644 "1" =t/f)"}},
      {"LinkNameThroughALowerSymlinkToAFileOfThisLayer",
       {Tar().Directory("usr").Directory("usr/bin").Symlink("bin", "usr/bin").Build(),
        Tar().File("usr/bin/f", "1").HardLink("usr/bin/x", "bin/f").Build()},
       {"bin l0777 -> usr/bin", "usr d0755", "usr/bin d0755", R"(usr/bin/f -0644 "1")",
        R"(usr/bin/x -0644 "1" =usr/bin/f)"}},
      // As the kernel's copy-up does it: of a group below only the named one joins the new group.
      {"OfALowerGroupOnlyTheNamedOneJoins",
       {Tar().File("a", "1").HardLink("b", "a").Build(), Tar().HardLink("c", "a").Build()},
       {R"(a -0644 "1")", R"(b -0644 "1")", R"(c -0644 "1" =a)"}},
      {"LowerGroupUntouchedStaysAGroup",
       {Tar().File("a", "1").HardLink("b", "a").Build(), Tar().File("other").Build()},
       {R"(a -0644 "1")", R"(b -0644 "1" =a)", "other -0644"}},
      {"SparseTargetBelowIsCopiedExactly",
       {Tar().SparseFile("f", SparseFormat::kPax10, 20'000, {{8192, "data"}, {20'000, ""}}).Build(),
        Tar().HardLink("x", "f").Build()},
       {"f -0644 sha256:9c6bc32d970dc68f2c6e08dd7c960fca2d4ff679958556267600f23d25a81038",
        "x -0644 sha256:9c6bc32d970dc68f2c6e08dd7c960fca2d4ff679958556267600f23d25a81038 =f"}},
      // A hard link has no content, whatever its size field says (Go's archive/tar: header-only types).
      // The whiteout hides what is below, and never an entry of its own layer.
      {"TheLastOfTwoAtOnePlaceCounts",
       {Tar().File("f", "1").File("g", "2").Build(),
        Tar().HardLink("x", "p").HardLink("x", "g").HardLink("p", "f").Build()},
       {R"(f -0644 "1")", R"(g -0644 "2")", R"(p -0644 "1" =f)", R"(x -0644 "2" =g)"}},
      {"ItsOwnNameHiddenBelow",
       {Tar().File("f", "1").File("x", "old").Build(), Tar().HardLink("x", "f").Whiteout("x").Build()},
       {R"(f -0644 "1")", R"(x -0644 "1" =f)"}},
      {"ToANameHiddenBelowThatALinkTakes",
       {Tar().File("f", "1").File("x", "old").Build(),
        Tar().Whiteout("x").HardLink("a", "x").HardLink("x", "f").Build()},
       {R"(a -0644 "1")", R"(f -0644 "1" =a)", R"(x -0644 "1" =a)"}},
      {"ReplacesADirectoryInWhichSomethingIsHidden",
       {Tar().File("f", "1").Directory("b").File("b/a").Build(), Tar().HardLink("b", "f").Whiteout("b/a").Build()},
       {R"(b -0644 "1")", R"(f -0644 "1" =b)"}},
      {"ReplacesADirectoryFromWhichALinkWasTaken",
       {Tar().File("f", "1").Directory("b").File("b/a", "2").Build(),
        Tar().HardLink("c", "b/a").HardLink("b", "f").Build()},
       {R"(b -0644 "1")", R"(c -0644 "2")", R"(f -0644 "1" =b)"}},
      {"ReplacedByADirectoryHidesTheLowerContent",
       {Tar().File("f", "1").File("d/old").Build(), Tar().HardLink("d", "f").Directory("d").File("d/new").Build()},
       {"d d0755", "d/new -0644", R"(f -0644 "1")"}},
      {"SizeInTheHeaderOfALinkIsIgnored",
       {Tar().File("a", "1").Header({.name = "b", .size = 1, .type = '1', .link = "a"}).File("c", "3").Build()},
       {R"(a -0644 "1")", R"(b -0644 "1" =a)", R"(c -0644 "3")"}},
      {"LongLinkNamesInBothForms",
       {Tar()
            .File(std::string(120, 'n'), "1")
            .HardLink("g", std::string(120, 'n'), {.gnu = true})
            .HardLink("p", std::string(120, 'n'))
            .Build()},
       {R"(g -0644 "1")", std::string(120, 'n') + R"( -0644 "1" =g)", R"(p -0644 "1" =g)"}},
  };
}

class HardLinksTest : public ::testing::TestWithParam<UnpackCase> {};
TEST_P(HardLinksTest, TreeIs) { CheckUnpacks(GetParam()); }
INSTANTIATE_TEST_SUITE_P(HardLinks, HardLinksTest, ::testing::ValuesIn(Cases()), CaseName());

std::vector<RefusalCase> Refusals() {
  const auto code = absl::StatusCode::kInvalidArgument;
  return {
      {"MissingTargetNamesBoth", {Tar().HardLink("a", "missing").Build()}, code, {"entry a", "missing"}},
      {"MissingTargetInAnUpperLayer",
       {Tar().File("f").Build(), Tar().HardLink("a", "d/missing").Build()},
       code,
       {"entry a", "d/missing"}},
      {"ToItself", {Tar().HardLink("a", "a").Build()}, code, {"entry a"}},
      {"ACircleOfLinks", {Tar().HardLink("a", "b").HardLink("b", "a").Build()}, code, {"entry"}},
      {"ToADirectory", {Tar().Directory("d").HardLink("a", "d").Build()}, code, {"entry a", "d"}},
      {"ToADirectoryBelow", {Tar().Directory("d").Build(), Tar().HardLink("a", "d").Build()}, code, {"entry a"}},
      {"ToAFileInTheDirectoryItReplaces",
       {Tar().Directory("d").File("d/f").HardLink("d", "d/f").Build()},
       code,
       {"entry d", "d/f"}},
      {"ToAFileInTheDirectoryBelowItReplaces",
       {Tar().Directory("d").File("d/f").Build(), Tar().HardLink("d", "d/f").Build()},
       code,
       {"entry d", "d/f"}},
      {"AsADirectory",
       {Tar().File("f").Build(), Tar().HardLink("h", "f").File("h/x").Build()},
       code,
       {"entry h/x", "not a directory"}},
      {"ToTheRoot", {Tar().HardLink("a", "/").Build()}, code, {"entry a"}},
      // The whiteout hides the target, which only a lower layer has.
      {"ToATargetThatThisLayerHides",
       {Tar().File("f").Build(), Tar().Whiteout("f").HardLink("a", "f").Build()},
       code,
       {"entry a", "f"}},
      {"ToATargetThatAnOlderLayerHides",
       {Tar().File("f").Build(), Tar().Whiteout("f").Build(), Tar().HardLink("a", "f").Build()},
       code,
       {"entry a", "f"}},
  };
}

class HardLinkRefusalTest : public ::testing::TestWithParam<RefusalCase> {};
TEST_P(HardLinkRefusalTest, IsRefused) { CheckRefuses(GetParam()); }
INSTANTIATE_TEST_SUITE_P(HardLinks, HardLinkRefusalTest, ::testing::ValuesIn(Refusals()), CaseName());

}  // namespace
}  // namespace sluice::testing
