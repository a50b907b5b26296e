// Owner, mode, times and extended attributes.
#include <sys/stat.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/tar_builder.h"
#include "tests/unpack/unpack_case.h"
#include "unpack/flat_unpacker.h"
#include "unpack/overlay_unpacker.h"

namespace sluice::testing {
namespace {

using Tar = TarBuilder;

// cap_net_raw+ep, as ping has it: struct vfs_cap_data, revision 2.
std::string NetRaw() {
  return std::string("\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", 20);
}
constexpr char kNetRawLine[] =
    "security.capability=\"\\x01\\x00\\x00\\x02\\x00 \\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00"
    "\\x00\"";

// user::rw-, user:7:r--, group::r--, mask::r--, other::r-- as the kernel keeps it.
std::string AclOfUser7(char mask = 4) {
  std::string acl(
      "\x02\0\0\0"
      "\x01\0\x06\0\xff\xff\xff\xff"
      "\x02\0\x04\0\x07\0\0\0"
      "\x04\0\x04\0\xff\xff\xff\xff"
      "\x10\0\x04\0\xff\xff\xff\xff"
      "\x20\0\x04\0\xff\xff\xff\xff",
      44);
  acl[30] = mask;
  return acl;
}

std::vector<UnpackCase> OwnerAndMode() {
  return {
      // chown clears setuid, so the mode comes after it.
      {"SetuidSetgidAndStickySurviveTheOwner",
       {Tar()
            .File("u", "", {.mode = 04755, .uid = 1, .gid = 2})
            .File("g", "", {.mode = 02711, .uid = 1, .gid = 2})
            .Directory("t", {.mode = 07777, .uid = 1, .gid = 2})
            .Build()},
       {"g -2711 1:2", "t d7777 1:2", "u -4755 1:2"}},
      {"ModeZeroAndUnreadableDirectories",
       {Tar().Directory("d", {.mode = 0000}).File("d/f", "1", {.mode = 0000}).Build()},
       {"d d0000", R"(d/f -0000 "1")"}},
      {"FileTypeBitsInTheModeFieldAreIgnored",
       {Tar().File("f", "", {.mode = 0100644}).Directory("d", {.mode = 0040700}).Build()},
       {"d d0700", "f -0644"}},
      {"NumericOwnersOnlyWhateverTheNamesSay",
       {Tar().File("f", "", {.uid = 12, .gid = 34, .uname = "root", .gname = "daemon"}).Build()},
       {"f -0644 12:34"}},
      {"BigOwnersInBase256AndInPax",
       {Tar()
            .File("b", "", {.uid = 4'000'000'000, .gid = 3'000'000'000})
            .File("p", "", {.pax = {{"uid", "4000000001"}, {"gid", "3000000001"}}})
            .Build()},
       {"b -0644 4000000000:3000000000", "p -0644 4000000001:3000000001"}},
      {"OwnerOfASymlinkAndNotOfItsTarget",
       {Tar().File("f").Symlink("l", "f", {.uid = 9, .gid = 8}).Build()},
       {"f -0644", "l l0777 9:8 -> f"}},
      {"SpecialFiles",
       {Tar()
            .CharDevice("c", 5, 1, {.mode = 0620, .gid = 5})
            .BlockDevice("b", 259, 300'000, {.mode = 0660})
            .Fifo("p", {.mode = 0600, .uid = 1})
            .Build()},
       {"b b0660 259,300000", "c c0620 0:5 5,1", "p p0600 1:0"}},
      {"OctalPaxOverridesTheHeader",
       {Tar().Pax({{"uid", "7"}, {"gid", "8"}, {"path", "real"}, {"mtime", "1500000000"}}).File("header", "1").Build()},
       {R"(real -0644 7:8 @1500000000 "1")"}},
      {"GlobalPaxRecordsAreNotApplied",
       {Tar().Pax({{"uid", "7"}, {"mtime", "1"}, {"path", "global"}}, 'g').File("a").Directory("b").Build()},
       {"a -0644", "b d0755"}},
  };
}

std::vector<UnpackCase> Times() {
  return {
      {"NanosecondsOfEveryType",
       {Tar()
            .Directory("d", {.nanoseconds = 1})
            .File("d/f", "", {.nanoseconds = 999'999'999})
            .Symlink("l", "d", {.nanoseconds = 123'456'789})
            .Fifo("p", {.nanoseconds = 5})
            .Build()},
       {"d d0755 @1600000000.000000001", "d/f -0644 @1600000000.999999999", "l l0777 @1600000000.123456789 -> d",
        "p p0644 @1600000000.000000005"}},
      {"DirectoryTimesComeLast",
       {Tar().Directory("d", {.mtime = 1'400'000'000}).File("d/a").Directory("d/e").File("d/e/f").Build()},
       {"d d0755 @1400000000", "d/a -0644", "d/e d0755", "d/e/f -0644"}},
      {"DirectoryTimesSurviveForwardLinks",
       {Tar().Directory("d", {.mtime = 1'400'000'000}).HardLink("d/a", "z").File("z").Build()},
       {"d d0755 @1400000000", "d/a -0644", "z -0644 =d/a"}},
      {"LastOfTwoDirectoryEntriesWins",
       {Tar()
            .Directory("d", {.mode = 0700, .mtime = 1})
            .File("d/x")
            .Directory("d", {.mode = 0711, .mtime = 2})
            .Build()},
       {"d d0711 @2", "d/x -0644"}},
      // containerd.md §6.3: what Go's nanoseconds since 1970 can't hold becomes 1970. umoci writes negative times as
      // they are and wraps late ones around; OCI layer.md only asks for "Modification Time (mtime)" to be there.
      {"Before1970Is1970", {Tar().File("f", "", {.mtime = -5}).Build()}, {"f -0644 @0"}},
      {"Before1970WithAFractionIs1970", {Tar().Pax({{"mtime", "-1.25"}}).File("f").Build()}, {"f -0644 @0"}},
      {"After2262Is1970", {Tar().File("f", "", {.mtime = 9'300'000'000}).Build()}, {"f -0644 @0"}},
      {"LastSecondBeforeIsItself", {Tar().File("f", "", {.mtime = 9'223'372'035}).Build()}, {"f -0644 @9223372035"}},
      {"MoreDigitsThanNanosecondsAreCut",
       {Tar().Pax({{"mtime", "1500000000.1234567891234"}}).File("f").Build()},
       {"f -0644 @1500000000.123456789"}},
      {"FewerDigits", {Tar().Pax({{"mtime", "1500000000.5"}}).File("f").Build()}, {"f -0644 @1500000000.500000000"}},
  };
}

std::vector<UnpackCase> Xattrs() {
  return {
      // chown drops security.capability, so the xattrs come after it (peers.md §1.2 d).
      {"CapabilitySurvivesOwnerAndMode",
       {Tar().File("ping", "1", {.mode = 0755, .uid = 3, .xattrs = {{"security.capability", NetRaw()}}}).Build()},
       {absl::StrCat(R"(ping -0755 3:0 "1" )", kNetRawLine)}},
      {"OnDirectoriesBinaryAndEmpty",
       {Tar()
            .Directory("d", {.xattrs = {{"user.binary", std::string("a\0=\n", 4)}, {"user.empty", ""}}})
            .File("f", "", {.xattrs = {{"user.empty", ""}}})
            .Build()},
       {R"(d d0755 user.binary="a\x00=\n" user.empty="")", R"(f -0644 user.empty="")"}},
      {"PosixAclsPassThrough",
       {Tar().File("f", "", {.xattrs = {{"system.posix_acl_access", AclOfUser7()}}}).Build()},
       {absl::StrCat("f -0644 system.posix_acl_access=\"", EscapeBytes(AclOfUser7()), "\"")}},
      // containerd.md §6.3: the mode comes after the xattrs, and the group's bits are the ACL's mask.
      {"TheModesGroupBitsAreTheAclsMask",
       {Tar().File("f", "", {.mode = 0644, .xattrs = {{"system.posix_acl_access", AclOfUser7(/*mask=*/6)}}}).Build()},
       {absl::StrCat("f -0644 system.posix_acl_access=\"", EscapeBytes(AclOfUser7(/*mask=*/4)), "\"")}},
      {"DefaultAclIsNotInheritedByEntriesThatHaveNone",
       {Tar()
            .Directory("d", {.xattrs = {{"system.posix_acl_default", AclOfUser7()}}})
            .Directory("d/e")
            .File("d/f")
            .Fifo("d/p")
            .Build()},
       {absl::StrCat("d d0755 system.posix_acl_default=\"", EscapeBytes(AclOfUser7()), "\""), "d/e d0755", "d/f -0644",
        "d/p p0644"}},
      // POSIX pax: of several records with one key the last counts.
      {"TheLastOfTwoValuesCounts",
       {Tar().File("f", "", {.xattrs = {{"user.a", "1"}, {"user.a", "2"}}}).Build()},
       {R"(f -0644 user.a="2")"}},
      // The kernel allows user.* on files and directories only; containerd passes over the rest.
      {"UserAttributesOfOtherTypesArePassedOver",
       {Tar()
            .Symlink("l", "f", {.xattrs = {{"user.a", "b"}}})
            .Fifo("p", {.xattrs = {{"user.a", "b"}}})
            .CharDevice("c", 1, 3, {.xattrs = {{"user.a", "b"}}})
            .Build()},
       {"c c0644 1,3", "l l0777 -> f", "p p0644"}},
      {"ForgedOverlayMarksNeverReachTheDisk",
       {Tar().Directory("d").File("d/old", "1").File("f", "2").Build(),
        Tar()
            .Directory("d", {.xattrs = {{"trusted.overlay.opaque", "y"}, {"trusted.overlay.redirect", "/d"}}})
            .File("f", "3",
                  {.xattrs = {{"trusted.overlay.metacopy", ""}, {"trusted.overlay.whiteout", "y"}, {"user.a", "b"}}})
            .Build()},
       {"d d0755", R"(d/old -0644 "1")", R"(f -0644 "3" user.a="b")"}},
      // Plain data on a mount without `userxattr`, the only kind there is here: it hides nothing.
      {"MarksOfUnprivilegedOverlaysAreData",
       {Tar().Directory("d").File("d/old").Build(),
        Tar().Directory("d", {.xattrs = {{"user.overlay.opaque", "y"}}}).Build()},
       {R"(d d0755 user.overlay.opaque="y")", "d/old -0644"}},
      // containerd.md §6.3: treated as not supported.
      {"TrustedAttributesArePassedOver",
       {Tar().File("f", "", {.xattrs = {{"trusted.note", "n"}}}).Build()},
       {"f -0644"}},
      {"SecurityLabelsOfTheHostNeverReachTheDisk",
       {Tar().File("f", "", {.xattrs = {{"security.selinux", "system_u:object_r:bin_t:s0"}}}).Build()},
       {"f -0644"}},
      // OCI layer.md, "Changeset over existing files": for two directories "the existing path's attributes MUST be
      // replaced by those of the entry in the changeset". umoci does; containerd's naive path keeps old xattrs.
      {"AnEntryOverADirectoryReplacesItsAttributes",
       {Tar().Directory("d", {.mode = 0700, .uid = 1, .xattrs = {{"user.old", "1"}}}).File("d/kept").Build(),
        Tar().Directory("d", {.mode = 0711, .gid = 2, .mtime = 1, .xattrs = {{"user.new", "2"}}}).Build()},
       {R"(d d0711 0:2 @1 user.new="2")", "d/kept -0644"}},
      {"AnEntryOverADirectoryOfItsOwnLayerReplacesItsAttributes",
       {Tar()
            .Directory("d", {.mode = 0700, .xattrs = {{"user.old", "1"}}})
            .File("d/kept")
            .Directory("d", {.mode = 0711, .xattrs = {{"user.new", "2"}}})
            .Build()},
       {R"(d d0711 user.new="2")", "d/kept -0644"}},
      {"AFileOverAFileHasNothingOfTheOldOne",
       {Tar().File("f", "old", {.mode = 04755, .uid = 1, .xattrs = {{"user.old", "1"}}}).Build(),
        Tar().File("f", "new").Build()},
       {R"(f -0644 "new")"}},
  };
}

class OwnerAndModeTest : public ::testing::TestWithParam<UnpackCase> {};
TEST_P(OwnerAndModeTest, TreeIs) { CheckUnpacks(GetParam()); }
INSTANTIATE_TEST_SUITE_P(OwnerAndMode, OwnerAndModeTest, ::testing::ValuesIn(OwnerAndMode()), CaseName());

class TimesTest : public ::testing::TestWithParam<UnpackCase> {};
TEST_P(TimesTest, TreeIs) { CheckUnpacks(GetParam()); }
INSTANTIATE_TEST_SUITE_P(Times, TimesTest, ::testing::ValuesIn(Times()), CaseName());

class XattrsTest : public ::testing::TestWithParam<UnpackCase> {};
TEST_P(XattrsTest, TreeIs) { CheckUnpacks(GetParam()); }
INSTANTIATE_TEST_SUITE_P(Xattrs, XattrsTest, ::testing::ValuesIn(Xattrs()), CaseName());

TEST(TimesLimitsTest, AbsurdTimesAreClampedAndNotAnError) {
  OverlayChain chain;
  EXPECT_OK(chain.Add(SourceOf(Tar()
                                   .File("late", "", {.mtime = int64_t{1} << 62})
                                   .File("early", "", {.mtime = -(int64_t{1} << 62)})
                                   .Directory("d", {.mtime = int64_t{1} << 62})
                                   .Pax({{"mtime", "99999999999999999999999999"}})
                                   .File("later")
                                   .Build(),
                               "layer 1")));
}

// (uid_t)-1 is chown's "leave it as it is".
TEST(OwnerLimitsTest, TheLargestOwnerIsAllowedAndTheNextNamesTheEntry) {
  constexpr int64_t kLast = 4'294'967'294;
  CheckUnpacks(
      {"Largest", {Tar().File("f", "", {.uid = kLast, .gid = kLast}).Build()}, {"f -0644 4294967294:4294967294"}});
  const auto code = absl::StatusCode::kInvalidArgument;
  CheckRefuses({"Uid", {Tar().File("f", "", {.uid = kLast + 1}).Build()}, code, {"entry f", "uid 4294967295"}});
  CheckRefuses({"Gid", {Tar().File("f", "", {.gid = kLast + 1}).Build()}, code, {"entry f", "gid 4294967295"}});
}

TEST(XattrsLimitsTest, ValueThatTheKernelRefusesNamesTheEntry) {
  CheckRefuses({"TooBig",
                {Tar().File("d/f", "", {.xattrs = {{"user.big", std::string(70'000, 'x')}}}).Build()},
                absl::StatusCode::kInvalidArgument,
                {"d/f", "user.big"}});
}

TEST(RootEntryTest, OverlayRootIsPlainWhateverTheDirectoryWas) {
  const TempDir dir(TempDir::Place::kMemory);
  ASSERT_EQ(::fchown(dir.fd(), 5, 6), 0);
  ASSERT_EQ(::fchmod(dir.fd(), 0700), 0);
  OverlayUnpacker unpacker(dir.fd(), {});
  ASSERT_OK(unpacker.Stream(SourceOf(Tar().File("f").Build(), "layer 1")));
  ASSERT_OK(unpacker.Finish({}));
  struct stat attributes {};
  ASSERT_EQ(::fstat(dir.fd(), &attributes), 0);
  EXPECT_EQ(attributes.st_mode & 07777, 0755u);
  EXPECT_EQ(attributes.st_uid, 0u);
  EXPECT_EQ(attributes.st_gid, 0u);
}

// The root entry: ignored in overlay form, where the root is 0755 0:0; applied in flat form.
TEST(RootEntryTest, OverlayRootIsPlainAndFlatRootIsTheTopmostEntrys) {
  const std::string base =
      Tar().Directory("./", {.mode = 0700, .uid = 1, .gid = 2, .mtime = 1'500'000'000}).File("f").Build();
  const std::string top = Tar().Directory("/", {.mode = 0711, .uid = 3, .gid = 4, .mtime = 1'550'000'000}).Build();
  OverlayChain chain;
  for (const LayerSource& source : SourcesOf({base, top})) ASSERT_OK(chain.Add(source));
  for (size_t i = 0; i < 2; ++i) {
    ASSERT_OK_AND_ASSIGN(const TreeListing listing, ListTree(chain.directory(i)));
    EXPECT_EQ(listing.at(".").mode, 0755u);
    EXPECT_EQ(listing.at(".").uid, 0u);
    EXPECT_EQ(listing.at(".").gid, 0u);
  }
  for (const auto& layers : {std::vector<std::string>{base, top}, {base, top, Tar().File("g").Build()}}) {
    const GuardedRoot root;
    ASSERT_OK(UnpackFlat(root.fd(), SourcesOf(layers), {}));
    ASSERT_OK_AND_ASSIGN(const TreeListing listing, ListTree(root.path()));
    EXPECT_EQ(FormatEntry(listing.at(".")), ". d0711 3:4 @1550000000");
  }
}

}  // namespace
}  // namespace sluice::testing
