#include <fcntl.h>
#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>
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

TEST_F(StagedTest, AnEmptyDirectoryTakesTheAttributesOfWhatFilledIt) {
  const std::string path = dir_.MakeDirectory("empty");
  ASSERT_OK_AND_ASSIGN(StagedDirectory staged, StagedDirectory::Create(path));
  ASSERT_EQ(fchmod(staged.fd(), 01751), 0);
  ASSERT_EQ(fsetxattr(staged.fd(), "user.from", "image", 5, 0), 0);
  const timespec times[] = {{1, 2}, {1'600'000'000, 5}};
  ASSERT_EQ(futimens(staged.fd(), times), 0);
  ASSERT_OK(staged.Publish());
  struct stat after = {};
  ASSERT_EQ(stat(path.c_str(), &after), 0);
  EXPECT_EQ(after.st_mode & 07777, 01751u);
  EXPECT_EQ(after.st_mtim.tv_sec, 1'600'000'000);
  EXPECT_EQ(after.st_mtim.tv_nsec, 5);
  char value[8] = {};
  EXPECT_EQ(getxattr(path.c_str(), "user.from", value, sizeof(value)), 5);
  EXPECT_STREQ(value, "image");
}

TEST_F(StagedTest, PublishedInPlaceItCanBeTakenBack) {
  const std::string path = dir_.MakeDirectory("empty");
  ASSERT_OK_AND_ASSIGN(StagedDirectory staged, StagedDirectory::Create(path));
  Fill(staged);
  ASSERT_EQ(fchmod(staged.fd(), 0700), 0);
  ASSERT_EQ(fsetxattr(staged.fd(), "user.from", "image", 5, 0), 0);
  ASSERT_OK(staged.Publish());
  ASSERT_OK(staged.Discard());
  EXPECT_TRUE(Names(path).empty());
  struct stat after = {};
  ASSERT_EQ(stat(path.c_str(), &after), 0);
  EXPECT_EQ(after.st_mode & 07777, 0755u);
  EXPECT_LT(getxattr(path.c_str(), "user.from", nullptr, 0), 0);
}

TEST_F(StagedTest, PublishedInPlaceAndTakenBackNothingOfOthersIsTaken) {
  const std::string path = dir_.MakeDirectory("empty");
  ASSERT_OK_AND_ASSIGN(StagedDirectory staged, StagedDirectory::Create(path));
  Fill(staged);
  ASSERT_OK(staged.Publish());
  std::ofstream(path + "/of-somebody-else") << "x";
  ASSERT_OK(staged.Discard());
  EXPECT_EQ(Names(path), std::vector<std::string>{"of-somebody-else"});
}

TEST_F(StagedTest, AnEmptyDirectoryThatIsFilledMeanwhileStays) {
  const std::string path = dir_.MakeDirectory("empty");
  ASSERT_OK_AND_ASSIGN(StagedDirectory staged, StagedDirectory::Create(path));
  Fill(staged);
  std::ofstream(path + "/of-somebody-else") << "x";
  EXPECT_THAT(staged.Publish(), StatusIs(absl::StatusCode::kAlreadyExists, path));
  ASSERT_OK(staged.Discard());
  EXPECT_EQ(Names(path), std::vector<std::string>{"of-somebody-else"});
}

// Root without its privileges over files is an ordinary user.
TEST_F(StagedTest, ADirectoryThatItsOwnerMayNotWriteToMovesUpToo) {
  const std::string path = dir_.MakeDirectory("empty");
  const pid_t child = fork();
  if (child == 0) {
    __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct none[2] = {};
    if (syscall(SYS_capset, &header, none) != 0) _exit(1);
    absl::StatusOr<StagedDirectory> staged = StagedDirectory::Create(path);
    if (!staged.ok() || mkdirat(staged->fd(), "sealed", 0555) != 0) _exit(2);
    _exit(staged->Publish().ok() ? 0 : 3);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0) << "exit code " << WEXITSTATUS(status);
  struct stat sealed = {};
  ASSERT_EQ(stat((path + "/sealed").c_str(), &sealed), 0);
  EXPECT_EQ(sealed.st_mode & 07777, 0555u);
}

TEST_F(StagedTest, WhatKilledRunsLeftIsRemoved) {
  const std::string empty = dir_.MakeDirectory("empty");
  for (const std::string& parent : {dir_.path(), empty}) {
    const std::string abandoned = parent + "/.sluice-staged-a1B2c3";
    std::filesystem::create_directories(abandoned + "/sub");
    std::ofstream(parent + "/.sluice-staged-file00") << "half";
  }
  ASSERT_OK_AND_ASSIGN(const StagedDirectory beside, StagedDirectory::Create(dir_.At("new")));
  EXPECT_EQ(Names(dir_.path()).size(), 2u);  // itself and "empty"
  ASSERT_OK_AND_ASSIGN(StagedDirectory in_place, StagedDirectory::Create(empty));
  ASSERT_OK(in_place.Publish());
  EXPECT_TRUE(Names(empty).empty());

  std::ofstream(dir_.At(".sluice-staged-file00")) << "half";
  ASSERT_OK_AND_ASSIGN(const StagedFile file, StagedFile::Create(dir_.At("file")));
  EXPECT_EQ(Names(dir_.path()).size(), 3u);
}

TEST_F(StagedTest, WhatIsNotAbandonedStays) {
  ASSERT_OK_AND_ASSIGN(const StagedDirectory live, StagedDirectory::Create(dir_.At("live")));
  ASSERT_OK_AND_ASSIGN(const StagedFile live_file, StagedFile::Create(dir_.At("live-file")));
  // Names that are almost like ours, and a link that is.
  dir_.MakeDirectory(".sluice-staged-a1B2c");
  dir_.MakeDirectory(".sluice-staged-a1B2c3d");
  dir_.MakeDirectory(".sluice-staged-a1B-c3");
  dir_.MakeDirectory(".sluice-config");
  ASSERT_EQ(symlink("live", dir_.At(".sluice-staged-a1B2c3").c_str()), 0);
  const size_t before = Names(dir_.path()).size();
  ASSERT_OK_AND_ASSIGN(const StagedDirectory next, StagedDirectory::Create(dir_.At("next")));
  EXPECT_EQ(Names(dir_.path()).size(), before + 1);
  ASSERT_EQ(mkdirat(live.fd(), "still", 0700), 0);
}

TEST_F(StagedTest, WhereOthersMayRenameNothingIsTakenForAbandoned) {
  const std::string parent = dir_.MakeDirectory("shared");
  const std::string abandoned = parent + "/.sluice-staged-a1B2c3";
  ASSERT_EQ(mkdir(abandoned.c_str(), 0700), 0);
  for (const auto& [mode, stays] : {std::pair(0777, true), {0775, true}, {01777, false}}) {
    ASSERT_EQ(chmod(parent.c_str(), mode), 0);
    ASSERT_OK_AND_ASSIGN(const StagedDirectory staged, StagedDirectory::Create(parent + "/new"));
    EXPECT_EQ(std::filesystem::exists(abandoned), stays) << std::oct << mode;
  }
}

TEST_F(StagedTest, AnEmptyDirectoryIsFilledByOneAtATime) {
  const std::string path = dir_.MakeDirectory("empty");
  ASSERT_OK_AND_ASSIGN(StagedDirectory first, StagedDirectory::Create(path));
  EXPECT_THAT(StagedDirectory::Create(path),
              StatusIs(absl::StatusCode::kFailedPrecondition, "another run is filling it"));
  ASSERT_OK(first.Publish());
}

TEST_F(StagedTest, WhatWasMovedUpBeforeTheKillKeepsItsMark) {
  const std::string path = dir_.MakeDirectory("half");
  std::filesystem::create_directories(path + "/.sluice-staged-a1B2c3/usr");
  std::filesystem::create_directories(path + "/bin");
  EXPECT_THAT(StagedDirectory::Create(path), StatusIs(absl::StatusCode::kFailedPrecondition, "not empty"));
  EXPECT_EQ(Names(path).size(), 2u);
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
