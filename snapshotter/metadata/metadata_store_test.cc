#include "snapshotter/metadata/metadata_store.h"

#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using testing::StatusIs;

const absl::Time kThen = absl::FromUnixNanos(1'700'000'000'123'456'789);
constexpr char kRef[] = "containerd.io/snapshot.ref";

class MetadataStoreTest : public ::testing::Test {
 protected:
  MetadataStoreTest() : store_(MetadataStore::Open(dir_.At("m.db")).value()) {}

  void Reopen() {
    store_.reset();
    store_ = MetadataStore::Open(dir_.At("m.db")).value();
  }

  int64_t Insert(const std::string& snapshotter, const std::string& key, SnapshotKind kind,
                 std::optional<int64_t> parent = std::nullopt, std::optional<int64_t> directory = std::nullopt,
                 const Labels& labels = {}, absl::Time created = kThen) {
    SnapshotRow row;
    row.snapshotter = snapshotter;
    row.key = key;
    row.kind = kind;
    row.parent_id = parent;
    row.directory_id = directory;
    row.created = row.updated = created;
    int64_t id = 0;
    EXPECT_OK(store_->Write([&](MetadataWriter& writer) -> absl::Status {
      ASSIGN_OR_RETURN(id, writer.InsertSnapshot(row, labels));
      return absl::OkStatus();
    }));
    return id;
  }

  // What `ask` of the reader returns.
  template <typename Ask>
  auto Read(Ask ask) {
    decltype(ask(std::declval<const MetadataReader&>())) result = absl::UnknownError("not asked");
    EXPECT_OK(store_->Read([&](const MetadataReader& reader) {
      result = ask(reader);
      return result.status();
    }));
    return *std::move(result);
  }

  testing::TempDir dir_;
  std::unique_ptr<MetadataStore> store_;
};

TEST_F(MetadataStoreTest, RowsComeBackAsTheyWereAfterReopening) {
  const int64_t parent = Insert("sluice", "base", SnapshotKind::kCommitted, std::nullopt, 1);
  SnapshotRow row;
  row.snapshotter = "sluice";
  row.key = "default/1/extract-1 sha256:aa";
  row.kind = SnapshotKind::kCommitted;
  row.parent_id = parent;
  row.directory_id = 7;
  row.created = kThen;
  row.updated = kThen + absl::Nanoseconds(1);
  row.usage = Usage{4096, 2};
  row.chain_id = Digest::Of("chain");
  ASSERT_OK(store_->Write([&](MetadataWriter& writer) {
    return writer.InsertSnapshot(row, {{"a", "b"}, {"dropped", ""}}).status();
  }));
  Reopen();

  const auto got = Read([&](const MetadataReader& reader) { return reader.Snapshot("sluice", row.key); });
  ASSERT_TRUE(got.has_value());
  EXPECT_EQ(got->kind, row.kind);
  EXPECT_EQ(got->parent_id, parent);
  EXPECT_EQ(got->parent_key, "base");
  EXPECT_EQ(got->directory_id, 7);
  EXPECT_EQ(got->created, row.created);
  EXPECT_EQ(got->updated, row.updated);
  EXPECT_EQ(got->usage, row.usage);
  EXPECT_EQ(got->chain_id, row.chain_id);
  EXPECT_EQ(Read([&](const MetadataReader& reader) { return reader.LabelsOf(got->id); }), (Labels{{"a", "b"}}));
}

TEST_F(MetadataStoreTest, EachProxyNameIsAKeySpaceOfItsOwn) {
  Insert("one", "key", SnapshotKind::kActive);
  Insert("two", "key", SnapshotKind::kCommitted);
  EXPECT_EQ(Read([](const MetadataReader& reader) { return reader.Snapshot("one", "key"); })->kind,
            SnapshotKind::kActive);
  EXPECT_EQ(Read([](const MetadataReader& reader) { return reader.Snapshot("three", "key"); }), std::nullopt);
  EXPECT_EQ(Read([](const MetadataReader& reader) { return reader.List("one"); }).size(), 1u);
  Insert("one", "another", SnapshotKind::kActive);
  EXPECT_THAT(Read([](const MetadataReader& reader) { return reader.Snapshotters(); }), ElementsAre("one", "two"));

  SnapshotRow again;
  again.snapshotter = "one";
  again.key = "key";
  EXPECT_THAT(store_->Write([&](MetadataWriter& writer) { return writer.InsertSnapshot(again, {}).status(); }),
              StatusIs(absl::StatusCode::kAlreadyExists));
}

TEST_F(MetadataStoreTest, AFailedTransactionLeavesNothing) {
  SnapshotRow row;
  row.snapshotter = "s";
  row.key = "k";
  EXPECT_THAT(store_->Write([&](MetadataWriter& writer) -> absl::Status {
    RETURN_IF_ERROR(writer.InsertSnapshot(row, {{"l", "v"}}).status());
    return absl::CancelledError("changed my mind");
  }),
              StatusIs(absl::StatusCode::kCancelled));
  EXPECT_THAT(Read([](const MetadataReader& reader) { return reader.List("s"); }), IsEmpty());
  Insert("s", "k", SnapshotKind::kActive);  // and the store goes on
}

TEST_F(MetadataStoreTest, ChainDirectoriesAreTopmostFirstWithoutThoseOfNobody) {
  const int64_t base = Insert("s", "base", SnapshotKind::kCommitted, std::nullopt, 10);
  const int64_t middle = Insert("s", "middle", SnapshotKind::kCommitted, base, 11);
  const int64_t top = Insert("s", "top", SnapshotKind::kCommitted, middle, 10);
  const int64_t view = Insert("s", "view", SnapshotKind::kView, top);
  EXPECT_THAT(Read([&](const MetadataReader& reader) { return reader.ChainDirectories(view); }),
              ElementsAre(10, 11, 10));
  EXPECT_TRUE(Read([&](const MetadataReader& reader) { return reader.HasChildren(top); }));
  EXPECT_FALSE(Read([&](const MetadataReader& reader) { return reader.HasChildren(view); }));
}

TEST_F(MetadataStoreTest, AnAdoptedLayerIsBelowItsSnapshotsOwnDirectory) {
  const auto adopt = [&](int64_t id, std::optional<int64_t> directory, int64_t layer) {
    SnapshotRow row;
    row.id = id;
    row.directory_id = directory;
    row.adopted_id = layer;
    row.chain_id = Digest::Of("chain");
    ASSERT_OK(store_->Write([&](MetadataWriter& writer) { return writer.SetContent(row); }));
  };
  const int64_t base = Insert("s", "base", SnapshotKind::kCommitted, std::nullopt, 10);
  const int64_t middle = Insert("s", "middle", SnapshotKind::kCommitted, base, 11);
  Insert("s", "top", SnapshotKind::kActive, middle, 12);
  adopt(base, 10, 20);
  adopt(middle, 11, 21);
  const SnapshotRow top = *Read([](const MetadataReader& reader) { return reader.ActiveWithDirectory(12); });
  adopt(top.id, 12, 20);
  const SnapshotRow adopted = *Read([](const MetadataReader& reader) { return reader.ActiveWithDirectory(12); });
  EXPECT_EQ(adopted.adopted_id, 20);
  EXPECT_EQ(adopted.chain_id, Digest::Of("chain"));
  EXPECT_THAT(Read([&](const MetadataReader& reader) { return reader.ChainDirectories(top.id); }),
              ElementsAre(12, 20, 11, 21, 10, 20));
  EXPECT_THAT(Read([&](const MetadataReader& reader) { return reader.DirectoriesBelow(adopted); }),
              ElementsAre(20, 11, 21, 10, 20));
  EXPECT_THAT(Read([&](const MetadataReader& reader) { return reader.DirectoriesBelow(top); }),
              ElementsAre(11, 21, 10, 20));
  EXPECT_EQ(Read([](const MetadataReader& reader) { return reader.Claims(20); }), 2);
  EXPECT_EQ(Read([](const MetadataReader& reader) { return reader.Claims(10); }), 1);
  // A committed one's directory is nobody's to fill.
  EXPECT_EQ(Read([](const MetadataReader& reader) { return reader.ActiveWithDirectory(11); }), std::nullopt);
}

TEST_F(MetadataStoreTest, LayersAreFoundByTheirBlob) {
  const auto insert = [&](int64_t id, const char* blob, std::optional<const char*> chain,
                          std::optional<int64_t> bytes) {
    LayerRecord layer;
    layer.id = id;
    layer.facts.diff_id = Digest::Of(blob);
    layer.facts.blob_digest = Digest::Of(blob);
    layer.facts.tar_bytes = bytes;
    if (chain.has_value()) layer.facts.chain_id = Digest::Of(*chain);
    ASSERT_OK(store_->Write([&](MetadataWriter& writer) { return writer.InsertLayer(layer, true, "boot", kThen); }));
  };
  insert(1, "a", "c1", 7);
  insert(2, "b", std::nullopt, 8);
  insert(3, "a", "c2", std::nullopt);
  const auto layers = Read([](const MetadataReader& reader) { return reader.LayersOfBlob(Digest::Of("a")); });
  ASSERT_EQ(layers.size(), 2u);
  EXPECT_EQ(layers[0].id, 1);
  EXPECT_EQ(layers[0].facts.tar_bytes, 7);
  EXPECT_EQ(layers[1].id, 3);
  EXPECT_EQ(layers[1].facts.tar_bytes, std::nullopt);
  EXPECT_THAT(Read([](const MetadataReader& reader) { return reader.LayersOfBlob(Digest::Of("x")); }), IsEmpty());
}

TEST_F(MetadataStoreTest, OldestCommittedByRefAndParent) {
  const int64_t parent = Insert("s", "p", SnapshotKind::kCommitted);
  const Labels labels = {{kRef, "sha256:aa"}};
  Insert("s", "active", SnapshotKind::kActive, parent, std::nullopt, labels, kThen - absl::Hours(1));
  Insert("s", "second", SnapshotKind::kCommitted, parent, std::nullopt, labels, kThen + absl::Seconds(1));
  Insert("s", "first", SnapshotKind::kCommitted, parent, std::nullopt, labels, kThen);
  Insert("s", "root", SnapshotKind::kCommitted, std::nullopt, std::nullopt, labels, kThen - absl::Hours(1));
  Insert("other", "elsewhere", SnapshotKind::kCommitted, std::nullopt, std::nullopt, labels, kThen - absl::Hours(2));

  const auto find = [&](const char* ref, std::optional<int64_t> over) {
    return Read([&](const MetadataReader& reader) { return reader.CommittedByRef("s", ref, over); });
  };
  EXPECT_EQ(find("sha256:aa", parent)->key, "first");
  EXPECT_EQ(find("sha256:aa", std::nullopt)->key, "root");
  EXPECT_EQ(find("sha256:bb", parent), std::nullopt);
}

TEST_F(MetadataStoreTest, ListByLabel) {
  const Labels both = {{"a", "1"}, {"b", "2"}};
  const int64_t parent = Insert("s", "p", SnapshotKind::kCommitted, std::nullopt, std::nullopt, {{"a", "2"}});
  Insert("s", "active", SnapshotKind::kActive, parent, std::nullopt, both);
  Insert("s", "view", SnapshotKind::kView, parent, std::nullopt, both);
  Insert("s", "unlike", SnapshotKind::kView, parent, std::nullopt, {{"b", "1"}});
  Insert("other", "elsewhere", SnapshotKind::kActive, std::nullopt, std::nullopt, both);

  const auto list = [&](const std::string& key, const std::string& value) {
    return Read([&](const MetadataReader& reader) { return reader.ListByLabel("s", key, value); });
  };
  const std::vector<SnapshotInfo> ones = list("a", "1");
  ASSERT_THAT(ones, SizeIs(2));
  EXPECT_EQ(ones[0].name, "active");
  EXPECT_EQ(ones[0].parent, "p");
  EXPECT_EQ(ones[0].labels, both);
  EXPECT_EQ(ones[1].name, "view");
  EXPECT_EQ(ones[1].labels, both);
  EXPECT_THAT(list("a", "3"), IsEmpty());
  EXPECT_THAT(list("b", ""), IsEmpty());
}

TEST_F(MetadataStoreTest, TheRefFollowsTheLabel) {
  const int64_t id = Insert("s", "k", SnapshotKind::kCommitted, std::nullopt, std::nullopt, {{kRef, "sha256:aa"}});
  const auto replace = [&](const Labels& labels) {
    ASSERT_OK(store_->Write([&](MetadataWriter& writer) { return writer.ReplaceLabels(id, labels, kThen); }));
  };
  const auto has = [&](const char* ref) {
    return Read([&](const MetadataReader& reader) { return reader.CommittedByRef("s", ref, std::nullopt); })
        .has_value();
  };
  replace({{kRef, "sha256:bb"}});
  EXPECT_FALSE(has("sha256:aa"));
  EXPECT_TRUE(has("sha256:bb"));
  replace({});
  EXPECT_FALSE(has("sha256:bb"));
}

TEST_F(MetadataStoreTest, ListGivesEachItsOwnLabels) {
  const int64_t a = Insert("s", "a", SnapshotKind::kCommitted, std::nullopt, std::nullopt, {{"x", "1"}, {"y", "2"}});
  Insert("other", "a", SnapshotKind::kCommitted, std::nullopt, std::nullopt, {{"x", "3"}});
  Insert("s", "b", SnapshotKind::kActive, a);
  Insert("s", "c", SnapshotKind::kView, a, std::nullopt, {{"z", "4"}});
  const auto infos = Read([](const MetadataReader& reader) { return reader.List("s"); });
  ASSERT_EQ(infos.size(), 3u);
  EXPECT_EQ(infos[0], (SnapshotInfo{"a", "", SnapshotKind::kCommitted, kThen, kThen, {{"x", "1"}, {"y", "2"}}}));
  EXPECT_EQ(infos[1], (SnapshotInfo{"b", "a", SnapshotKind::kActive, kThen, kThen, {}}));
  EXPECT_EQ(infos[2], (SnapshotInfo{"c", "a", SnapshotKind::kView, kThen, kThen, {{"z", "4"}}}));
}

TEST_F(MetadataStoreTest, DeletingASnapshotDeletesItsLabels) {
  const int64_t id = Insert("s", "k", SnapshotKind::kActive, std::nullopt, std::nullopt, {{"x", "1"}});
  ASSERT_OK(store_->Write([&](MetadataWriter& writer) { return writer.DeleteSnapshot(id); }));
  EXPECT_THAT(Read([&](const MetadataReader& reader) { return reader.LabelsOf(id); }), IsEmpty());
}

TEST_F(MetadataStoreTest, DirectoryNumbersAreNeverGivenTwice) {
  int64_t last = 0;
  for (int life = 0; life < 3; ++life) {
    for (int i = 0; i < 300; ++i) {  // more than one block
      ASSERT_OK_AND_ASSIGN(const int64_t id, store_->NextDirectoryId());
      ASSERT_GT(id, last);
      last = id;
    }
    Reopen();
  }
}

TEST_F(MetadataStoreTest, OneSelfContainedLayerPerDiffIdAndOneOthersPerChain) {
  const auto insert = [&](int64_t id, const char* diff, std::optional<const char*> chain) {
    LayerRecord layer;
    layer.id = id;
    layer.facts.diff_id = Digest::Of(diff);
    if (chain.has_value()) layer.facts.chain_id = Digest::Of(*chain);
    return store_->Write([&](MetadataWriter& writer) { return writer.InsertLayer(layer, false, "boot", kThen); });
  };
  ASSERT_OK(insert(1, "d", std::nullopt));
  EXPECT_THAT(insert(2, "d", std::nullopt), StatusIs(absl::StatusCode::kAlreadyExists));
  ASSERT_OK(insert(3, "d", "c1"));
  ASSERT_OK(insert(4, "d", "c2"));
  EXPECT_THAT(insert(5, "d", "c1"), StatusIs(absl::StatusCode::kAlreadyExists));

  EXPECT_EQ(Read([](const MetadataReader& reader) { return reader.SelfContainedLayer(Digest::Of("d")); })->id, 1);
  EXPECT_EQ(Read([](const MetadataReader& reader) { return reader.LayerOfChain(Digest::Of("c2")); })->id, 4);
  EXPECT_EQ(Read([](const MetadataReader& reader) { return reader.SelfContainedLayer(Digest::Of("x")); }),
            std::nullopt);
}

TEST_F(MetadataStoreTest, UnclaimedLayersAreThoseWithoutSnapshotAndOldEnough) {
  for (const int64_t id : {1, 2, 3}) {
    LayerRecord layer;
    layer.id = id;
    layer.facts.diff_id = Digest::Of(std::to_string(id));
    ASSERT_OK(store_->Write([&](MetadataWriter& writer) {
      return writer.InsertLayer(layer, false, "boot", id == 3 ? kThen + absl::Minutes(1) : kThen);
    }));
  }
  const int64_t id = Insert("s", "k", SnapshotKind::kCommitted, std::nullopt, 1);
  EXPECT_THAT(Read([](const MetadataReader& reader) { return reader.UnclaimedLayers(kThen + absl::Seconds(1)); }),
              ElementsAre(2));
  SnapshotRow adopted;
  adopted.id = id;
  adopted.adopted_id = 1;
  ASSERT_OK(store_->Write([&](MetadataWriter& writer) { return writer.SetContent(adopted); }));
  EXPECT_THAT(Read([](const MetadataReader& reader) { return reader.UnclaimedLayers(kThen + absl::Seconds(1)); }),
              ElementsAre(2));
  EXPECT_EQ(Read([](const MetadataReader& reader) { return reader.Claims(1); }), 1);
  EXPECT_EQ(Read([](const MetadataReader& reader) { return reader.Claims(2); }), 0);
}

TEST_F(MetadataStoreTest, CountsAndUsers) {
  const auto totals = [this] { return Read([](const MetadataReader& reader) { return reader.TotalLayers(); }); };
  EXPECT_EQ(totals(), (LayerTotals{}));
  for (const int64_t id : {1, 2, 3}) {
    LayerRecord layer;
    layer.id = id;
    layer.facts.diff_id = Digest::Of(std::to_string(id));
    layer.facts.usage_bytes = 100 * id;
    ASSERT_OK(store_->Write([&](MetadataWriter& writer) { return writer.InsertLayer(layer, false, "boot", kThen); }));
  }
  Insert("s", "two", SnapshotKind::kCommitted, std::nullopt, 2);
  Insert("t", "two", SnapshotKind::kCommitted, std::nullopt, 2);
  Insert("s", "three", SnapshotKind::kCommitted, std::nullopt, 3);
  Insert("s", "rw", SnapshotKind::kActive, std::nullopt, 4);
  EXPECT_EQ(totals(), (LayerTotals{3, 600, 1, 100}));
  EXPECT_THAT(Read([](const MetadataReader& reader) { return reader.CountSnapshots(); }),
              ElementsAre(SnapshotCount{"s", SnapshotKind::kActive, 1}, SnapshotCount{"s", SnapshotKind::kCommitted, 2},
                          SnapshotCount{"t", SnapshotKind::kCommitted, 1}));
  EXPECT_THAT(Read([](const MetadataReader& reader) { return reader.LayerUsers(0, 100); }),
              ElementsAre(LayerUser{2, "s", "two"}, LayerUser{2, "t", "two"}, LayerUser{3, "s", "three"}));
  EXPECT_THAT(Read([](const MetadataReader& reader) { return reader.LayerUsers(2, 3); }),
              ElementsAre(LayerUser{3, "s", "three"}));
  EXPECT_THAT(Read([](const MetadataReader& reader) { return reader.LayerUsers(0, 2); }),
              ElementsAre(LayerUser{2, "s", "two"}, LayerUser{2, "t", "two"}));
}

TEST_F(MetadataStoreTest, ReadersSeeOneMomentWhileAWriterWrites) {
  std::thread writer([this] {
    for (int i = 0; i < 50; ++i) {
      // Always two of a kind.
      ASSERT_OK(store_->Write([&](MetadataWriter& in) -> absl::Status {
        for (const char* suffix : {"-a", "-b"}) {
          SnapshotRow row;
          row.snapshotter = "s";
          row.key = std::to_string(i) + suffix;
          RETURN_IF_ERROR(in.InsertSnapshot(row, {}).status());
        }
        return absl::OkStatus();
      }));
    }
  });
  size_t seen = 0;
  while (seen < 100) {
    seen = Read([](const MetadataReader& reader) { return reader.List("s"); }).size();
    ASSERT_EQ(seen % 2, 0u);
  }
  writer.join();
}

}  // namespace
}  // namespace sluice
