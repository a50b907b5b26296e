// sluicectl export: what is in the file is what unpack makes.
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <ostream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cmd/sluicectl_export_fixture.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace sluice::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct Form {
  std::string format;
  User user;
};
void PrintTo(const Form& form, std::ostream* out) {
  *out << form.format << (form.user == User::kRoot ? " by root" : " by a user");
}

class ExportFormTest : public SluicectlExportFixture, public ::testing::WithParamInterface<Form> {
 protected:
  void ExpectExportIsUnpack(const std::string& reference) const {
    const std::string out = work_.At("out");
    const Outcome outcome = Sluicectl(ExportArguments(GetParam().format, out, {}, reference), GetParam().user);
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    const TreeListing want = ListUnpacked(reference);
    const TreeListing got = WithoutLostAndFound(ListExport(GetParam().format, out), want);
    EXPECT_THAT(DiffListings(want, got), IsEmpty()) << "unpacked (first) and exported (second)";
    EXPECT_EQ(std::filesystem::file_size(out) % 512, 0u);
    EXPECT_EQ(NamesIn(work_.path()), std::vector<std::string>{"out"});
  }
};

TEST_P(ExportFormTest, IsWhatUnpackMakes) { ExpectExportIsUnpack("example.com/odd:1"); }

TEST_P(ExportFormTest, OfAnEmptyImage) {
  AddImage({}, "example.com/empty:1");
  ExpectExportIsUnpack("example.com/empty:1");
}

// Each takes a block, an inode, a name.
TEST_P(ExportFormTest, OfManyTinyFiles) {
  TarBuilder tar;
  for (int i = 0; i < 6000; ++i) {
    tar.File(absl::StrCat("one-large-directory/", std::string(static_cast<size_t>(i % 200), 'n'), i), "x",
             {.uid = i % 3});
  }
  for (int i = 0; i < 2000; ++i)
    tar.Directory(absl::StrCat("directory-", i)).Symlink(absl::StrCat("symlink-", i), std::string(100, 'l'));
  for (int i = 0; i < 500; ++i)
    tar.File(absl::StrCat("noted-", i), "", {.xattrs = {{"user.note", std::string(150, 'x')}}});
  AddImage({{.tar = tar.Build()}}, "example.com/tiny:1");
  ExpectExportIsUnpack("example.com/tiny:1");
}

TEST_P(ExportFormTest, OfOneLargeFile) {
  // Of ext4 more than one group.
  AddImage({{.tar = TarBuilder().File("large", std::string(150 << 20, 'L')).Build(),
             .compression = LayerCompression::kZstd}},
           "example.com/large:1");
  ExpectExportIsUnpack("example.com/large:1");
}

TEST_P(ExportFormTest, TheSameImageGivesTheSameBytes) {
  for (const char* name : {"one", "two"}) {
    const Outcome outcome = Sluicectl(ExportArguments(GetParam().format, work_.At(name)), GetParam().user);
    ASSERT_EQ(outcome.code, 0) << outcome.err;
  }
  EXPECT_TRUE(Read(work_.At("one")) == Read(work_.At("two")));
}

TEST_P(ExportFormTest, MetadataIsWrittenToo) {
  const Outcome outcome = Sluicectl(
      ExportArguments(GetParam().format, work_.At("out"), {"--metadata", work_.At("m.json")}, "example.com/app:1"),
      GetParam().user);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(nlohmann::json::parse(Read(work_.At("m.json")))["config"]["Entrypoint"], nlohmann::json::array({"/run"}));
}

INSTANTIATE_TEST_SUITE_P(All, ExportFormTest,
                         ::testing::Values(Form{"tar", User::kRoot}, Form{"tar", User::kOrdinary},
                                           Form{"erofs", User::kRoot}, Form{"erofs", User::kOrdinary},
                                           Form{"ext4", User::kRoot}, Form{"ext4", User::kOrdinary}));

using SluicectlExportTest = SluicectlExportFixture;

TEST_F(SluicectlExportTest, AUsersTarIsRootsTar) {
  ASSERT_EQ(Sluicectl(ExportArguments("tar", work_.At("root"))).code, 0);
  ASSERT_EQ(Sluicectl(ExportArguments("tar", work_.At("user")), User::kOrdinary).code, 0);
  EXPECT_TRUE(Read(work_.At("root")) == Read(work_.At("user")));
}

TEST_F(SluicectlExportTest, ATarToStandardOutput) {
  const Outcome outcome = Sluicectl(ExportArguments("tar", "-"));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  ASSERT_EQ(Sluicectl(ExportArguments("tar", work_.At("file"))).code, 0);
  EXPECT_TRUE(outcome.out == Read(work_.At("file")));
}

TEST_F(SluicectlExportTest, AnExt4HasRoomAndAJournalOnlyIfAskedFor) {
  for (const bool journal : {false, true}) {
    const std::string out = work_.At(journal ? "with" : "without");
    const std::vector<std::string> more = journal ? std::vector<std::string>{"--journal"} : std::vector<std::string>{};
    const Outcome outcome = Sluicectl(ExportArguments("ext4", out, more));
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    const std::string command = absl::StrCat("dumpe2fs -h ", out, " 2>/dev/null | grep -q has_journal");
    EXPECT_EQ(::system(command.c_str()) == 0, journal);
    const TreeListing want = ListUnpacked();
    EXPECT_THAT(DiffListings(want, WithoutLostAndFound(ListExport("ext4", out), want)), IsEmpty());
  }
  EXPECT_GT(std::filesystem::file_size(work_.At("with")), std::filesystem::file_size(work_.At("without")));
}

TEST_F(SluicectlExportTest, AFileThatExistsIsReplacedOnlyByForce) {
  for (const char* format : {"tar", "erofs", "ext4"}) {
    std::ofstream(work_.At("out")) << "old";
    ExpectFailure(1, ExportArguments(format, work_.At("out")), "out: exists (--force replaces a file)");
    EXPECT_EQ(Read(work_.At("out")), "old");
    EXPECT_EQ(Sluicectl(ExportArguments(format, work_.At("out"), {"--force"})).code, 0);
    EXPECT_GT(std::filesystem::file_size(work_.At("out")), 4096u);
  }
  std::filesystem::create_directory(work_.At("directory"));
  ExpectFailure(1, ExportArguments("tar", work_.At("directory"), {"--force"}), "directory: not a regular file");
  ExpectFailure(1, ExportArguments("tar", "/dev/null", {"--force"}), "/dev/null: not a regular file");
}

TEST_F(SluicectlExportTest, TheSummaryIsJsonWhenAsked) {
  const Outcome outcome = Sluicectl(ExportArguments("tar", work_.At("out"), {"--json"}));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const nlohmann::json summary = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(summary["format"], "tar");
  EXPECT_EQ(summary["fileBytes"], std::filesystem::file_size(work_.At("out")));
}

TEST_F(SluicectlExportTest, TheScratchTreeIsInTmpdir) {
  const std::string scratch = work_.MakeDirectory("scratch");
  ASSERT_EQ(setenv("TMPDIR", "/nowhere", 1), 0);
  ExpectFailure(3, ExportArguments("erofs", work_.At("out")), "/nowhere");
  EXPECT_EQ(Sluicectl(ExportArguments("tar", work_.At("out"))).code, 0) << "a tar needs none";
  ASSERT_EQ(setenv("TMPDIR", scratch.c_str(), 1), 0);
  EXPECT_EQ(Sluicectl(ExportArguments("erofs", work_.At("out"), {"--force"})).code, 0);
  ASSERT_EQ(unsetenv("TMPDIR"), 0);
  EXPECT_THAT(NamesIn(scratch), IsEmpty());
}

TEST_F(SluicectlExportTest, PathsAreNoCommands) {
  const std::string directory = work_.MakeDirectory("$(touch evil); 'x' ?a=b");
  ASSERT_EQ(chmod(directory.c_str(), 0777), 0);
  for (const char* format : {"tar", "erofs", "ext4"}) {
    for (const User user : {User::kRoot, User::kOrdinary}) {
      const std::string out = absl::StrCat(directory, "/-o ", format, user == User::kRoot);
      const Outcome outcome = Sluicectl(ExportArguments(format, out), user);
      ASSERT_EQ(outcome.code, 0) << outcome.err;
    }
  }
  EXPECT_EQ(NamesIn(work_.path()).size(), 1u);
}

TEST_F(SluicectlExportTest, WhatCanNotBeIsRefusedFirst) {
  ExpectFailure(2, ExportArguments("erofs", "-"), "only a tar can be written to standard output");
  ExpectFailure(2, ExportArguments("tar", "-", {"--json"}), "standard output is taken");
  ExpectFailure(2, ExportArguments("erofs", work_.At("out"), {"--journal"}), "only ext4 has one");
  ExpectFailure(2, ExportArguments("zip", work_.At("out")), "zip");
  ExpectFailure(2, {"export", "example.com/odd:1", work_.At("out")}, "--format is required");
  ExpectFailure(3, ExportArguments("tar", work_.At("no/out")), "no/out");
}

TEST_F(SluicectlExportTest, AttributesTooLongForFakerootAreRefusedByName) {
  AddImage({{.tar = TarBuilder().File("f", "", {.xattrs = {{"user.long", std::string(1100, 'x')}}}).Build()}},
           "example.com/long:1");
  ExpectFailure(1, ExportArguments("erofs", work_.At("out"), {}, "example.com/long:1"),
                "f: the extended attribute user.long has 1100 bytes", User::kOrdinary);
  EXPECT_EQ(Sluicectl(ExportArguments("erofs", work_.At("out"), {}, "example.com/long:1")).code, 0);
}

// Of an image it is like any other directory; ext4 has its own anyway, and mkfs.erofs passes over it.
TEST_F(SluicectlExportTest, LostAndFound) {
  AddImage({{.tar = TarBuilder()
                        .Directory("lost+found", {.mode = 0750, .uid = 11})
                        .Directory("d")
                        .Directory("d/lost+found")
                        .Build()}},
           "example.com/empty-lost:1");
  AddImage({{.tar = TarBuilder().Directory("d").Directory("d/lost+found").File("d/lost+found/f").Build()}},
           "example.com/full-lost:1");
  const std::string out = work_.At("out");
  for (const char* reference : {"example.com/empty-lost:1", "example.com/full-lost:1"}) {
    for (const User user : {User::kRoot, User::kOrdinary}) {
      ASSERT_EQ(Sluicectl(ExportArguments("ext4", out, {}, reference), user).code, 0);
      const TreeListing want = ListUnpacked(reference);
      EXPECT_THAT(DiffListings(want, WithoutLostAndFound(ListExport("ext4", out), want)), IsEmpty());
      std::filesystem::remove(out);
    }
  }
  const Outcome outcome = Sluicectl(ExportArguments("erofs", out, {}, "example.com/empty-lost:1"));
  EXPECT_EQ(outcome.code, 0);
  EXPECT_THAT(outcome.err, HasSubstr("WARNING: mkfs.erofs has left out 2 empty lost+found; the first is /"));
  TreeListing want = ListUnpacked("example.com/empty-lost:1");
  want.erase("lost+found");
  want.erase("d/lost+found");
  EXPECT_THAT(DiffListings(want, ListExport("erofs", out)), IsEmpty());
  std::filesystem::remove(out);
  ExpectFailure(1, ExportArguments("erofs", out, {}, "example.com/full-lost:1"),
                "/d/lost+found: mkfs.erofs leaves out what is called lost+found");
}

// mkfs.erofs 1.5 fails on it.
TEST_F(SluicectlExportTest, TheLongestNameIsRefusedByErofsWithTheReason) {
  AddImage({{.tar = TarBuilder().File(std::string(255, 'n')).Build()}}, "example.com/name:1");
  ExpectFailure(1, ExportArguments("erofs", work_.At("out"), {}, "example.com/name:1"), "a name has 255 bytes");
  EXPECT_EQ(Sluicectl(ExportArguments("ext4", work_.At("out"), {}, "example.com/name:1")).code, 0);
}

}  // namespace
}  // namespace sluice::testing
