// The life of a snapshot that has adopted a layer: mounts, Commit, Usage, Remove, a restart.
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "snapshotter/active_snapshots.h"
#include "snapshotter/recovery.h"
#include "snapshotter/snapshotter_fixture.h"
#include "tests/testing/status_matchers.h"

namespace sluice {
namespace {

using absl::StatusCode;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::SnapshotterFixture;
using testing::StatusIs;
using Mounts = std::vector<Mount>;

const Usage kLayerUsage = {8192, 3};  // of SnapshotterFixture::PublishLayer

class AdoptionTest : public ::testing::Test {
 protected:
  ActiveSnapshots Active() { return ActiveSnapshots(snapshotter_.tree(), snapshotter_.metadata()); }

  ActiveSnapshot Find(const Mounts& mounts) {
    absl::StatusOr<ActiveSnapshot> found = Active().Find(mounts);
    EXPECT_OK(found);
    return found.ok() ? *found : ActiveSnapshot();
  }
  // An active snapshot that has adopted a layer of this content. Returns what Prepare answered.
  Mounts PrepareAdopted(const std::string& key, const std::string& parent, const std::string& content) {
    absl::StatusOr<Mounts> mounts = snapshotter_.Prepare(key, parent);
    EXPECT_OK(mounts);
    layer_ = snapshotter_.PublishLayer(content).value();
    EXPECT_TRUE(Active().Adopt(Find(*mounts), layer_, chain_).value());
    return *mounts;
  }
  std::optional<SnapshotRow> Row(const std::string& key) {
    std::optional<SnapshotRow> row;
    EXPECT_OK(snapshotter_.metadata().Read([&](const MetadataReader& reader) -> absl::Status {
      ASSIGN_OR_RETURN(row, reader.Snapshot("sluice", key));
      return absl::OkStatus();
    }));
    return row;
  }
  std::string Fs(int64_t directory) { return snapshotter_.tree().layout().FsPath(directory); }
  Usage UsageOf(const std::string& key) {
    return snapshotter_->GetUsage("sluice", key, Cancellation()).value_or(Usage{-1, -1});
  }
  // Everything that nobody claims is gone, and nothing else.
  void ExpectDirectories(const std::vector<int64_t>& directories) {
    snapshotter_.clock().Advance(absl::Hours(1));
    EXPECT_OK(snapshotter_.layers().ReapUnclaimed());
    EXPECT_THAT(snapshotter_.tree().Published().value(), ::testing::UnorderedElementsAreArray(directories));
  }

  SnapshotterFixture snapshotter_;
  const Digest chain_ = Digest::Of("chain");
  LayerRecord layer_;
};

TEST_F(AdoptionTest, MountsShowTheLayerBelowAnEmptyDirectory) {
  ASSERT_OK(snapshotter_.MakeCommitted("parent"));
  const Mounts prepared = PrepareAdopted("key", "parent", "layer");
  ASSERT_OK_AND_ASSIGN(const Mounts mounts, snapshotter_->Mounts("sluice", "key"));
  EXPECT_EQ(mounts[0].options.back(), absl::StrCat("lowerdir=", Fs(layer_.id), ":", Fs(1)));
  EXPECT_EQ(prepared[0].options.back(), absl::StrCat("lowerdir=", Fs(1)));
  // Either is known as the snapshot's.
  for (const Mounts& either : {prepared, mounts}) {
    const ActiveSnapshot found = Find(either);
    EXPECT_EQ(found.key, "key");
    ASSERT_TRUE(found.adopted.has_value());
    EXPECT_EQ(found.adopted->id, layer_.id);
    EXPECT_THAT(found.below, ElementsAre(1));
  }
  EXPECT_EQ(UsageOf("key").inodes, 1 + kLayerUsage.inodes);
}

TEST_F(AdoptionTest, WithoutParentsToo) {
  PrepareAdopted("key", "", "layer");
  ASSERT_OK_AND_ASSIGN(const Mounts mounts, snapshotter_->Mounts("sluice", "key"));
  EXPECT_EQ(mounts[0].type, "overlay");
  EXPECT_THAT(mounts[0].options, Contains(absl::StrCat("lowerdir=", Fs(layer_.id))));
}

TEST_F(AdoptionTest, CommittedUntouchedItIsTheLayer) {
  ASSERT_OK(snapshotter_.MakeCommitted("parent"));
  PrepareAdopted("key", "parent", "layer");
  const int64_t own = *Row("key")->directory_id;
  ASSERT_OK(snapshotter_->Commit("sluice", "name", "key", {{"a", "b"}}));
  const SnapshotRow row = *Row("name");
  EXPECT_EQ(row.directory_id, layer_.id);
  EXPECT_EQ(row.adopted_id, std::nullopt);
  EXPECT_EQ(row.chain_id, chain_);
  EXPECT_EQ(row.usage, kLayerUsage);
  EXPECT_EQ(UsageOf("name"), kLayerUsage);
  EXPECT_FALSE(snapshotter_.tree().Exists(own));
  ExpectDirectories({1, layer_.id});
  ASSERT_OK_AND_ASSIGN(const Mounts child, snapshotter_.Prepare("child", "name"));
  EXPECT_EQ(child[0].options.back(), absl::StrCat("lowerdir=", Fs(layer_.id), ":", Fs(1)));
  EXPECT_EQ(Find(child).parent_chain_id, chain_);
}

TEST_F(AdoptionTest, CommittedTouchedItKeepsBoth) {
  ASSERT_OK(snapshotter_.MakeCommitted("parent"));
  PrepareAdopted("key", "parent", "layer");
  const int64_t own = *Row("key")->directory_id;
  std::ofstream(Fs(own) + "/written") << "1";
  ASSERT_OK(snapshotter_->Commit("sluice", "name", "key", {}));
  const SnapshotRow row = *Row("name");
  EXPECT_EQ(row.directory_id, own);
  EXPECT_EQ(row.adopted_id, layer_.id);
  EXPECT_EQ(row.chain_id, std::nullopt) << "nobody has proven what is in it";
  EXPECT_EQ(UsageOf("name").inodes, 2 + kLayerUsage.inodes);
  ExpectDirectories({1, own, layer_.id});

  ASSERT_OK_AND_ASSIGN(const Mounts view, snapshotter_->View({"sluice", "view", "name", {}}));
  EXPECT_EQ(view[0].options.back(), absl::StrCat("lowerdir=", Fs(own), ":", Fs(layer_.id), ":", Fs(1)));
  ASSERT_OK_AND_ASSIGN(const Mounts child, snapshotter_.Prepare("child", "name"));
  EXPECT_EQ(child[0].options.back(), view[0].options.back());

  EXPECT_THAT(snapshotter_->Remove("sluice", "name"), StatusIs(StatusCode::kFailedPrecondition));
  for (const char* key : {"view", "child", "name", "parent"}) ASSERT_OK(snapshotter_->Remove("sluice", key));
  ExpectDirectories({});
}

TEST_F(AdoptionTest, AChangeOfTheRootAloneIsAChange) {
  const struct {
    const char* what;
    int (*change)(const char* path);
    bool touched;
  } cases[] = {
      {"owner", [](const char* path) { return chown(path, 7, 0); }, true},
      {"group", [](const char* path) { return chown(path, 0, 7); }, true},
      {"mode", [](const char* path) { return chmod(path, 0700); }, true},
      {"attribute", [](const char* path) { return setxattr(path, "trusted.mine", "x", 1, 0); }, true},
      {"nothing", [](const char*) { return 0; }, false},
      {"overlayfs' own", [](const char* path) { return setxattr(path, "trusted.overlay.impure", "y", 1, 0); }, false},
  };
  for (const auto& [what, change, touched] : cases) {
    PrepareAdopted(what, "", what);
    ASSERT_EQ(change(Fs(*Row(what)->directory_id).c_str()), 0) << what;
    ASSERT_OK(snapshotter_->Commit("sluice", absl::StrCat(what, " committed"), what, {}));
    EXPECT_EQ(Row(absl::StrCat(what, " committed"))->adopted_id.has_value(), touched) << what;
  }
}

TEST_F(AdoptionTest, ALayerLivesAsLongAsSomebodyHasIt) {
  PrepareAdopted("a", "", "layer");
  const int64_t layer = layer_.id;
  PrepareAdopted("b", "", "layer");
  ASSERT_EQ(layer_.id, layer);
  const int64_t own_b = *Row("b")->directory_id;
  ASSERT_OK(snapshotter_->Commit("sluice", "committed", "a", {}));
  ExpectDirectories({own_b, layer});
  ASSERT_OK(snapshotter_->Remove("sluice", "committed"));
  ExpectDirectories({own_b, layer});
  ASSERT_OK(snapshotter_->Remove("sluice", "b"));
  ExpectDirectories({});
  EXPECT_THAT(snapshotter_.layers().FindByBlob(layer_.facts.blob_digest).value(), IsEmpty());
}

TEST_F(AdoptionTest, WhatCantBeAdopted) {
  ASSERT_OK_AND_ASSIGN(const Mounts mounts, snapshotter_.Prepare("key"));
  const ActiveSnapshot snapshot = Find(mounts);
  ASSERT_OK_AND_ASSIGN(const LayerRecord expired, snapshotter_.PublishLayer("expired"));
  ExpectDirectories({snapshot.directory_id});
  EXPECT_EQ(Active().Adopt(snapshot, expired, chain_).value(), false);
  ASSERT_OK_AND_ASSIGN(const LayerRecord layer, snapshotter_.PublishLayer("layer"));

  std::ofstream(mounts[0].source + "/written") << "1";
  EXPECT_THAT(Active().Adopt(snapshot, layer, chain_), StatusIs(StatusCode::kFailedPrecondition, "is not empty"));
  std::filesystem::remove(mounts[0].source + "/written");
  ASSERT_OK(Active().Adopt(snapshot, layer, chain_));
  EXPECT_THAT(Active().Adopt(snapshot, layer, chain_), StatusIs(StatusCode::kFailedPrecondition, "is not empty"));
  EXPECT_THAT(Active().Fill(snapshot, Active().Stage().value()),
              StatusIs(StatusCode::kFailedPrecondition, "is not empty"));

  ASSERT_OK(snapshotter_->Commit("sluice", "name", "key", {}));
  EXPECT_THAT(Active().Adopt(snapshot, layer, chain_), StatusIs(StatusCode::kFailedPrecondition, "meanwhile"));
}

TEST_F(AdoptionTest, ARestartChangesNothing) {
  PrepareAdopted("active", "", "one");
  const int64_t one = layer_.id;
  PrepareAdopted("touched", "", "two");
  const int64_t two = layer_.id;
  std::ofstream(Fs(*Row("touched")->directory_id) + "/written") << "1";
  ASSERT_OK(snapshotter_->Commit("sluice", "committed", "touched", {}));
  ASSERT_OK_AND_ASSIGN(const Mounts before, snapshotter_->Mounts("sluice", "active"));
  snapshotter_.Stop();
  snapshotter_.Start();
  ASSERT_OK_AND_ASSIGN(RecoveryReport report,
                       Recover(snapshotter_.tree(), snapshotter_.metadata(), snapshotter_.layers()));
  EXPECT_EQ(report.discarded_directories + report.missing_directories + report.discarded_layers, 0);
  EXPECT_EQ(snapshotter_->Mounts("sluice", "active").value(), before);
  ExpectDirectories({*Row("active")->directory_id, one, *Row("committed")->directory_id, two});

  std::filesystem::remove_all(snapshotter_.tree().layout().SnapshotPath(one));
  ASSERT_OK_AND_ASSIGN(report, Recover(snapshotter_.tree(), snapshotter_.metadata(), snapshotter_.layers()));
  EXPECT_EQ(report.missing_directories, 1);
  const std::string words = absl::StrCat("snapshots/", one, " is missing");
  EXPECT_THAT(snapshotter_->Mounts("sluice", "active"), StatusIs(StatusCode::kFailedPrecondition, words));
  EXPECT_THAT(snapshotter_->Commit("sluice", "x", "active", {}), StatusIs(StatusCode::kFailedPrecondition, words));
  EXPECT_OK(snapshotter_->Remove("sluice", "active"));
}

}  // namespace
}  // namespace sluice
