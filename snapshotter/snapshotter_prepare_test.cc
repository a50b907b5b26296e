// Prepare with containerd.io/snapshot.ref: layers that the provider gets.
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "snapshotter/containerd_labels.h"
#include "snapshotter/fallback_reason.h"
#include "snapshotter/prepare_ledger.h"
#include "snapshotter/snapshot_errors.h"
#include "snapshotter/snapshotter.h"
#include "snapshotter/snapshotter_fixture.h"
#include "tests/testing/status_matchers.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::PrepareResult;
using ::testing::SizeIs;
using testing::SnapshotterFixture;
using testing::StatusIs;
using Done = LayerProvider::Done;

constexpr char kSluice[] = "sluice";
constexpr char kKey[] = "default/1/extract-1-a sha256:x";

Digest RefOf(const char* content) { return Digest::Of(content); }
Labels WithRef(const Digest& ref) { return {{kRefLabel, ref.ToString()}, {"containerd.io/snapshot/x", "y"}}; }

class SnapshotterPrepareTest : public ::testing::Test {
 protected:
  absl::Status PrepareRef(const std::string& key, const std::string& parent, const Digest& ref,
                          const std::string& snapshotter = kSluice) {
    return snapshotter_.Prepare(key, parent, WithRef(ref), snapshotter).status();
  }
  size_t Layers() {
    size_t count = 0;
    EXPECT_OK(snapshotter_.metadata().Read([&](const MetadataReader& reader) -> absl::Status {
      ASSIGN_OR_RETURN(const auto layers, reader.Layers());
      count = layers.size();
      return absl::OkStatus();
    }));
    return count;
  }

  SnapshotterFixture snapshotter_;
};

TEST_F(SnapshotterPrepareTest, AProvidedLayerIsCommittedAndTheAnswerIsAlreadyExists) {
  snapshotter_.ProvideLayer("one");
  const Digest ref = RefOf("one");
  EXPECT_EQ(PrepareRef(kKey, "", ref), LayerPresentError(ref.ToString()));

  ASSERT_THAT(snapshotter_.provider().requests(), SizeIs(1));
  const LayerRequest request = snapshotter_.provider().requests()[0];
  EXPECT_EQ(request.snapshotter, kSluice);
  EXPECT_EQ(request.containerd_namespace, "default");
  EXPECT_EQ(request.key, kKey);
  EXPECT_EQ(request.ref, ref);
  EXPECT_EQ(request.labels, WithRef(ref));
  EXPECT_FALSE(request.has_parent);

  Labels labels = WithRef(ref);
  labels["containerd.io/snapshot/remote"] = "remote snapshot";
  const absl::Time now = snapshotter_.clock().Now();
  const SnapshotInfo want{ref.ToString(), "", SnapshotKind::kCommitted, now, now, labels};
  EXPECT_THAT(snapshotter_->List(kSluice, {}).value(), ElementsAre(want));
  // As containerd's metadata store asks for it next.
  EXPECT_THAT(
      snapshotter_->List(kSluice, {"labels.\"containerd.io/snapshot.ref\"==" + ref.ToString() + ",parent==\"\""})
          .value(),
      ElementsAre(want));
  EXPECT_EQ(snapshotter_->GetUsage(kSluice, ref.ToString(), Cancellation()).value(), (Usage{8192, 3}));
}

TEST_F(SnapshotterPrepareTest, WhatIsThereIsNotAskedForAgain) {
  snapshotter_.ProvideLayer("one");
  const Digest ref = RefOf("one");
  EXPECT_THAT(PrepareRef("default/1/a", "", ref), StatusIs(absl::StatusCode::kAlreadyExists));
  EXPECT_EQ(PrepareRef("k8s.io/2/b", "", ref), LayerPresentError(ref.ToString()));
  EXPECT_THAT(snapshotter_.provider().requests(), SizeIs(1));
  EXPECT_THAT(snapshotter_->List(kSluice, {}).value(), SizeIs(1));
}

TEST_F(SnapshotterPrepareTest, AnotherProxyNameHasItsOwnSnapshotOfTheSameDirectory) {
  snapshotter_.ProvideLayer("one");
  const Digest ref = RefOf("one");
  for (const char* name : {"sluice", "other"}) {
    EXPECT_EQ(PrepareRef("default/1/a", "", ref, name), LayerPresentError(ref.ToString()));
    EXPECT_THAT(snapshotter_->List(name, {}).value(), SizeIs(1));
  }
  EXPECT_EQ(Layers(), 1u);
  ASSERT_OK(snapshotter_->Remove("other", ref.ToString()));
  EXPECT_EQ(Layers(), 1u);
  EXPECT_OK(snapshotter_.Prepare("over", ref.ToString()));
  ASSERT_OK(snapshotter_->Remove(kSluice, "over"));
  ASSERT_OK(snapshotter_->Remove(kSluice, ref.ToString()));
  EXPECT_EQ(Layers(), 0u);
}

TEST_F(SnapshotterPrepareTest, TheProviderIsToldOfTheChainBelow) {
  snapshotter_.ProvideLayer("one");
  const Digest ref = RefOf("one");
  EXPECT_THAT(PrepareRef("default/1/a", "", ref), StatusIs(absl::StatusCode::kAlreadyExists));
  snapshotter_.ProvideLayer("two");
  EXPECT_THAT(PrepareRef("default/2/b", ref.ToString(), RefOf("two")), StatusIs(absl::StatusCode::kAlreadyExists));
  // The same content again above: its directory is there, and mounted once.
  snapshotter_.ProvideLayer("one");
  EXPECT_THAT(PrepareRef("default/3/c", RefOf("two").ToString(), RefOf("three")),
              StatusIs(absl::StatusCode::kAlreadyExists));
  ASSERT_OK_AND_ASSIGN(const auto mounts, snapshotter_->View({kSluice, "view", RefOf("three").ToString(), {}}));
  EXPECT_EQ(mounts[0].options.back(),
            "lowerdir=" + snapshotter_.Path("snapshots/1/fs") + ":" + snapshotter_.Path("snapshots/2/fs"));

  const auto requests = snapshotter_.provider().requests();
  EXPECT_TRUE(requests[2].has_parent);
  EXPECT_EQ(requests[2].parent_chain_id, RefOf("two"));
  EXPECT_THAT(requests[2].parent_directories, ElementsAre(2, 1));
}

TEST_F(SnapshotterPrepareTest, AParentThatContainerdUnpackedIsNotProven) {
  ASSERT_OK(snapshotter_.MakeCommitted("default/5/sha256:p", "", WithRef(RefOf("p"))));
  EXPECT_OK(PrepareRef("default/6/a", "default/5/sha256:p", RefOf("one")));
  const LayerRequest request = snapshotter_.provider().requests().at(0);
  EXPECT_TRUE(request.has_parent);
  EXPECT_EQ(request.parent, "default/5/sha256:p");
  EXPECT_EQ(request.parent_chain_id, std::nullopt);
  EXPECT_THAT(request.parent_directories, SizeIs(1));
}

TEST_F(SnapshotterPrepareTest, ATakenNameGetsASuffix) {
  ASSERT_OK(snapshotter_.MakeCommitted("default/5/sha256:p"));
  ASSERT_OK(snapshotter_.MakeCommitted("k8s.io/6/sha256:p"));
  snapshotter_.ProvideLayer("one");
  const std::string ref = RefOf("one").ToString();
  for (const char* parent : {"", "default/5/sha256:p", "k8s.io/6/sha256:p"}) {
    EXPECT_EQ(PrepareRef("default/7/a", parent, RefOf("one")), LayerPresentError(ref)) << parent;
    const std::string filter = "labels.\"containerd.io/snapshot.ref\"==" + ref + ",parent==\"" + parent + "\"";
    ASSERT_OK_AND_ASSIGN(const auto infos, snapshotter_->List(kSluice, {filter}));
    ASSERT_THAT(infos, SizeIs(1));
    EXPECT_EQ(infos[0].parent, parent);
    EXPECT_EQ(infos[0].name.substr(0, ref.size()), ref);
  }
}

TEST_F(SnapshotterPrepareTest, NoLayerMeansOrdinaryMounts) {
  ASSERT_OK_AND_ASSIGN(const auto mounts, snapshotter_.Prepare(kKey, "", WithRef(RefOf("one"))));
  EXPECT_EQ(mounts, snapshotter_->Mounts(kSluice, kKey).value());
  EXPECT_EQ(snapshotter_->Stat(kSluice, kKey)->kind, SnapshotKind::kActive);
  EXPECT_EQ(snapshotter_->Stat(kSluice, kKey)->labels, WithRef(RefOf("one")));
}

TEST_F(SnapshotterPrepareTest, ARefThatIsNoDigestIsNotOffered) {
  EXPECT_OK(snapshotter_.Prepare(kKey, "", {{kRefLabel, "sha512:abc"}}));
  EXPECT_THAT(snapshotter_.provider().requests(), IsEmpty());
}

TEST_F(SnapshotterPrepareTest, WithoutRefNothingIsOffered) {
  EXPECT_OK(snapshotter_.Prepare(kKey, "", {{"containerd.io/snapshot/cri.layer-digest", RefOf("x").ToString()}}));
  EXPECT_THAT(snapshotter_.provider().requests(), IsEmpty());
}

TEST_F(SnapshotterPrepareTest, ErrorsOfTheRequestComeBeforeTheProvider) {
  ASSERT_OK(snapshotter_.Prepare("taken"));
  EXPECT_EQ(PrepareRef("taken", "", RefOf("one")), KeyTakenError("prepare", "taken"));
  EXPECT_EQ(PrepareRef("new", "none", RefOf("one")), ParentNotFoundError("prepare", "none"));
  EXPECT_EQ(PrepareRef("new", "taken", RefOf("one")), ParentNotCommittedError("prepare", "taken"));
  EXPECT_THAT(snapshotter_.provider().requests(), IsEmpty());
}

TEST_F(SnapshotterPrepareTest, ContainerdMayCommitASecondOneAndTheOldestIsFound) {
  ASSERT_OK(snapshotter_.Prepare("default/1/first", "", WithRef(RefOf("one"))));
  ASSERT_OK(snapshotter_.Prepare("default/2/second", "", WithRef(RefOf("one"))));
  ASSERT_OK(snapshotter_->Commit(kSluice, "default/3/a", "default/1/first", WithRef(RefOf("one"))));
  ASSERT_OK(snapshotter_->Commit(kSluice, "default/4/b", "default/2/second", WithRef(RefOf("one"))));
  EXPECT_EQ(PrepareRef("default/5/third", "", RefOf("one")), LayerPresentError(RefOf("one").ToString()));
  EXPECT_THAT(snapshotter_->List(kSluice, {}).value(), SizeIs(2));
}

TEST_F(SnapshotterPrepareTest, ACancelledCallerIsAnsweredAtOnceAndLeavesNothing) {
  Done done;
  std::shared_ptr<Cancellation> cancellation;
  snapshotter_.provider().Set([&](const LayerRequest&, std::shared_ptr<Cancellation> given, Done answer) {
    cancellation = std::move(given);
    done = std::move(answer);
  });
  PrepareResult result;
  snapshotter_->Prepare({kSluice, kKey, "", WithRef(RefOf("one"))}, result.call());
  EXPECT_EQ(result.answers(), 0);
  EXPECT_FALSE(cancellation->cancelled());
  result.call()->Cancel();
  EXPECT_THAT(result.Wait(), StatusIs(absl::StatusCode::kCancelled));
  EXPECT_TRUE(cancellation->cancelled());
  // The layer comes nevertheless: it stays unclaimed.
  ASSERT_OK_AND_ASSIGN(LayerRecord layer, snapshotter_.PublishLayer("one"));
  std::exchange(done, nullptr)(ProvidedLayer{layer});
  snapshotter_.Stop();
  snapshotter_.Start();
  EXPECT_EQ(result.answers(), 1);
  EXPECT_THAT(snapshotter_->List(kSluice, {}).value(), IsEmpty());
}

TEST_F(SnapshotterPrepareTest, WhatIsFilledAheadStaysHoweverLongThePrepareWaits) {
  snapshotter_.provider().Set([this](const LayerRequest&, const std::shared_ptr<Cancellation>&, const Done& done) {
    EXPECT_OK(snapshotter_.PublishLayer("above"));
    snapshotter_.clock().Advance(absl::Hours(5));
    EXPECT_OK(snapshotter_.layers().ReapUnclaimed());
    done(absl::NotFoundError("no source has it"));
  });
  EXPECT_OK(PrepareRef(kKey, "", RefOf("one")));
  EXPECT_EQ(Layers(), 1u);
}

TEST_F(SnapshotterPrepareTest, ShutdownAnswersThoseWhoWaitAndThoseWhoCome) {
  snapshotter_.provider().Set([](const LayerRequest&, const std::shared_ptr<Cancellation>&, const Done&) {});
  PrepareResult waiting;
  snapshotter_->Prepare({kSluice, kKey, "", WithRef(RefOf("one"))}, waiting.call());
  snapshotter_->Shutdown();
  EXPECT_EQ(waiting.Wait().status(), ShuttingDownError());
  EXPECT_EQ(PrepareRef("later", "", RefOf("one")), ShuttingDownError());
}

TEST_F(SnapshotterPrepareTest, ALayerThatVanishedIsAskedForOnceMore) {
  int calls = 0;
  snapshotter_.provider().Set([&](const LayerRequest&, const std::shared_ptr<Cancellation>&, const Done& done) {
    LayerRecord layer;
    layer.id = 999;
    if (++calls == 2) layer = snapshotter_.PublishLayer("one").value();
    done(ProvidedLayer{layer});
  });
  EXPECT_EQ(PrepareRef(kKey, "", RefOf("one")), LayerPresentError(RefOf("one").ToString()));
  EXPECT_EQ(calls, 2);
}

TEST_F(SnapshotterPrepareTest, ALayerThatKeepsVanishingIsLeftToContainerd) {
  int calls = 0;
  snapshotter_.provider().Set([&](const LayerRequest&, const std::shared_ptr<Cancellation>&, const Done& done) {
    ++calls;
    LayerRecord layer;
    layer.id = 999;
    done(ProvidedLayer{layer});
  });
  EXPECT_OK(PrepareRef(kKey, "", RefOf("one")));
  EXPECT_EQ(calls, 2);
  EXPECT_EQ(snapshotter_.ledger().Deferrals().at(0).reason, FallbackReason::kVanished);
}

TEST_F(SnapshotterPrepareTest, EveryAnswerIsCountedWithTheWayOfItsLayer) {
  std::string strategy = "layout";
  absl::Status refusal;
  snapshotter_.provider().Set([&](const LayerRequest& request, const std::shared_ptr<Cancellation>&, const Done& done) {
    if (!refusal.ok()) return done(refusal);
    done(ProvidedLayer{snapshotter_.PublishLayer(request.ref.ToString()).value(), strategy});
  });
  const auto prepare = [this](const std::string& key, const Labels& labels) {
    (void)snapshotter_.Prepare(key, "", labels);
  };
  prepare("default/1/a", WithRef(RefOf("one")));
  prepare("default/2/a", WithRef(RefOf("one")));  // is there
  strategy = "stream";
  prepare("default/3/b", WithRef(RefOf("two")));
  prepare("default/4/rw", {});
  prepare("default/4/rw", {});  // the key is taken
  prepare("default/5/c", {{kRefLabel, "no digest"}});
  refusal = WithReason(absl::NotFoundError("no image"), FallbackReason::kUnknownImage);
  prepare("default/6/d", WithRef(RefOf("three")));

  std::vector<std::string> prepares;
  for (const PrepareCount& count : snapshotter_.ledger().Prepares()) {
    prepares.push_back(absl::StrCat(count.strategy, " ", PrepareOutcomeName(count.outcome), " ", count.count));
  }
  EXPECT_THAT(prepares, ElementsAre("defer mounts 2", "layout provided 1", "none mounts 1", "none failed 1",
                                    "present provided 1", "stream provided 1"));
  std::vector<std::string> deferrals;
  for (const DeferralCount& count : snapshotter_.ledger().Deferrals()) {
    deferrals.push_back(absl::StrCat(FallbackReasonName(count.reason), " ", count.count));
  }
  EXPECT_THAT(deferrals, ElementsAre("bad_ref 1", "unknown_image 1"));
  EXPECT_EQ(snapshotter_.ledger().InFlight(), 0);
}

TEST_F(SnapshotterPrepareTest, TwoWhoWaitForOneLayerGetOneSnapshot) {
  std::vector<Done> waiting;
  snapshotter_.provider().Set([&](const LayerRequest&, const std::shared_ptr<Cancellation>&, Done done) {
    waiting.push_back(std::move(done));
  });
  PrepareResult first;
  PrepareResult second;
  snapshotter_->Prepare({kSluice, "default/1/a", "", WithRef(RefOf("one"))}, first.call());
  snapshotter_->Prepare({kSluice, "default/2/b", "", WithRef(RefOf("one"))}, second.call());
  ASSERT_OK_AND_ASSIGN(LayerRecord layer, snapshotter_.PublishLayer("one"));
  for (const Done& done : waiting) done(ProvidedLayer{layer});
  EXPECT_EQ(first.Wait().status(), LayerPresentError(RefOf("one").ToString()));
  EXPECT_EQ(second.Wait().status(), LayerPresentError(RefOf("one").ToString()));
  EXPECT_THAT(snapshotter_->List(kSluice, {}).value(), SizeIs(1));
}

TEST_F(SnapshotterPrepareTest, AParentRemovedMeanwhileIsNotFound) {
  ASSERT_OK(snapshotter_.MakeCommitted("base"));
  Done waiting;
  snapshotter_.provider().Set(
      [&](const LayerRequest&, const std::shared_ptr<Cancellation>&, Done done) { waiting = std::move(done); });
  PrepareResult result;
  snapshotter_->Prepare({kSluice, kKey, "base", WithRef(RefOf("one"))}, result.call());
  ASSERT_OK(snapshotter_->Remove(kSluice, "base"));
  ASSERT_OK_AND_ASSIGN(LayerRecord layer, snapshotter_.PublishLayer("one"));
  waiting(ProvidedLayer{layer});
  EXPECT_EQ(result.Wait().status(), ParentNotFoundError("prepare", "base"));
}

TEST_F(SnapshotterPrepareTest, TheLastRemoveTakesTheDirectoryAway) {
  snapshotter_.ProvideLayer("one");
  EXPECT_THAT(PrepareRef(kKey, "", RefOf("one")), StatusIs(absl::StatusCode::kAlreadyExists));
  ASSERT_TRUE(std::filesystem::exists(snapshotter_.Path("snapshots/1/fs")));
  ASSERT_OK(snapshotter_->Remove(kSluice, RefOf("one").ToString()));
  EXPECT_FALSE(std::filesystem::exists(snapshotter_.Path("snapshots/1")));
  snapshotter_->Cleanup(Cancellation());
  EXPECT_TRUE(std::filesystem::is_empty(snapshotter_.Path("trash")));
  EXPECT_EQ(Layers(), 0u);
}

}  // namespace
}  // namespace sluice
