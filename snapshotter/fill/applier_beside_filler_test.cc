// The differ beside the filler: it makes the same of a layer, and takes what has been filled.
#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "snapshotter/fill/applier.h"
#include "snapshotter/fill/applier_fixture.h"
#include "snapshotter/fill/filler_fixture.h"
#include "tests/testing/overlay_mount.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/tar_builder.h"
#include "tests/testing/tree_listing.h"

namespace sluice::testing {
namespace {

using absl::StatusCode;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;
using ::testing::Not;
using Mounts = std::vector<Mount>;

// The same layers by both ways: through the filler, and through Prepare, Apply and Commit.
class ApplierEqualityTest : public FillerFixture {
 protected:
  // All that a layer directory holds, without the times that nobody sees: of the root and of whiteouts.
  static TreeListing Listing(const std::string& path) {
    absl::StatusOr<TreeListing> listing = ListTree(path);
    EXPECT_OK(listing);
    if (!listing.ok()) return {};
    for (auto& [name, entry] : *listing) {
      const bool whiteout = entry.type == 'c' && entry.major == 0 && entry.minor == 0;
      if (name == "." || whiteout) entry.mtime = entry.nanoseconds = 0;
    }
    return *std::move(listing);
  }

  ApplierFixture applier_;
};

TEST_F(ApplierEqualityTest, ALayerIsTheSameAsTheFillersOwn) {
  StartFiller(1);
  const BuiltImage image = layout_.AddImage(
      {.layers =
           {{TarBuilder()
                 .Directory("usr", {.mode = 0711, .nanoseconds = 5})
                 .Directory("usr/bin", {.uid = 3, .xattrs = {{"user.dir", "x"}}})
                 .File("usr/bin/tool", "tool",
                       {.mode = 04755,
                        .xattrs = {{"security.capability",
                                    std::string("\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
                                                "\x00\x00\x00",
                                                20)}}})
                 .Symlink("bin", "usr/bin")
                 .Directory("old")
                 .File("old/file", "old")
                 .File("dead")
                 .Build()},
            Plain("self-contained"),
            {TarBuilder().File("bin/new", "new").HardLink("copy", "usr/bin/tool").CharDevice("null", 1, 3).Build(),
             LayerCompression::kZstd},
            {TarBuilder()
                 .Whiteout("dead")
                 .Opaque("old")
                 .File("old/new", "new")
                 .SparseFile("sparse", SparseFormat::kPax10, 1 << 20, {{1 << 19, "x"}, {1 << 20, ""}})
                 .Build(),
             LayerCompression::kNone}}},
      "1");
  std::vector<int64_t> below;
  std::string parent;
  for (size_t k = 0; k < image.layers.size(); ++k) {
    std::vector<FillJob> jobs = Jobs(image, k);
    jobs.resize(1);
    Answer answer;
    Ask(answer, std::move(jobs), below);
    ASSERT_OK_AND_ASSIGN(const LayerRecord filled, answer.Wait());

    const std::string name = absl::StrCat("layer ", k);
    ASSERT_OK_AND_ASSIGN(const Mounts mounts, applier_.snapshotter().Prepare("making " + name, parent));
    ASSERT_OK_AND_ASSIGN(const AppliedLayer applied,
                         applier_.Apply(ReadFile(layout_.BlobPath(image.layers[k].digest)), mounts));
    EXPECT_EQ(applied.diff_id, image.layers[k].diff_id);
    EXPECT_THAT(DiffListings(Listing(directories_.Path(filled.id)), Listing(applier_.Directory(mounts))), IsEmpty())
        << name;
    ASSERT_OK(applier_.snapshotter()->Commit("sluice", name, "making " + name, {}));
    below.insert(below.begin(), filled.id);
    parent = name;
  }
}

// What a fill has published is given to who applies the same blob.
class ApplierAdoptionTest : public FillerFixture {
 protected:
  ApplierAdoptionTest() {
    image_ = layout_.AddImage({.layers = {Plain("base"), Dependent("middle", "base"), Plain("top")}}, "1");
    Filler filler(applier_.snapshotter().layers(), sources_, Filler::Options());
    std::vector<int64_t> below;
    for (size_t k = 0; k < image_.layers.size(); ++k) {
      Answer answer;
      Filler::Request request;
      request.jobs = Jobs(image_, k);
      request.jobs.resize(1);
      request.parent_directories = below;
      request.done = answer.Callback();
      filler.Fill(std::move(request));
      filled_.push_back(answer.Wait().value());
      below.insert(below.begin(), filled_.back().id);
    }
  }

  // Applies layer `k` over the committed snapshot `parent`.
  absl::StatusOr<AppliedLayer> Apply(const std::string& key, const std::string& parent, size_t k,
                                     std::optional<int64_t> size = std::nullopt) {
    absl::StatusOr<Mounts> mounts = applier_.snapshotter().Prepare(key, parent);
    if (!mounts.ok()) return mounts.status();
    const BuiltLayer& layer = image_.layers[k];
    return applier_.Apply(ApplierFixture::Request(layer.digest, *mounts, size.value_or(layer.size)));
  }
  absl::Status Commit(const std::string& key) {
    return applier_.snapshotter()->Commit("sluice", key + " committed", key, {});
  }
  std::optional<int64_t> DirectoryOf(const std::string& name) {
    std::optional<SnapshotRow> row;
    EXPECT_OK(applier_.snapshotter().metadata().Read([&](const MetadataReader& reader) -> absl::Status {
      ASSIGN_OR_RETURN(row, reader.Snapshot("sluice", name));
      return absl::OkStatus();
    }));
    return row.has_value() ? row->directory_id : std::nullopt;
  }
  void PutBlob(size_t k) {
    applier_.blobs().PutAs(image_.layers[k].digest, ReadFile(layout_.BlobPath(image_.layers[k].digest)));
  }

  ApplierFixture applier_;
  BuiltImage image_;
  std::vector<LayerRecord> filled_;
};

TEST_F(ApplierAdoptionTest, AWholeImageWithoutReadingABlob) {
  std::string parent;
  for (size_t k = 0; k < 3; ++k) {
    const std::string key = absl::StrCat("k", k);
    ASSERT_OK_AND_ASSIGN(const AppliedLayer applied, Apply(key, parent, k));
    EXPECT_EQ(applied.diff_id, image_.layers[k].diff_id);
    EXPECT_EQ(applied.tar_bytes, filled_[k].facts.tar_bytes);
    EXPECT_GT(applied.tar_bytes, 1024);
    ASSERT_OK(Commit(key));
    parent = key + " committed";
    EXPECT_EQ(DirectoryOf(parent), filled_[k].id);
  }
  EXPECT_EQ(applier_.blobs().opened(), 0);
  ASSERT_OK_AND_ASSIGN(const Mounts view, applier_.snapshotter()->View({"sluice", "view", parent, {}}));
  const std::string lower = view[0].options.back().substr(std::string("lowerdir=").size());
  const std::vector<std::string> lowers = absl::StrSplit(lower, ':');
  ASSERT_OK_AND_ASSIGN(const auto mount, OverlayMount::Create(lowers));
  EXPECT_THAT(LinesOf(mount->path()),
              ElementsAre("d d0755", R"(d/base -0644 "base")", R"(d/link-to-base -0644 "base" =d/base)",
                          R"(d/middle -0644 "middle")", R"(d/top -0644 "top")"));
}

TEST_F(ApplierAdoptionTest, SaysSoInOneLine) {
  ASSERT_OK(Apply("key", "", 0));
  EXPECT_THAT(
      log_.Containing("adopted"),
      ElementsAre(MatchesRegex(absl::StrCat("INFO adopted digest=", image_.layers[0].digest.ToString(),
                                            " bytes=", image_.layers[0].size, R"( seconds=[0-9.]+ MB/s=[0-9.]+)"))));
  EXPECT_THAT(log_.Containing("applied"), IsEmpty());
}

TEST_F(ApplierAdoptionTest, ALayerOfAChainOnlyOverThatChain) {
  ASSERT_FALSE(filled_[0].facts.chain_id.has_value());
  ASSERT_TRUE(filled_[1].facts.chain_id.has_value());
  PutBlob(0);
  PutBlob(1);
  // Over a parent that nobody has proven, although it is the same.
  std::ofstream(applier_.Directory(applier_.snapshotter().Prepare("base", "").value()) + "/x") << "1";
  ASSERT_OK(Commit("base"));
  ASSERT_OK_AND_ASSIGN(const Mounts stranger, applier_.snapshotter().Prepare("stranger", "base committed"));
  ASSERT_OK(applier_.Apply(ApplierFixture::Request(image_.layers[0].digest, stranger)));
  ASSERT_OK(Commit("stranger"));
  EXPECT_EQ(applier_.blobs().opened(), 0) << "a self-contained layer is right over any parent";
  ASSERT_OK(Apply("over a stranger", "stranger committed", 1));
  EXPECT_EQ(applier_.blobs().opened(), 1);
  ASSERT_OK(Commit("over a stranger"));
  EXPECT_NE(DirectoryOf("over a stranger committed"), filled_[1].id);
}

TEST_F(ApplierAdoptionTest, WhatWasWrittenOverALayerIsNoProvenParent) {
  ASSERT_OK_AND_ASSIGN(const Mounts mounts, applier_.snapshotter().Prepare("base"));
  ASSERT_OK(applier_.Apply(ApplierFixture::Request(image_.layers[0].digest, mounts)));
  std::ofstream(mounts[0].source + "/written") << "1";
  ASSERT_OK(Commit("base"));
  PutBlob(1);
  ASSERT_OK(Apply("key", "base committed", 1));
  EXPECT_EQ(applier_.blobs().opened(), 1);
}

TEST_F(ApplierAdoptionTest, ASizeThatIsWrongIsNoReasonToTrust) {
  PutBlob(0);
  EXPECT_THAT(Apply("key", "", 0, image_.layers[0].size + 1), StatusIs(StatusCode::kDataLoss, "layer sha256:"));
  EXPECT_EQ(applier_.blobs().opened(), 1);
}

TEST_F(ApplierAdoptionTest, AnAnswerThatWasLostIsGivenAgain) {
  ASSERT_OK_AND_ASSIGN(const Mounts mounts, applier_.snapshotter().Prepare("key"));
  const ApplyRequest request = ApplierFixture::Request(image_.layers[0].digest, mounts);
  ASSERT_OK(applier_.Apply(request));
  ASSERT_OK_AND_ASSIGN(const AppliedLayer again, applier_.Apply(request));
  EXPECT_EQ(again.diff_id, image_.layers[0].diff_id);
  EXPECT_EQ(again.tar_bytes, filled_[0].facts.tar_bytes);
  // Another layer on top is the next differ's.
  EXPECT_THAT(applier_.Apply(ApplierFixture::Request(image_.layers[2].digest, mounts)),
              StatusIs(StatusCode::kUnimplemented, "is not empty"));
  EXPECT_EQ(applier_.blobs().opened(), 0);
}

TEST_F(ApplierAdoptionTest, SyncsWhatItAdopts) {
  ASSERT_OK_AND_ASSIGN(const Mounts mounts, applier_.snapshotter().Prepare("key"));
  ASSERT_OK(applier_.snapshotter().metadata().Write([&](MetadataWriter& writer) -> absl::Status {
    RETURN_IF_ERROR(writer.DeleteLayer(filled_[0].id));
    return writer.InsertLayer(filled_[0], /*synced=*/false, "this boot", absl::Now());
  }));
  ApplyRequest request = ApplierFixture::Request(image_.layers[0].digest, mounts);
  request.sync_fs = true;
  ASSERT_OK(applier_.Apply(request));
  ASSERT_OK(applier_.snapshotter().metadata().Read([&](const MetadataReader& reader) -> absl::Status {
    ASSIGN_OR_RETURN(const std::vector<int64_t> unsynced, reader.UnsyncedLayers());
    EXPECT_THAT(unsynced, Not(Contains(filled_[0].id)));
    return absl::OkStatus();
  }));
}

TEST_F(ApplierAdoptionTest, NothingThatWasFilledBeforeItsSizeWasNoted) {
  ASSERT_OK(applier_.snapshotter().metadata().Write([&](MetadataWriter& writer) -> absl::Status {
    RETURN_IF_ERROR(writer.DeleteLayer(filled_[0].id));
    LayerRecord old = filled_[0];
    old.facts.tar_bytes.reset();
    return writer.InsertLayer(old, true, "boot", absl::Now());
  }));
  PutBlob(0);
  ASSERT_OK_AND_ASSIGN(const AppliedLayer applied, Apply("key", "", 0));
  EXPECT_EQ(applier_.blobs().opened(), 1);
  EXPECT_EQ(applied.tar_bytes, filled_[0].facts.tar_bytes);
}

}  // namespace
}  // namespace sluice::testing
