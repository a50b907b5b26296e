// Layers that are not on this host: streamed, or through the blob cache; and what a bad registry costs the others.
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "registry/store/store.h"
#include "snapshotter/fill/filler_fixture.h"
#include "tests/testing/status_matchers.h"

namespace sluice {
namespace {

using absl::StatusCode;
using testing::Answer;
using testing::BuiltImage;
using testing::Dependent;
using ::testing::HasSubstr;
using testing::OciLayoutBuilder;
using testing::Plain;
using testing::StatusIs;
using testing::TempDir;

class FillerDownloadTest : public testing::FillerFixture {
 protected:
  // `remote_` plays the registries: what is in it can be had from any of them.
  void StartFiller(int workers, int downloads) {
    options_.stores = {store_};
    options_.open_remote = [this](const Endpoint&, const PlannedBlob& blob, int64_t offset, const Cancellation*) {
      EXPECT_EQ(offset, 0);
      ++requests_;
      return remote_store_->OpenBlob(blob.digest, blob.size, {});
    };
    sources_of_all_ = std::make_unique<LayerSources>(options_);
    filler_ = std::make_unique<Filler>(directories_, *sources_of_all_,
                                       Filler::Options{.workers = workers, .downloads = downloads, .limits = {}});
  }
  void TearDown() override { filler_.reset(); }

  std::vector<FillJob> RegistryJobs(const BuiltImage& image, const std::string& host) {
    std::vector<FillJob> jobs = Jobs(image);
    for (FillJob& job : jobs) {
      job.wanted.endpoints = {{host, "app"}};
      job.wanted.locality = options_.locality.Classify(host);
    }
    return jobs;
  }

  TempDir remote_directory_;
  OciLayoutBuilder remote_{remote_directory_.path()};
  std::shared_ptr<testing::GatedStore> remote_store_ =
      std::make_shared<testing::GatedStore>(MakeOciLayoutStore("remote", remote_directory_.path(), {}));
  LayerSources::Options options_;
  std::unique_ptr<LayerSources> sources_of_all_;
  std::atomic<int> requests_{0};
};

TEST_F(FillerDownloadTest, LayersOfALocalRegistryAreStreamed) {
  const BuiltImage image = remote_.WriteImage({.layers = {Plain("a"), Dependent("b", "a")}});
  StartFiller(1, 1);
  const std::vector<FillJob> jobs = RegistryJobs(image, "172.30.0.1:5000");
  Answer base, top;
  Ask(base, jobs);
  ASSERT_OK(base.Wait().status());
  Ask(top, {jobs[1]}, std::vector<int64_t>{base.Wait()->id});
  ASSERT_OK_AND_ASSIGN(const LayerRecord record, top.Wait());
  EXPECT_EQ(testing::ReadFile(directories_.Path(record.id) + "/d/b"), "b");
  EXPECT_EQ(log_.Containing("INFO using streaming unpack for local registry image store=172.30.0.1:5000/app "
                            "kind=registry image=172.30.0.1:5000/app:1 digest=")
                .size(),
            2u);
  EXPECT_EQ(requests_, 2);
}

TEST_F(FillerDownloadTest, SlowRegistryDoesNotDelayWhatIsOnThisHost) {
  const BuiltImage slow = remote_.WriteImage({.layers = {Plain("slow")}});
  const BuiltImage here = layout_.WriteImage({.layers = {Plain("here")}});
  remote_store_->Close(slow.layers[0].digest);
  StartFiller(1, 1);
  Answer first, second;
  Ask(first, RegistryJobs(slow, "172.30.0.1:5000"));
  remote_store_->AwaitReader(slow.layers[0].digest);
  Ask(second, RegistryJobs(here, "172.30.0.1:5000"));
  EXPECT_OK(second.Wait().status());
  EXPECT_FALSE(first.answered());
  remote_store_->Open(slow.layers[0].digest);
  EXPECT_OK(first.Wait().status());
}

TEST_F(FillerDownloadTest, CallerThatWaitsForADownloadToBeginCanGoAway) {
  const BuiltImage image = remote_.WriteImage({.layers = {Plain("a")}});
  const BuiltImage next = remote_.WriteImage({.layers = {Plain("b")}});
  remote_store_->Close(image.layers[0].digest);
  StartFiller(1, 1);
  Answer first, second;
  Ask(first, RegistryJobs(image, "172.30.0.1:5000"));
  remote_store_->AwaitReader(image.layers[0].digest);
  auto cancellation = std::make_shared<Cancellation>();
  Ask(second, RegistryJobs(next, "172.30.0.1:5000"), std::vector<int64_t>(), cancellation);
  cancellation->Cancel();
  EXPECT_THAT(second.Wait(), StatusIs(StatusCode::kCancelled));
  remote_store_->Open(image.layers[0].digest);
  EXPECT_OK(first.Wait().status());
  EXPECT_EQ(remote_store_->readers(next.layers[0].digest), 0);
}

TEST_F(FillerDownloadTest, DamagedBlobInTheStoreIsFetched) {
  const testing::ImageSpec spec{.layers = {Plain("a")}};
  const BuiltImage image = layout_.WriteImage(spec);
  remote_.WriteImage(spec);
  FlipByte(image.layers[0].digest);
  StartFiller(1, 1);
  Answer answer;
  Ask(answer, RegistryJobs(image, "172.30.0.1:5000"));
  EXPECT_OK(answer.Wait().status());
  EXPECT_EQ(log_.Containing("WARNING not used: ").size(), 1u);
  EXPECT_EQ(log_.Containing("INFO using streaming unpack for local registry image ").size(), 1u);
  EXPECT_EQ(log_.Containing("INFO using streaming unpack from layout").size(), 0u);
}

TEST_F(FillerDownloadTest, RegistryThatSendsSomethingElseIsWarnedOfAndDeferred) {
  const BuiltImage image = remote_.WriteImage({.layers = {Plain("a")}});
  const Digest blob = image.layers[0].digest;
  std::fstream file(remote_.BlobPath(blob), std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(image.layers[0].size / 2);
  file.put('!');
  file.close();
  StartFiller(1, 1);
  Answer answer;
  Ask(answer, RegistryJobs(image, "172.30.0.1:5000"));
  EXPECT_THAT(answer.Wait(), StatusIs(StatusCode::kNotFound, "could not be had from 172.30.0.1:5000/app: "));
  EXPECT_EQ(
      log_.Containing(absl::StrCat("WARNING not used: blob ", blob.ToString(), " of 172.30.0.1:5000/app: ")).size(),
      1u);
  EXPECT_EQ(directories_.published() + directories_.leftovers(), 0);
}

TEST_F(FillerDownloadTest, LayersOfARemoteRegistryAreKept) {
  const BuiltImage image = remote_.WriteImage({.layers = {Plain("a"), Plain("b")}});
  TempDir cache_directory;
  ASSERT_OK_AND_ASSIGN(const std::unique_ptr<BlobCache> cache, BlobCache::Open(cache_directory.At("cache"), {}));
  options_.cache = cache.get();
  StartFiller(2, 2);
  Answer first;
  Ask(first, RegistryJobs(image, "registry.example"));
  ASSERT_OK(first.Wait().status());
  ASSERT_TRUE(testing::Eventually([&] { return directories_.published() == 2; }));
  EXPECT_EQ(log_.Containing("INFO using cached unpack store=registry.example/app kind=registry").size(), 2u);

  // The layer directories have gone; the blobs are still here.
  testing::DirectoriesInMemory empty;
  filler_ = std::make_unique<Filler>(empty, *sources_of_all_, Filler::Options{.workers = 1, .limits = {}});
  Answer again;
  Ask(again, RegistryJobs(image, "registry.example"));
  ASSERT_OK(again.Wait().status());
  ASSERT_TRUE(testing::Eventually([&] { return empty.published() == 2; }));
  EXPECT_EQ(log_.Containing(absl::StrCat("INFO using cached unpack store=", cache->path(), " kind=cache")).size(), 2u);
  EXPECT_EQ(requests_, 2);
  filler_.reset();
}

}  // namespace
}  // namespace sluice
