// Where the bytes come from, and what happens when they are not what they should be.
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "snapshotter/fill/filler_fixture.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/zot_builder.h"

namespace sluice {
namespace {

using absl::StatusCode;
using testing::Answer;
using testing::BuiltImage;
using ::testing::HasSubstr;
using testing::OciLayoutBuilder;
using testing::Plain;
using testing::StatusIs;
using testing::TempDir;

class FillerBlobsTest : public testing::FillerFixture {};

TEST_F(FillerBlobsTest, DamagedBlobIsNamedAndNotReadTwice) {
  const BuiltImage image = layout_.WriteImage({.layers = {Plain("a")}});
  const Digest blob = image.layers[0].digest;
  FlipByte(blob);
  StartFiller(1);
  Answer first, second, third;
  Ask(first, Jobs(image));
  EXPECT_THAT(first.Wait().status().ToString(), HasSubstr("no usable copy on this host"));
  const auto warnings = log_.Containing(absl::StrCat("WARNING not used: ", layout_.BlobPath(blob)));
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_EQ(directories_.published(), 0);
  EXPECT_EQ(directories_.leftovers(), 0);

  Ask(second, Jobs(image));
  EXPECT_THAT(second.Wait(), StatusIs(StatusCode::kNotFound, "has not changed since"));
  EXPECT_EQ(store_->readers(blob), 1);

  FlipByte(blob);  // repaired
  Ask(third, Jobs(image));
  EXPECT_OK(third.Wait().status());
}

TEST_F(FillerBlobsTest, SecondStoreHelpsWhereTheFirstIsDamaged) {
  TempDir other_directory;
  OciLayoutBuilder other(other_directory.path());
  const testing::ImageSpec spec{.layers = {Plain("a")}};
  const BuiltImage image = layout_.WriteImage(spec);
  other.WriteImage(spec);
  FlipByte(image.layers[0].digest);
  LayerSources both({.stores = {store_, MakeOciLayoutStore("second", other_directory.path(), {})}});
  filler_ = std::make_unique<Filler>(directories_, both, Filler::Options{.workers = 1, .limits = {}});
  Answer answer;
  Ask(answer, Jobs(image));
  EXPECT_OK(answer.Wait().status());
  EXPECT_EQ(log_.Containing("WARNING not used").size(), 1u);
  EXPECT_EQ(log_.Containing("store=second kind=oci-layout").size(), 1u);
  filler_.reset();
}

TEST_F(FillerBlobsTest, BlobThatVanishesIsAReasonWithItsMend) {
  const BuiltImage image = layout_.WriteImage({.layers = {Plain("a")}});
  std::filesystem::remove(layout_.BlobPath(image.layers[0].digest));
  StartFiller(1);
  Answer answer;
  Ask(answer, Jobs(image));
  EXPECT_THAT(answer.Wait(), StatusIs(StatusCode::kNotFound, "[[store]]"));
}

TEST_F(FillerBlobsTest, UnlinkedWhileItIsReadDoesNoHarm) {
  const BuiltImage image = layout_.WriteImage({.layers = {Plain("a")}});
  store_->Close(image.layers[0].digest);
  StartFiller(1);
  Answer answer;
  Ask(answer, Jobs(image));
  store_->AwaitReader(image.layers[0].digest);
  std::filesystem::remove(layout_.BlobPath(image.layers[0].digest));
  store_->Open(image.layers[0].digest);
  EXPECT_OK(answer.Wait().status());
}

TEST_F(FillerBlobsTest, RemoteImageFromAStoreIsCached) {
  const BuiltImage image = layout_.WriteImage({.layers = {Plain("a")}});
  StartFiller(1);
  std::vector<FillJob> jobs = Jobs(image);
  jobs[0].wanted.locality = Locality::kRemote;
  Answer answer;
  Ask(answer, jobs);
  ASSERT_OK(answer.Wait().status());
  EXPECT_EQ(log_.Containing("INFO using cached unpack store=registry").size(), 1u);
}

TEST_F(FillerBlobsTest, BlobOfAnotherLayerIsRefused) {
  const BuiltImage image = layout_.WriteImage({.layers = {Plain("a"), Plain("b")}});
  StartFiller(1);
  std::vector<FillJob> jobs = {Jobs(image)[0]};
  jobs[0].wanted.blobs = {{.digest = image.layers[1].digest, .size = std::nullopt}};
  Answer answer;
  Ask(answer, jobs);
  EXPECT_FALSE(answer.Wait().ok());
  EXPECT_EQ(directories_.published(), 0);
}

TEST_F(FillerBlobsTest, TruncatedBlobIsNamedOnce) {
  const BuiltImage image = layout_.WriteImage({.layers = {Plain("a")}});
  const std::string path = layout_.BlobPath(image.layers[0].digest);
  std::filesystem::resize_file(path, 20);
  StartFiller(1);
  const std::string cause = absl::StrCat(": 20 bytes instead of ", image.layers[0].size);
  for (int attempt = 0; attempt < 2; ++attempt) {
    Answer answer;
    Ask(answer, Jobs(image));
    EXPECT_THAT(answer.Wait(), StatusIs(StatusCode::kNotFound, cause));
  }
  EXPECT_EQ(log_.Containing(absl::StrCat("WARNING not used: ", path, " (store registry): ")).size(), 1u);
  EXPECT_EQ(store_->readers(image.layers[0].digest), 0);
}

TEST_F(FillerBlobsTest, TruncatedWhileItIsReadIsNotUsed) {
  const BuiltImage image = layout_.WriteImage({.layers = {Plain("a")}});
  const Digest blob = image.layers[0].digest;
  store_->Close(blob);
  StartFiller(1);
  Answer answer;
  Ask(answer, Jobs(image));
  store_->AwaitReader(blob);
  std::filesystem::resize_file(layout_.BlobPath(blob), 20);
  store_->Open(blob);
  EXPECT_THAT(answer.Wait(), StatusIs(StatusCode::kNotFound, "no usable copy on this host"));
  EXPECT_EQ(log_.Containing(absl::StrCat("WARNING not used: ", layout_.BlobPath(blob))).size(), 1u);
  EXPECT_EQ(directories_.published() + directories_.leftovers(), 0);
}

// A store whose file system refuses, as NFS with root_squash does.
class RefusingStore : public testing::GatedStore {
 public:
  using testing::GatedStore::GatedStore;
  absl::StatusOr<std::unique_ptr<ByteReader>> OpenBlob(const Digest& digest, std::optional<int64_t>,
                                                       absl::Span<const Endpoint> origins) const override {
    return absl::PermissionDeniedError(absl::StrCat("open(", BlobPath(digest, origins), "): Permission denied"));
  }
};

TEST_F(FillerBlobsTest, StoreThatRefusesIsNamed) {
  TempDir other_directory;
  const BuiltImage image = OciLayoutBuilder(other_directory.path()).WriteImage({.layers = {Plain("a")}});
  LayerSources refusing(
      {.stores = {std::make_shared<RefusingStore>(MakeOciLayoutStore("registry", layout_directory_.path(), {})),
                  MakeOciLayoutStore("second", other_directory.path(), {})}});
  filler_ = std::make_unique<Filler>(directories_, refusing, Filler::Options{.workers = 1, .limits = {}});
  Answer answer;
  Ask(answer, Jobs(image));
  EXPECT_OK(answer.Wait().status()) << "the second store has it";
  EXPECT_EQ(log_.Containing("Permission denied").size(), 1u);
  filler_.reset();
}

// A blob belongs to repositories: the image's are the ones that are asked for, by the fill and by the reopening.
TEST_F(FillerBlobsTest, TheImagesRepositoriesAreAskedFor) {
  TempDir zot_directory;
  testing::ZotBuilder zot(zot_directory.path());
  const BuiltImage image = layout_.AddImage({.layers = {Plain("a")}}, "a");
  zot.Push(layout_directory_.path(), "a", "team/app", "1");
  LayerSources strict(
      {.stores = {MakeZotStore("zot", zot_directory.path(), {"172.30.0.1:5000"}, /*require_link=*/true)}});
  filler_ = std::make_unique<Filler>(directories_, strict, Filler::Options{.workers = 1, .limits = {}});
  Answer unknown, other, linked;
  std::vector<FillJob> jobs = Jobs(image);
  Ask(unknown, jobs);
  EXPECT_THAT(unknown.Wait(), StatusIs(StatusCode::kNotFound, "is in no store on this host"));
  jobs[0].wanted.endpoints = {{"docker.io", "team/app"}, {"172.30.0.1:5000", "team/other"}};
  Ask(other, jobs);
  EXPECT_THAT(other.Wait(), StatusIs(StatusCode::kNotFound, "is in no store on this host"));
  EXPECT_TRUE(log_.Containing("WARNING").empty()) << "what is simply not there is nothing to warn of";
  jobs[0].wanted.endpoints.push_back({"172.30.0.1:5000", "team/app"});
  Ask(linked, jobs);
  EXPECT_OK(linked.Wait().status());
  EXPECT_EQ(log_.Containing("store=zot kind=zot").size(), 1u);
  filler_.reset();
}

}  // namespace
}  // namespace sluice
