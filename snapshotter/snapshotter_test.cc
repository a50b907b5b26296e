#include "snapshotter/snapshotter.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "snapshotter/snapshot_errors.h"
#include "snapshotter/snapshotter_fixture.h"
#include "tests/testing/status_matchers.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using testing::SnapshotterFixture;
using testing::StatusIs;

constexpr char kSluice[] = "sluice";

class SnapshotterTest : public ::testing::Test {
 protected:
  // One of each kind: "active" and "view" over "base", which has a child each; "lone" has none.
  void SetUp() override {
    ASSERT_OK(snapshotter_.MakeCommitted("base"));
    ASSERT_OK(snapshotter_.MakeCommitted("lone"));
    ASSERT_OK(snapshotter_.Prepare("active", "base"));
    ASSERT_OK(snapshotter_->View({kSluice, "view", "base", {}}));
  }

  struct stat StatOf(const std::string& path) {
    struct stat info = {};
    EXPECT_EQ(lstat(path.c_str(), &info), 0) << path;
    return info;
  }
  size_t DirectoryCount() {
    return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(snapshotter_.Path("snapshots")),
                                             std::filesystem::directory_iterator()));
  }
  std::string Upper(const std::string& key) {
    const std::vector<Mount> mounts = snapshotter_->Mounts(kSluice, key).value();
    for (const std::string& option : mounts.at(0).options) {
      if (option.rfind("upperdir=", 0) == 0) return option.substr(9);
    }
    return mounts.at(0).source;
  }

  SnapshotterFixture snapshotter_;
};

// containerd's table of answers (snapshots/storage/bolt.go), row by row.
struct Row {
  const char* name;
  std::function<absl::Status(SnapshotterFixture&)> call;
  absl::Status want;
};

class SnapshotterStateTest : public SnapshotterTest, public ::testing::WithParamInterface<Row> {};

TEST_P(SnapshotterStateTest, AnswersAndChangesNothing) {
  const auto before = snapshotter_->List(kSluice, {}).value();
  const size_t directories = DirectoryCount();
  EXPECT_EQ(GetParam().call(snapshotter_), GetParam().want);
  EXPECT_EQ(snapshotter_->List(kSluice, {}).value(), before);
  EXPECT_EQ(DirectoryCount(), directories);
}

absl::Status View(SnapshotterFixture& s, const char* key, const char* parent) {
  return s->View({kSluice, key, parent, {}}).status();
}
absl::Status Commit(SnapshotterFixture& s, const char* name, const char* key) {
  return s->Commit(kSluice, name, key, {});
}

INSTANTIATE_TEST_SUITE_P(
    All, SnapshotterStateTest,
    ::testing::Values(
        Row{"PrepareKeyIsActive", [](auto& s) { return s.Prepare("active").status(); },
            KeyTakenError("prepare", "active")},
        Row{"PrepareKeyIsView", [](auto& s) { return s.Prepare("view", "base").status(); },
            KeyTakenError("prepare", "view")},
        Row{"PrepareKeyIsCommitted", [](auto& s) { return s.Prepare("base").status(); },
            KeyTakenError("prepare", "base")},
        Row{"ViewKeyExists", [](auto& s) { return View(s, "active", "base"); }, KeyTakenError("view", "active")},
        Row{"PrepareParentMissing", [](auto& s) { return s.Prepare("new", "none").status(); },
            ParentNotFoundError("prepare", "none")},
        Row{"ViewParentMissing", [](auto& s) { return View(s, "new", "none"); }, ParentNotFoundError("view", "none")},
        Row{"PrepareParentActive", [](auto& s) { return s.Prepare("new", "active").status(); },
            ParentNotCommittedError("prepare", "active")},
        Row{"ViewParentIsView", [](auto& s) { return View(s, "new", "view"); },
            ParentNotCommittedError("view", "view")},
        Row{"PrepareEmptyKey", [](auto& s) { return s.Prepare("").status(); }, EmptyKeyError("prepare")},
        Row{"ViewEmptyKey", [](auto& s) { return View(s, "", "base"); }, EmptyKeyError("view")},
        Row{"MountsMissing", [](auto& s) { return s->Mounts(kSluice, "none").status(); },
            SnapshotNotFoundError("mounts", "none")},
        Row{"MountsOfCommitted", [](auto& s) { return s->Mounts(kSluice, "base").status(); },
            CommittedHasNoMountsError("base")},
        Row{"CommitKeyMissing", [](auto& s) { return Commit(s, "new", "none"); },
            SnapshotNotFoundError("commit", "none")},
        Row{"CommitKeyMissingBeforeNameTaken", [](auto& s) { return Commit(s, "base", "none"); },
            SnapshotNotFoundError("commit", "none")},
        Row{"CommitNameTaken", [](auto& s) { return Commit(s, "base", "active"); }, NameTakenError("base")},
        Row{"CommitNameIsItsKey", [](auto& s) { return Commit(s, "active", "active"); }, NameTakenError("active")},
        Row{"CommitOfView", [](auto& s) { return Commit(s, "new", "view"); }, CommitOfNonActiveError("view")},
        Row{"CommitOfCommitted", [](auto& s) { return Commit(s, "new", "lone"); }, CommitOfNonActiveError("lone")},
        Row{"CommitEmptyName", [](auto& s) { return Commit(s, "", "active"); }, EmptyKeyError("commit")},
        Row{"RemoveMissing", [](auto& s) { return s->Remove(kSluice, "none"); },
            SnapshotNotFoundError("remove", "none")},
        Row{"RemoveWithChildren", [](auto& s) { return s->Remove(kSluice, "base"); }, RemoveWithChildrenError("base")},
        Row{"StatMissing", [](auto& s) { return s->Stat(kSluice, "none").status(); },
            SnapshotNotFoundError("stat", "none")},
        Row{"UsageMissing", [](auto& s) { return s->GetUsage(kSluice, "none", Cancellation()).status(); },
            SnapshotNotFoundError("usage", "none")},
        Row{"UpdateMissing", [](auto& s) { return s->Update(kSluice, "none", {}, {}).status(); },
            SnapshotNotFoundError("update", "none")},
        Row{"UpdateParent", [](auto& s) { return s->Update(kSluice, "base", {}, {"parent"}).status(); },
            ImmutableFieldError("parent")},
        Row{"UpdateLabelThenKind",
            [](auto& s) { return s->Update(kSluice, "base", {{"a", "b"}}, {"labels.a", "kind"}).status(); },
            ImmutableFieldError("kind")},
        Row{"PrepareKeyExistsAndParentMissing", [](auto& s) { return s.Prepare("active", "none").status(); },
            ParentNotFoundError("prepare", "none")},
        Row{"ViewKeyExistsAndParentActive", [](auto& s) { return View(s, "view", "active"); },
            ParentNotCommittedError("view", "active")},
        Row{"PrepareEmptyKeyAndParentMissing", [](auto& s) { return s.Prepare("", "none").status(); },
            ParentNotFoundError("prepare", "none")},
        Row{"CommitEmptyNameAndKeyMissing", [](auto& s) { return Commit(s, "", "none"); },
            SnapshotNotFoundError("commit", "none")},
        Row{"PrepareLabelWithoutKey", [](auto& s) { return s.Prepare("new", "base", {{"", "x"}}).status(); },
            LabelWithoutKeyError("x")},
        Row{"CommitLabelWithoutKey", [](auto& s) { return s->Commit(kSluice, "new", "active", {{"", "x"}}); },
            LabelWithoutKeyError("x")},
        Row{"UpdateLabelWithoutKey",
            [](auto& s) { return s->Update(kSluice, "base", {{"", "x"}}, {"labels."}).status(); },
            LabelWithoutKeyError("x")},
        Row{"AnotherProxysKey", [](auto& s) { return s->Remove("other", "lone"); },
            SnapshotNotFoundError("remove", "lone")},
        Row{"AnotherProxysParent", [](auto& s) { return s.Prepare("new", "base", {}, "other").status(); },
            ParentNotFoundError("prepare", "base")}),
    [](const auto& test) { return std::string(test.param.name); });

TEST(SnapshotErrorsTest, HaveContainerdsCodes) {
  EXPECT_THAT(KeyTakenError("prepare", "k"), StatusIs(absl::StatusCode::kAlreadyExists));
  EXPECT_THAT(ParentNotFoundError("prepare", "k"), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(ParentNotCommittedError("prepare", "k"), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(SnapshotNotFoundError("stat", "k"), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(CommittedHasNoMountsError("k"), StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(NameTakenError("k"), StatusIs(absl::StatusCode::kAlreadyExists));
  EXPECT_THAT(CommitOfNonActiveError("k"), StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(RemoveWithChildrenError("k"), StatusIs(absl::StatusCode::kFailedPrecondition, "remove"));
  EXPECT_THAT(ImmutableFieldError("k"), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(LabelWithoutKeyError("v"), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(LayerPresentError("k"), StatusIs(absl::StatusCode::kAlreadyExists));
  EXPECT_THAT(RebaseUnsupportedError("k"), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(EmptyKeyError("prepare"), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(DirectoryMissingError("mounts", "k", "d"), StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(ShuttingDownError(), StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(SnapshotterTest, MountsAreThoseOfPrepareAlsoAfterARestart) {
  ASSERT_OK_AND_ASSIGN(const auto prepared, snapshotter_.Prepare("again", "base"));
  snapshotter_.Stop();
  snapshotter_.Start();
  EXPECT_EQ(snapshotter_->Mounts(kSluice, "again").value(), prepared);
}

TEST_F(SnapshotterTest, DirectoriesHaveTheirModesWhateverTheUmask) {
  const mode_t before = umask(0);
  ASSERT_OK(snapshotter_.Prepare("open"));
  umask(0777);
  ASSERT_OK(snapshotter_.Prepare("shut"));
  umask(before);
  for (const char* key : {"open", "shut"}) {
    const std::string fs = Upper(key);
    EXPECT_EQ(StatOf(fs).st_mode, static_cast<mode_t>(S_IFDIR | 0755)) << key;
    EXPECT_EQ(StatOf(fs + "/../work").st_mode, static_cast<mode_t>(S_IFDIR | 0711)) << key;
  }
  EXPECT_EQ(StatOf(snapshotter_.Path("")).st_mode & 07777, 0700u);
}

TEST_F(SnapshotterTest, TheOwnerIsThatOfTheParentsRoot) {
  ASSERT_OK(snapshotter_.Prepare("owned"));
  ASSERT_EQ(chown(Upper("owned").c_str(), 1234, 4321), 0);
  ASSERT_OK(snapshotter_->Commit(kSluice, "owned-base", "owned", {}));
  ASSERT_OK(snapshotter_.Prepare("child", "owned-base"));
  EXPECT_EQ(StatOf(Upper("child")).st_uid, 1234u);
  EXPECT_EQ(StatOf(Upper("child")).st_gid, 4321u);
}

TEST_F(SnapshotterTest, CommitReplacesLabelsAndTimes) {
  const absl::Time prepared = snapshotter_.clock().Now();
  ASSERT_OK(snapshotter_.Prepare("key", "base", {{"old", "1"}}));
  snapshotter_.clock().Advance(absl::Nanoseconds(1));
  ASSERT_OK(snapshotter_->Commit(kSluice, "name", "key", {{"new", "2"}}));
  ASSERT_OK_AND_ASSIGN(const SnapshotInfo info, snapshotter_->Stat(kSluice, "name"));
  const absl::Time committed = prepared + absl::Nanoseconds(1);
  EXPECT_EQ(info, (SnapshotInfo{"name", "base", SnapshotKind::kCommitted, committed, committed, {{"new", "2"}}}));
  EXPECT_THAT(snapshotter_->Stat(kSluice, "key"), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(SnapshotterTest, UpdateByMask) {
  const Labels labels = {{"keep", "1"}, {"a.b/c", "2"}, {"gone", "3"}};
  ASSERT_OK(snapshotter_->Update(kSluice, "base", labels, {}));
  const SnapshotInfo before = snapshotter_->Stat(kSluice, "base").value();
  snapshotter_.clock().Advance(absl::Seconds(1));
  ASSERT_OK_AND_ASSIGN(const SnapshotInfo info, snapshotter_->Update(kSluice, "base", {{"a.b/c", "4"}, {"other", "5"}},
                                                                     {"labels.a.b/c", "labels.gone"}));
  EXPECT_EQ(info.labels, (Labels{{"keep", "1"}, {"a.b/c", "4"}}));
  EXPECT_EQ(info.created, before.created);
  EXPECT_EQ(info.updated, before.updated + absl::Seconds(1));
  EXPECT_EQ(snapshotter_->Stat(kSluice, "base").value(), info);
  EXPECT_EQ(snapshotter_->Update(kSluice, "base", {{"all", "new"}, {"empty", ""}}, {"labels"})->labels,
            (Labels{{"all", "new"}}));
  // No label has this key, so none is removed.
  EXPECT_EQ(snapshotter_->Update(kSluice, "base", {}, {"labels."})->labels, (Labels{{"all", "new"}}));
}

TEST_F(SnapshotterTest, KeysCanBeUsedAgainAfterRemove) {
  ASSERT_OK(snapshotter_->Remove(kSluice, "active"));
  ASSERT_OK(snapshotter_->View({kSluice, "active", "base", {}}));
  ASSERT_OK(snapshotter_->Remove(kSluice, "lone"));
  ASSERT_OK(snapshotter_.Prepare("lone"));
}

TEST_F(SnapshotterTest, RemoveThenCleanupGivesTheSpaceBack) {
  const size_t before = DirectoryCount();
  ASSERT_OK(snapshotter_.Prepare("big"));
  std::filesystem::create_directories(Upper("big") + "/a/b/c");
  std::ofstream(Upper("big") + "/a/file") << "content";
  ASSERT_OK(snapshotter_->Remove(kSluice, "big"));
  EXPECT_EQ(DirectoryCount(), before);
  snapshotter_->Cleanup(Cancellation());
  EXPECT_THAT(snapshotter_.tree().TrashNames().value(), IsEmpty());
}

TEST_F(SnapshotterTest, CleanupEndsWhenCancelled) {
  Cancellation cancelled;
  cancelled.Cancel();
  const absl::Time start = absl::Now();
  snapshotter_->Cleanup(cancelled);
  EXPECT_LT(absl::Now() - start, absl::Seconds(5));
}

TEST_F(SnapshotterTest, AViewWithParentsHasNoDirectory) {
  const size_t before = DirectoryCount();
  ASSERT_OK(snapshotter_->View({kSluice, "another", "base", {}}));
  EXPECT_EQ(DirectoryCount(), before);
  ASSERT_OK(snapshotter_->View({kSluice, "empty", "", {}}));
  EXPECT_EQ(DirectoryCount(), before + 1);
  EXPECT_EQ(snapshotter_->GetUsage(kSluice, "another", Cancellation()).value(), Usage{});
}

TEST_F(SnapshotterTest, UsageIsCountedNowForActiveAndStoredForCommitted) {
  ASSERT_OK(snapshotter_.Prepare("key"));
  ASSERT_OK_AND_ASSIGN(const Usage empty, snapshotter_->GetUsage(kSluice, "key", Cancellation()));
  const std::string file = Upper("key") + "/file";
  std::ofstream(file) << std::string(100000, 'x');
  ASSERT_OK_AND_ASSIGN(const Usage filled, snapshotter_->GetUsage(kSluice, "key", Cancellation()));
  EXPECT_EQ(filled.inodes, empty.inodes + 1);
  EXPECT_EQ(filled.bytes, empty.bytes + StatOf(file).st_blocks * 512);

  ASSERT_OK(snapshotter_->Commit(kSluice, "name", "key", {}));
  EXPECT_EQ(snapshotter_->GetUsage(kSluice, "name", Cancellation()).value(), filled);
  snapshotter_.Stop();  // the background count has ended
  snapshotter_.Start();
  std::filesystem::remove(snapshotter_.Path("snapshots/4/fs/file"));
  EXPECT_EQ(snapshotter_->GetUsage(kSluice, "name", Cancellation()).value(), filled);
}

TEST_F(SnapshotterTest, UsageThatARestartInterruptedIsCountedLater) {
  ASSERT_OK(snapshotter_.metadata().Write([](MetadataWriter& writer) -> absl::Status {
    SnapshotRow row;
    row.snapshotter = kSluice;
    row.key = "uncounted";
    row.kind = SnapshotKind::kCommitted;
    row.directory_id = 1;
    return writer.InsertSnapshot(row, {}).status();
  }));
  snapshotter_.Stop();
  snapshotter_.Start();
  std::vector<SnapshotRow> uncounted(1);
  for (int i = 0; i < 500 && !uncounted.empty(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    ASSERT_OK(snapshotter_.metadata().Read([&](const MetadataReader& reader) -> absl::Status {
      ASSIGN_OR_RETURN(uncounted, reader.Uncounted());
      return absl::OkStatus();
    }));
  }
  EXPECT_THAT(uncounted, IsEmpty());
}

TEST_F(SnapshotterTest, ListFilters) {
  EXPECT_THAT(snapshotter_->List(kSluice, {}).value(), SizeIs(4));
  EXPECT_THAT(snapshotter_->List(kSluice, {"kind==view"}).value(), SizeIs(1));
  EXPECT_THAT(snapshotter_->List(kSluice, {"parent==base", "name==lone"}).value(), SizeIs(3));
  EXPECT_THAT(snapshotter_->List("other", {}).value(), IsEmpty());
  EXPECT_THAT(snapshotter_->List(kSluice, {"=="}), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(SnapshotterTest, AMissingDirectoryIsSaidAndCanBeRemoved) {
  std::filesystem::remove_all(snapshotter_.Path("snapshots/1"));  // that of "base"
  for (const absl::Status& status :
       {snapshotter_->Mounts(kSluice, "active").status(), snapshotter_.Prepare("new", "base").status(),
        snapshotter_->View({kSluice, "new", "base", {}}).status()}) {
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kFailedPrecondition, "snapshots/1 is missing"));
  }
  EXPECT_OK(snapshotter_->Stat(kSluice, "base"));
  for (const char* key : {"active", "view", "base"}) EXPECT_OK(snapshotter_->Remove(kSluice, key));
}

TEST_F(SnapshotterTest, ManyClientsAtOnceGetOneKeyOnce) {
  std::vector<std::thread> clients;
  std::atomic<int> made{0};
  for (int i = 0; i < 8; ++i) {
    clients.emplace_back([&] {
      for (int key = 0; key < 20; ++key) {
        if (snapshotter_.Prepare("k" + std::to_string(key), "base").ok()) ++made;
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(made, 20);
  EXPECT_EQ(DirectoryCount(), 3u + 20u);  // what lost the race is in the trash
}

}  // namespace
}  // namespace sluice
