#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "cmd/staged_directory.h"
#include "cmd/staged_file.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace sluice {
namespace {

using ::sluice::testing::StatusIs;
using ::sluice::testing::TempDir;

class StagedTest : public ::testing::Test {
 protected:
  std::vector<std::string> Names(const std::string& directory) const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(directory)) names.push_back(entry.path().filename());
    return names;
  }
  std::string Read(const std::string& path) const {
    std::stringstream content;
    content << std::ifstream(path).rdbuf();
    return content.str();
  }
  // Something in the staged directory, one level deep.
  void Fill(const StagedDirectory& staged) const {
    ASSERT_EQ(mkdirat(staged.fd(), "sub", 0700), 0);
    ASSERT_EQ(symlinkat("target", staged.fd(), "sub/link"), 0);
  }

  TempDir dir_;
};

TEST_F(StagedTest, ANewDirectoryAppearsWhenItIsPublished) {
  for (const std::string& spelling : {dir_.At("new"), dir_.At("other//")}) {
    ASSERT_OK_AND_ASSIGN(StagedDirectory staged, StagedDirectory::Create(spelling));
    Fill(staged);
    EXPECT_FALSE(std::filesystem::exists(spelling));
    ASSERT_OK(staged.Publish());
    EXPECT_TRUE(std::filesystem::is_symlink(spelling + "/sub/link"));
  }
  EXPECT_EQ(Names(dir_.path()).size(), 2u);
}

TEST_F(StagedTest, ARelativePathLiesInTheCurrentDirectory) {
  ASSERT_EQ(chdir(dir_.path().c_str()), 0);
  ASSERT_OK_AND_ASSIGN(StagedDirectory staged, StagedDirectory::Create("new"));
  ASSERT_OK(staged.Publish());
  EXPECT_TRUE(std::filesystem::is_directory(dir_.At("new")));
}

TEST_F(StagedTest, WhatIsNotPublishedIsGone) {
  {
    ASSERT_OK_AND_ASSIGN(StagedDirectory staged, StagedDirectory::Create(dir_.At("new")));
    Fill(staged);
  }
  EXPECT_TRUE(Names(dir_.path()).empty());
}

TEST_F(StagedTest, APublishedDirectoryCanBeTakenBack) {
  ASSERT_OK_AND_ASSIGN(StagedDirectory staged, StagedDirectory::Create(dir_.At("new")));
  Fill(staged);
  ASSERT_OK(staged.Publish());
  ASSERT_OK(staged.Discard());
  EXPECT_TRUE(Names(dir_.path()).empty());
}

TEST_F(StagedTest, AnEmptyDirectoryIsFilledInPlace) {
  const std::string path = dir_.MakeDirectory("empty");
  ASSERT_OK_AND_ASSIGN(StagedDirectory staged, StagedDirectory::Create(path));
  Fill(staged);
  ASSERT_OK(staged.Publish());
  EXPECT_EQ(Names(path), std::vector<std::string>{"sub"});
}

TEST_F(StagedTest, AnEmptyDirectoryIsAsBeforeWhenDiscarded) {
  const std::string path = dir_.MakeDirectory("empty");
  ASSERT_EQ(chmod(path.c_str(), 0711), 0);
  struct stat before = {};
  ASSERT_EQ(stat(path.c_str(), &before), 0);
  {
    ASSERT_OK_AND_ASSIGN(StagedDirectory staged, StagedDirectory::Create(path));
    Fill(staged);
    ASSERT_EQ(fchmod(staged.fd(), 0777), 0);
  }
  struct stat after = {};
  ASSERT_EQ(stat(path.c_str(), &after), 0);
  EXPECT_TRUE(Names(path).empty());
  EXPECT_EQ(after.st_mode, before.st_mode);
  EXPECT_EQ(after.st_mtim.tv_sec, before.st_mtim.tv_sec);
  EXPECT_EQ(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
  EXPECT_EQ(after.st_ino, before.st_ino);
}

TEST_F(StagedTest, RefusesWhatCanNotBeFilled) {
  std::ofstream(dir_.At("file")) << "x";
  const std::string full = dir_.MakeDirectory("full");
  std::ofstream(full + "/x") << "x";
  ASSERT_EQ(symlink("nowhere", dir_.At("link").c_str()), 0);
  const size_t names = Names(dir_.path()).size();
  EXPECT_THAT(StagedDirectory::Create(full), StatusIs(absl::StatusCode::kFailedPrecondition, "not empty"));
  EXPECT_THAT(StagedDirectory::Create(dir_.At("file")),
              StatusIs(absl::StatusCode::kFailedPrecondition, "not a directory"));
  EXPECT_THAT(StagedDirectory::Create(dir_.At("link")),
              StatusIs(absl::StatusCode::kFailedPrecondition, "link to nowhere"));
  EXPECT_THAT(StagedDirectory::Create(dir_.At("no/new")),
              StatusIs(absl::StatusCode::kNotFound, "its parent directory"));
  EXPECT_THAT(StagedDirectory::Create(dir_.At("file/new")), StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_FALSE(StagedDirectory::Create("").ok());
  EXPECT_EQ(Names(dir_.path()).size(), names);
}

TEST_F(StagedTest, WhatHasComeToStandThereStays) {
  ASSERT_OK_AND_ASSIGN(StagedDirectory staged, StagedDirectory::Create(dir_.At("new")));
  Fill(staged);
  dir_.MakeDirectory("new");
  EXPECT_THAT(staged.Publish(), StatusIs(absl::StatusCode::kAlreadyExists, dir_.At("new")));
  ASSERT_OK(staged.Discard());
  EXPECT_EQ(Names(dir_.path()), std::vector<std::string>{"new"});
  EXPECT_TRUE(Names(dir_.At("new")).empty());
}

TEST_F(StagedTest, AFileAppearsWhole) {
  const std::string path = dir_.At("metadata.json");
  {
    ASSERT_OK_AND_ASSIGN(StagedFile file, StagedFile::Create(path));
    ASSERT_OK(file.Write("half"));
  }
  EXPECT_TRUE(Names(dir_.path()).empty());
  std::ofstream(path) << "old";
  ASSERT_OK_AND_ASSIGN(StagedFile file, StagedFile::Create(path));
  ASSERT_OK(file.Write("new"));
  EXPECT_EQ(Read(path), "old");
  ASSERT_OK(file.Publish());
  EXPECT_EQ(Read(path), "new");
  EXPECT_EQ(Names(dir_.path()).size(), 1u);
  const mode_t mask = umask(0);
  umask(mask);
  struct stat attributes = {};
  ASSERT_EQ(stat(path.c_str(), &attributes), 0);
  EXPECT_EQ(attributes.st_mode & 0777, 0666 & ~mask);
}

TEST_F(StagedTest, AFileThatCanNotBeIsRefusedEarly) {
  EXPECT_THAT(StagedFile::Create(dir_.path()), StatusIs(absl::StatusCode::kFailedPrecondition, "not a regular file"));
  EXPECT_THAT(StagedFile::Create(dir_.At("no/file")), StatusIs(absl::StatusCode::kNotFound, dir_.At("no/file")));
  EXPECT_FALSE(StagedFile::Create("").ok());
}

}  // namespace
}  // namespace sluice
