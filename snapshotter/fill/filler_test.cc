// Which layers are filled, in which order, how often, and over what.
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "snapshotter/fill/filler_fixture.h"
#include "tests/testing/status_matchers.h"

namespace sluice {
namespace {

using absl::StatusCode;
using testing::Answer;
using testing::BuiltImage;
using testing::Dependent;
using testing::Eventually;
using testing::Plain;
using testing::ReadFile;
using testing::StatusIs;

class FillerTest : public testing::FillerFixture {};

TEST_F(FillerTest, FillsTheLayerAndThoseAboveOnceAndSaysSo) {
  const BuiltImage image = layout_.WriteImage({.layers = {Plain("a"), Plain("b"), Dependent("c", "b")}});
  StartFiller(2);
  Answer answer;
  Ask(answer, Jobs(image));
  ASSERT_OK_AND_ASSIGN(const LayerRecord base, answer.Wait());
  EXPECT_EQ(base.facts.diff_id, image.layers[0].diff_id);
  EXPECT_EQ(base.facts.blob_digest, image.layers[0].digest);
  EXPECT_FALSE(base.facts.chain_id.has_value()) << "a self-contained layer is shared";
  EXPECT_EQ(ReadFile(directories_.Path(base.id) + "/d/a"), "a");

  const std::string phrase = "using streaming unpack from layout for local registry image";
  ASSERT_TRUE(Eventually([&] { return log_.Containing(phrase).size() == 3; }));
  for (const testing::BuiltLayer& layer : image.layers) {
    const std::string line = absl::StrCat(
        "INFO ", phrase, " store=registry kind=oci-layout image=172.30.0.1:5000/app:1 digest=", layer.digest.ToString(),
        " bytes=", layer.size, " seconds=");
    EXPECT_EQ(log_.Containing(line).size(), 1u) << line;
  }
  ASSERT_OK_AND_ASSIGN(const auto top, directories_.Find(image.layers[2].diff_id, image.layers[2].chain_id));
  EXPECT_EQ(top->facts.chain_id, image.layers[2].chain_id) << "this one depends on those below";
  EXPECT_EQ(ReadFile(directories_.Path(top->id) + "/d/link-to-b"), "b");
}

TEST_F(FillerTest, OneWorkerIsEnoughForTenLayersThatDependOnEachOther) {
  testing::ImageSpec spec;
  spec.layers.push_back(Plain("0"));
  for (int i = 1; i < 10; ++i) spec.layers.push_back(Dependent(absl::StrCat(i), absl::StrCat(i - 1)));
  const BuiltImage image = layout_.WriteImage(spec);
  StartFiller(1);
  Answer answer;
  Ask(answer, Jobs(image));
  ASSERT_OK(answer.Wait().status());
  ASSERT_TRUE(Eventually([&] { return directories_.published() == 10; }));
  ASSERT_OK_AND_ASSIGN(const auto top, directories_.Find(image.layers[9].diff_id, image.layers[9].chain_id));
  EXPECT_EQ(ReadFile(directories_.Path(top->id) + "/d/link-to-8"), "8");
}

TEST_F(FillerTest, UpperLayersStreamWhileTheBaseIsSlowAndHoldNoWorker) {
  testing::ImageSpec spec;
  spec.layers.push_back(Plain("0"));
  for (int i = 1; i < 5; ++i) spec.layers.push_back(Dependent(absl::StrCat(i), absl::StrCat(i - 1)));
  const BuiltImage image = layout_.WriteImage(spec);
  store_->Close(image.layers[0].digest);
  StartFiller(2);
  Answer answer;
  Ask(answer, Jobs(image));
  for (const testing::BuiltLayer& layer : image.layers) store_->AwaitReader(layer.digest);
  EXPECT_EQ(directories_.published(), 0);
  store_->Open(image.layers[0].digest);
  ASSERT_OK(answer.Wait().status());
  EXPECT_TRUE(Eventually([&] { return directories_.published() == 5; }));
}

TEST_F(FillerTest, CallersShareAFill) {
  const BuiltImage image = layout_.WriteImage({.layers = {Plain("a")}});
  store_->Close(image.layers[0].digest);
  StartFiller(2);
  Answer first, second;
  Ask(first, Jobs(image));
  Ask(second, Jobs(image));
  store_->AwaitReader(image.layers[0].digest);
  store_->Open(image.layers[0].digest);
  ASSERT_OK_AND_ASSIGN(const LayerRecord a, first.Wait());
  ASSERT_OK_AND_ASSIGN(const LayerRecord b, second.Wait());
  EXPECT_EQ(a.id, b.id);
  EXPECT_EQ(store_->readers(image.layers[0].digest), 1);
}

TEST_F(FillerTest, OverUnprovenDirectoriesOnlyIndependentLayersAreFilled) {
  const BuiltImage image = layout_.WriteImage({.layers = {Plain("a"), Plain("b"), Dependent("c", "b")}});
  StartFiller(1);
  Answer plain, dependent, proven;
  Ask(plain, {Jobs(image, 1)[0]}, std::nullopt);
  ASSERT_OK_AND_ASSIGN(const LayerRecord b, plain.Wait());
  Ask(dependent, Jobs(image, 2), std::nullopt);
  EXPECT_THAT(dependent.Wait(), StatusIs(StatusCode::kFailedPrecondition, "containerd unpacked"));
  EXPECT_EQ(directories_.leftovers(), 0);
  Ask(proven, Jobs(image, 2), std::vector<int64_t>{b.id});
  EXPECT_OK(proven.Wait().status());
}

TEST_F(FillerTest, LayerOverAFailedOneFailsUnlessItIsIndependent) {
  const BuiltImage image = layout_.WriteImage({.layers = {Plain("a"), Plain("b"), Dependent("c", "a")}});
  std::filesystem::remove(layout_.BlobPath(image.layers[0].digest));
  StartFiller(2);
  Answer base, top;
  Ask(base, Jobs(image));
  EXPECT_THAT(base.Wait(), StatusIs(StatusCode::kNotFound));
  ASSERT_TRUE(Eventually([&] { return directories_.published() == 1 && directories_.leftovers() == 0; }));
  EXPECT_TRUE(directories_.Find(image.layers[1].diff_id, image.layers[1].chain_id)->has_value());
}

TEST_F(FillerTest, LayerOverAFailedOneIsSavedByTheNextWhoGetsThatOne) {
  const BuiltImage image = layout_.WriteImage({.layers = {Plain("a"), Dependent("b", "a")}});
  const std::string path = layout_.BlobPath(image.layers[0].digest);
  std::filesystem::rename(path, path + ".away");
  store_->Close(image.layers[1].digest);
  StartFiller(2);
  Answer first, second;
  Ask(first, Jobs(image));
  EXPECT_THAT(first.Wait(), StatusIs(StatusCode::kNotFound));
  store_->AwaitReader(image.layers[1].digest);
  std::filesystem::rename(path + ".away", path);
  Ask(second, Jobs(image));
  EXPECT_OK(second.Wait().status());
  store_->Open(image.layers[1].digest);
  EXPECT_TRUE(Eventually([&] { return directories_.published() == 2; }));
  EXPECT_EQ(store_->readers(image.layers[1].digest), 1);
}

TEST_F(FillerTest, NothingIsKeptThatIsNotProven) {
  const BuiltImage image = layout_.WriteImage({.layers = {Plain("a")}});
  StartFiller(1);
  std::vector<FillJob> jobs = Jobs(image);
  jobs[0].claim.config_diff_id.reset();  // as from labels alone
  jobs[0].claim.chain_id = Digest::Of("another layer");
  Answer lie, truth;
  Ask(lie, jobs);
  EXPECT_THAT(lie.Wait(), StatusIs(StatusCode::kFailedPrecondition, "does not give chainID"));
  EXPECT_EQ(directories_.published(), 0);
  EXPECT_EQ(directories_.leftovers(), 0);
  EXPECT_TRUE(log_.Containing("using ").empty());

  jobs[0].claim.chain_id = image.layers[0].diff_id;
  Ask(truth, jobs);
  EXPECT_OK(truth.Wait().status());
}

}  // namespace
}  // namespace sluice
