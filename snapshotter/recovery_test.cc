#include "snapshotter/recovery.h"

#include <filesystem>
#include <fstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "snapshotter/snapshotter_fixture.h"
#include "tests/testing/status_matchers.h"

namespace sluice {
namespace {

using ::testing::IsEmpty;
using testing::SnapshotterFixture;
using testing::StatusIs;
using ::testing::UnorderedElementsAre;

TEST(RecoveryTest, TheDatabaseIsTheTruth) {
  SnapshotterFixture snapshotter;
  ASSERT_OK(snapshotter.MakeCommitted("kept"));  // 1
  ASSERT_OK(snapshotter.MakeCommitted("lost"));  // 2
  ASSERT_OK(snapshotter.PublishLayer("kept"));   // 3
  ASSERT_OK(snapshotter.PublishLayer("lost"));   // 4
  for (const char* name : {"snapshots/2", "snapshots/4"}) std::filesystem::remove_all(snapshotter.Path(name));
  for (const char* name : {"snapshots/77/fs", "snapshots/strange/fs", "new-0123456789abcdef/fs", "other"}) {
    std::filesystem::create_directories(snapshotter.Path(name));
  }

  ASSERT_OK_AND_ASSIGN(const RecoveryReport report,
                       Recover(snapshotter.tree(), snapshotter.metadata(), snapshotter.layers()));
  EXPECT_EQ(report.discarded_directories, 1);
  EXPECT_EQ(report.missing_directories, 1);
  EXPECT_EQ(report.discarded_layers, 1);
  EXPECT_EQ(report.suspect_layers, 0);
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(snapshotter.Path("snapshots"))) {
    names.push_back(entry.path().filename());
  }
  EXPECT_THAT(names, UnorderedElementsAre("1", "3"));
  EXPECT_FALSE(std::filesystem::exists(snapshotter.Path("new-0123456789abcdef")));
  EXPECT_TRUE(std::filesystem::exists(snapshotter.Path("other")));  // not ours to delete

  // The bad one is known, says what is wrong with it, and can be removed.
  EXPECT_OK(snapshotter->Stat("sluice", "lost"));
  EXPECT_THAT(snapshotter.Prepare("over", "lost"), StatusIs(absl::StatusCode::kFailedPrecondition, "snapshots/2"));
  EXPECT_OK(snapshotter->Remove("sluice", "lost"));
  EXPECT_OK(snapshotter.Prepare("over", "kept"));
}

TEST(RecoveryTest, AllIsLostButTheDirectories) {
  SnapshotterFixture snapshotter;
  ASSERT_OK(snapshotter.MakeCommitted("a"));
  snapshotter.Stop();
  for (const char* name : {"sluice.db", "sluice.db-wal", "sluice.db-shm"}) {
    std::filesystem::remove(snapshotter.Path(name));
  }
  snapshotter.Start();
  ASSERT_OK_AND_ASSIGN(const RecoveryReport report,
                       Recover(snapshotter.tree(), snapshotter.metadata(), snapshotter.layers()));
  EXPECT_EQ(report.discarded_directories, 1);
  snapshotter->Cleanup(Cancellation());
  EXPECT_TRUE(std::filesystem::is_empty(snapshotter.Path("trash")));
  EXPECT_OK(snapshotter.MakeCommitted("a"));
}

}  // namespace
}  // namespace sluice
