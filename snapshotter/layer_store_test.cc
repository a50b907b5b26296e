#include "snapshotter/layer_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <filesystem>
#include <functional>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "snapshotter/snapshotter_fixture.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace {

std::function<void()>& OnSyncFs() {
  static std::function<void()> on_syncfs;
  return on_syncfs;
}

}  // namespace

// Before the C library's, which does the same: a test can't lose power, but it can see who calls.
extern "C" int syncfs(int fd) noexcept {
  if (OnSyncFs()) OnSyncFs()();
  return static_cast<int>(syscall(SYS_syncfs, fd));
}

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::ManualClock;
using ::testing::SizeIs;
using testing::StatusIs;
using testing::TempDir;

class LayerStoreTest : public ::testing::Test {
 protected:
  LayerStoreTest() { Open(LayerStoreOptions{}); }
  ~LayerStoreTest() override { OnSyncFs() = nullptr; }

  void Open(LayerStoreOptions options) {
    layers_.reset();
    metadata_.reset();
    tree_.reset();
    tree_ = SnapshotTree::Open(PathLayout::ForRoot(dir_.At("root")).value()).value();
    metadata_ = MetadataStore::Open(tree_->layout().DatabasePath()).value();
    options.now = [this] { return clock_.Now(); };
    layers_ = LayerStore::Open(*tree_, *metadata_, options).value();
  }

  static LayerFacts Facts(const std::string& diff, std::optional<std::string> chain = std::nullopt) {
    LayerFacts facts;
    facts.diff_id = Digest::Of(diff);
    if (chain.has_value()) facts.chain_id = Digest::Of(*chain);
    facts.blob_digest = Digest::Of(diff + ".gz");
    facts.blob_bytes = 7;
    facts.usage_bytes = 4096;
    facts.usage_inodes = 2;
    return facts;
  }
  // With a file that tells the fillings apart.
  LayerRecord Publish(const LayerFacts& facts, const char* file = "file") {
    std::unique_ptr<StagedLayer> staged = layers_->Stage().value();
    EXPECT_EQ(mkdirat(staged->fd(), file, 0755), 0);
    return layers_->Publish(std::move(staged), facts).value();
  }
  void Claim(int64_t directory_id) {
    SnapshotRow row;
    row.snapshotter = "s";
    row.key = std::to_string(directory_id);
    row.directory_id = directory_id;
    ASSERT_OK(metadata_->Write([&](MetadataWriter& writer) { return writer.InsertSnapshot(row, {}).status(); }));
  }
  bool Has(const LayerRecord& layer, const char* file) {
    return std::filesystem::exists(tree_->layout().FsPath(layer.id) + "/" + file);
  }

  TempDir dir_{TempDir::Place::kMemory};
  ManualClock clock_;
  std::unique_ptr<SnapshotTree> tree_;
  std::unique_ptr<MetadataStore> metadata_;
  std::unique_ptr<LayerStore> layers_;
};

TEST_F(LayerStoreTest, APublishedLayerIsFoundWithItsFacts) {
  const LayerRecord layer = Publish(Facts("d"));
  ASSERT_OK_AND_ASSIGN(const auto found, layers_->Find(Digest::Of("d"), Digest::Of("any chain")));
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->id, layer.id);
  EXPECT_EQ(found->facts.diff_id, Digest::Of("d"));
  EXPECT_EQ(found->facts.chain_id, std::nullopt);
  EXPECT_EQ(found->facts.blob_digest, Digest::Of("d.gz"));
  EXPECT_EQ(found->facts.blob_bytes, 7);
  EXPECT_EQ(found->facts.usage_bytes, 4096);
  EXPECT_EQ(found->facts.usage_inodes, 2);
  ASSERT_OK_AND_ASSIGN(const UniqueFd fs, layers_->Open(layer.id));
  EXPECT_EQ(faccessat(fs.get(), "file", F_OK, 0), 0);
  EXPECT_THAT(layers_->Open(layer.id + 1), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(LayerStoreTest, ALayerOfAChainIsFoundForThatChainOnly) {
  const LayerRecord layer = Publish(Facts("d", "c"));
  EXPECT_EQ(layers_->Find(Digest::Of("d"), Digest::Of("c")).value()->id, layer.id);
  EXPECT_EQ(layers_->Find(Digest::Of("d"), Digest::Of("other")).value(), std::nullopt);
  EXPECT_EQ(layers_->Find(Digest::Of("x"), Digest::Of("c")).value(), std::nullopt);
}

TEST_F(LayerStoreTest, TheSecondOfTwoEqualLayersIsDropped) {
  const LayerRecord first = Publish(Facts("d"), "first");
  const LayerRecord second = Publish(Facts("d"), "second");
  EXPECT_EQ(second.id, first.id);
  EXPECT_TRUE(Has(first, "first"));
  EXPECT_FALSE(Has(first, "second"));
  EXPECT_THAT(tree_->Published().value(), ElementsAre(first.id));
  EXPECT_THAT(tree_->TrashNames().value(), SizeIs(1));
}

TEST_F(LayerStoreTest, WhatIsNotPublishedGoesToTheTrash) {
  { ASSERT_OK_AND_ASSIGN(const auto staged, layers_->Stage()); }
  EXPECT_THAT(tree_->TrashNames().value(), SizeIs(1));
  EXPECT_THAT(tree_->Published().value(), IsEmpty());
}

TEST_F(LayerStoreTest, AStagedDirectoryIsEmptyAnd0755) {
  const mode_t before = umask(0777);
  ASSERT_OK_AND_ASSIGN(const auto staged, layers_->Stage());
  umask(before);
  struct stat info;
  ASSERT_EQ(fstat(staged->fd(), &info), 0);
  EXPECT_EQ(info.st_mode, static_cast<mode_t>(S_IFDIR | 0755));
}

TEST_F(LayerStoreTest, UnclaimedLayersGoAfterTheGracePeriod) {
  const LayerRecord claimed = Publish(Facts("claimed"));
  const LayerRecord old = Publish(Facts("old"));
  Claim(claimed.id);
  clock_.Advance(absl::Minutes(10));
  const LayerRecord fresh = Publish(Facts("fresh"));
  ASSERT_OK(layers_->ReapUnclaimed());
  EXPECT_THAT(tree_->Published().value(), SizeIs(3));  // ten minutes are not more than ten minutes

  clock_.Advance(absl::Nanoseconds(1));
  ASSERT_OK(layers_->ReapUnclaimed());
  EXPECT_EQ(layers_->Find(Digest::Of("old"), Digest()).value(), std::nullopt);
  EXPECT_FALSE(Has(old, "file"));
  EXPECT_TRUE(Has(claimed, "file"));
  EXPECT_TRUE(Has(fresh, "file"));
}

TEST_F(LayerStoreTest, NothingIsReapedThatSomebodyMayWaitFor) {
  auto hold = layers_->Hold();
  const LayerRecord layer = Publish(Facts("above"));
  clock_.Advance(absl::Hours(5));
  ASSERT_OK(layers_->ReapUnclaimed());
  EXPECT_TRUE(Has(layer, "file"));
  hold.reset();
  ASSERT_OK(layers_->ReapUnclaimed());
  EXPECT_FALSE(Has(layer, "file"));
}

TEST_F(LayerStoreTest, PruningKnowsNoGraceButSparesWhatIsClaimedOrWaitedFor) {
  const LayerRecord claimed = Publish(Facts("claimed"));
  const LayerRecord unclaimed = Publish(Facts("unclaimed"));
  Claim(claimed.id);
  clock_.Advance(absl::Nanoseconds(1));
  auto hold = layers_->Hold();
  const LayerRecord waited_for = Publish(Facts("waited for"));
  clock_.Advance(absl::Nanoseconds(1));

  ASSERT_OK_AND_ASSIGN(const std::vector<LayerRecord> pruned, layers_->PruneUnclaimed());
  ASSERT_THAT(pruned, SizeIs(1));
  EXPECT_EQ(pruned[0].id, unclaimed.id);
  EXPECT_EQ(pruned[0].facts.usage_bytes, 4096);
  EXPECT_FALSE(Has(unclaimed, "file"));
  EXPECT_TRUE(Has(claimed, "file"));
  EXPECT_TRUE(Has(waited_for, "file"));
  hold.reset();
  ASSERT_OK_AND_ASSIGN(const std::vector<LayerRecord> rest, layers_->PruneUnclaimed());
  EXPECT_THAT(rest, SizeIs(1));
}

TEST_F(LayerStoreTest, ALostDirectoryIsFilledAgainInItsPlace) {
  const LayerRecord layer = Publish(Facts("d"), "first");
  Claim(layer.id);
  std::filesystem::remove_all(tree_->layout().SnapshotPath(layer.id));
  EXPECT_EQ(layers_->Find(Digest::Of("d"), Digest()).value(), std::nullopt);
  const LayerRecord again = Publish(Facts("d"), "second");
  EXPECT_EQ(again.id, layer.id);
  EXPECT_TRUE(Has(layer, "second"));
}

TEST_F(LayerStoreTest, LayersAreMarkedOnceTheyAreOnTheDisk) {
  const auto unsynced = [this] {
    std::vector<int64_t> ids;
    EXPECT_OK(metadata_->Read([&](const MetadataReader& reader) -> absl::Status {
      ASSIGN_OR_RETURN(ids, reader.UnsyncedLayers());
      return absl::OkStatus();
    }));
    return ids;
  };
  const LayerRecord layer = Publish(Facts("d"));
  EXPECT_THAT(unsynced(), ElementsAre(layer.id));
  ASSERT_OK(layers_->SyncPublished());
  EXPECT_THAT(unsynced(), IsEmpty());

  LayerStoreOptions at_once;
  at_once.sync_before_publish = true;
  Open(at_once);
  Publish(Facts("e"));
  EXPECT_THAT(unsynced(), IsEmpty());
}

TEST_F(LayerStoreTest, AFileSystemIsSyncedBeforeOrSoonAfterPublishingAsAsked) {
  std::vector<size_t> published_at_sync;
  OnSyncFs() = [&] { published_at_sync.push_back(tree_->Published().value().size()); };
  Publish(Facts("d"));
  EXPECT_THAT(published_at_sync, IsEmpty());
  ASSERT_OK(layers_->SyncPublished());
  EXPECT_THAT(published_at_sync, ElementsAre(1));
  ASSERT_OK(layers_->SyncPublished());  // nothing new
  EXPECT_THAT(published_at_sync, ElementsAre(1));

  LayerStoreOptions at_once;
  at_once.sync_before_publish = true;
  Open(at_once);
  Publish(Facts("e"));
  EXPECT_THAT(published_at_sync, ElementsAre(1, 1));  // when only the first one was there
}

TEST_F(LayerStoreTest, SuspectsAreThoseOfAnEarlierBootThatMayBeLost) {
  const auto insert = [this](const char* diff, bool synced, const char* boot) {
    LayerRecord layer;
    layer.id = metadata_->NextDirectoryId().value();
    layer.facts = Facts(diff);
    EXPECT_OK(tree_->Publish(tree_->Stage(/*work=*/false).value(), layer.id));
    EXPECT_OK(metadata_->Write(
        [&](MetadataWriter& writer) { return writer.InsertLayer(layer, synced, boot, clock_.Now()); }));
    return layer.id;
  };
  Publish(Facts("of this boot"));
  insert("safe", true, "earlier");
  const int64_t lost = insert("lost", false, "earlier");
  const int64_t suspect = insert("suspect", false, "earlier");
  Claim(suspect);
  ASSERT_OK_AND_ASSIGN(const auto suspects, layers_->Suspects());
  ASSERT_THAT(suspects, SizeIs(1));
  EXPECT_EQ(suspects[0].id, suspect);
  EXPECT_FALSE(tree_->Exists(lost));
  EXPECT_THAT(tree_->Published().value(), SizeIs(3));
}

}  // namespace
}  // namespace sluice
