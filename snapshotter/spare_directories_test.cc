#include "snapshotter/spare_directories.h"

#include <sys/stat.h>

#include <filesystem>
#include <optional>
#include <set>
#include <string>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "snapshotter/recovery.h"
#include "snapshotter/snapshotter_fixture.h"
#include "tests/testing/status_matchers.h"

namespace sluice {
namespace {

using testing::SnapshotterFixture;

std::set<std::string> NamesIn(const std::string& directory) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) names.insert(entry.path().filename());
  return names;
}

mode_t ModeOf(const std::string& path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0 ? info.st_mode & 07777 : 0;
}

class SpareDirectoriesTest : public ::testing::Test {
 protected:
  // A spare, as soon as there is one.
  int64_t Await(SpareDirectories& spares) {
    for (;; absl::SleepFor(absl::Milliseconds(1))) {
      if (const std::optional<int64_t> id = spares.Take()) return *id;
    }
  }

  SnapshotterFixture snapshotter_{SnapshotterFixture::Spares::kMadeAhead};
};

TEST_F(SpareDirectoriesTest, AreMadeForWhoAsks) {
  SpareDirectories spares(snapshotter_.tree(), snapshotter_.metadata());
  EXPECT_THAT(NamesIn(snapshotter_.Path("spare")), ::testing::IsEmpty());
  std::set<int64_t> taken;
  for (int i = 0; i < 100; ++i) taken.insert(Await(spares));
  EXPECT_EQ(taken.size(), 100u);
  for (const int64_t id : taken) {
    EXPECT_TRUE(snapshotter_.tree().IsEmpty(id).value());
    EXPECT_EQ(ModeOf(snapshotter_.tree().layout().FsPath(id)), 0755u);
    EXPECT_EQ(ModeOf(snapshotter_.tree().layout().WorkPath(id)), 0711u);
    EXPECT_EQ(ModeOf(snapshotter_.tree().layout().SnapshotPath(id)), 0700u);
  }
}

TEST_F(SpareDirectoriesTest, GoWithTheNextStart) {
  {
    SpareDirectories spares(snapshotter_.tree(), snapshotter_.metadata());
    Await(spares);
  }
  EXPECT_THAT(NamesIn(snapshotter_.Path("spare")), ::testing::Not(::testing::IsEmpty()));
  ASSERT_OK(Recover(snapshotter_.tree(), snapshotter_.metadata(), snapshotter_.layers()).status());
  EXPECT_THAT(NamesIn(snapshotter_.Path("spare")), ::testing::IsEmpty());
}

// The row is on the disk, the rename is not.
TEST_F(SpareDirectoriesTest, APowerCutAfterThePrepare) {
  const std::set<std::string> made_ahead = [this] {
    while (NamesIn(snapshotter_.Path("spare")).empty()) {
      EXPECT_OK(snapshotter_.Prepare("first").status());
      EXPECT_OK(snapshotter_->Remove("sluice", "first"));
    }
    return NamesIn(snapshotter_.Path("spare"));
  }();
  ASSERT_OK_AND_ASSIGN(const std::vector<Mount> mounts, snapshotter_.Prepare("container"));
  const std::filesystem::path directory = std::filesystem::path(mounts[0].source).parent_path();
  EXPECT_THAT(made_ahead, ::testing::Contains(directory.filename()));

  snapshotter_.Stop();
  std::filesystem::rename(directory, snapshotter_.Path("spare/" + directory.filename().string()));
  snapshotter_.Start();
  ASSERT_OK_AND_ASSIGN(const RecoveryReport report,
                       Recover(snapshotter_.tree(), snapshotter_.metadata(), snapshotter_.layers()));
  EXPECT_EQ(report.missing_directories, 0);
  EXPECT_EQ(report.discarded_directories, 0);
  ASSERT_OK_AND_ASSIGN(const std::vector<Mount> again, snapshotter_->Mounts("sluice", "container"));
  EXPECT_EQ(again, mounts);
  EXPECT_TRUE(std::filesystem::is_directory(mounts[0].source));
}

// Whatever was made before it went wrong.
TEST_F(SpareDirectoriesTest, AFailureLeavesNothing) {
  std::filesystem::create_directories(snapshotter_.Path("spare/902"));
  EXPECT_THAT(snapshotter_.tree().MakeSpares({900, 901, 902}), testing::StatusIs(absl::StatusCode::kAlreadyExists));
  EXPECT_THAT(NamesIn(snapshotter_.Path("spare")), ::testing::IsEmpty());
}

}  // namespace
}  // namespace sluice
