#include "snapshotter/fill/layer_sources.h"

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "snapshotter/fill/filler_fixture.h"
#include "tests/testing/oci_layout_builder.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/text_reader.h"

namespace sluice {
namespace {

using absl::StatusCode;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::LogCapture;
using testing::OciLayoutBuilder;
using ::testing::SizeIs;
using testing::StatusIs;
using testing::TempDir;
using testing::TextReader;

absl::StatusOr<std::string> ReadAll(absl::StatusOr<std::unique_ptr<ByteReader>> reader) {
  if (!reader.ok()) return reader.status();
  return testing::ReadToEnd(**reader, /*piece_bytes=*/7);
}

// containerd's content store, of which only the blobs are asked.
class ContentDouble : public ContentStore {
 public:
  absl::StatusOr<std::vector<ContentInfo>> ListManifests(const std::string&, absl::Time) override {
    return absl::UnimplementedError("not asked");
  }
  absl::StatusOr<ContentInfo> Stat(const std::string&, const Digest&, absl::Time) override {
    return absl::UnimplementedError("not asked");
  }
  absl::StatusOr<std::string> ReadDocument(const std::string&, const Digest&, int64_t, absl::Time) override {
    return absl::UnimplementedError("not asked");
  }
  absl::StatusOr<std::vector<Digest>> ListLeased(const std::string&, absl::Time) override {
    return absl::UnimplementedError("not asked");
  }
  bool HasBlob(const std::string& containerd_namespace, const Digest& digest, std::optional<int64_t>,
               absl::Time) override {
    ++asked;
    return containerd_namespace == "default" && blobs.contains(digest);
  }
  absl::StatusOr<std::unique_ptr<ByteReader>> OpenBlob(const std::string&, const Digest& digest,
                                                       const Cancellation*) override {
    return std::make_unique<TextReader>(blobs.at(digest));
  }
  absl::StatusOr<std::vector<ImageRecord>> ListImages(const std::string&, absl::Time) override {
    return absl::UnimplementedError("not asked");
  }

  std::map<Digest, std::string> blobs;
  int asked = 0;
};

constexpr char kContent[] = "the bytes of a layer";
const Endpoint kLocal{"172.30.0.1:5000", "app"};
const Endpoint kOtherLocal{"10.1.2.3:5000", "app"};
const Endpoint kRemote{"registry.example", "app"};

class LayerSourcesTest : public ::testing::Test {
 protected:
  LayerSourcesTest() {
    options_.stores = {MakeOciLayoutStore("registry", layout_directory_.path(), {})};
    options_.content_store = &content_;
    options_.locality = *LocalityRules::Create({});
    options_.open_remote = [this](const Endpoint& endpoint, const PlannedBlob& blob, int64_t offset,
                                  const Cancellation*) -> absl::StatusOr<std::unique_ptr<ByteReader>> {
      requests_.push_back(absl::StrCat(endpoint.host, "/", endpoint.repository, " from ", offset));
      if (const auto failure = failures_.find(endpoint.host); failure != failures_.end()) return failure->second;
      EXPECT_EQ(blob.digest, blob_.digest);
      return std::make_unique<TextReader>(std::string(kContent).substr(offset));
    };
    wanted_.image = "registry.example/app:1";
    wanted_.containerd_namespace = "default";
    wanted_.blobs = {blob_};
  }

  void UseCache() {
    absl::StatusOr<std::unique_ptr<BlobCache>> cache = BlobCache::Open(cache_directory_.At("cache"), {});
    ASSERT_OK(cache.status());
    cache_ = *std::move(cache);
    options_.cache = cache_.get();
  }
  void From(std::vector<Endpoint> endpoints) {
    wanted_.endpoints = std::move(endpoints);
    wanted_.locality = Locality::kUnknown;
    for (const Endpoint& endpoint : wanted_.endpoints) {
      const Locality locality = options_.locality.Classify(endpoint.host);
      if (locality == Locality::kLocal || wanted_.locality == Locality::kUnknown) wanted_.locality = locality;
    }
  }
  LayerSources& sources() {
    if (sources_ == nullptr) sources_ = std::make_unique<LayerSources>(options_);
    return *sources_;
  }
  LayerSources::Offers Find() { return sources().Find(wanted_, cancellation_); }

  static std::string Show(const LayerSources::Offers& found) {
    return absl::StrJoin(found.offers, ", ", [](std::string* out, const LayerOffer& offer) {
      static constexpr const char* kNames[] = {"layout", "stream", "cached", "defer"};
      absl::StrAppend(out, kNames[static_cast<int>(offer.strategy)], " ", offer.place);
    });
  }

  TempDir layout_directory_;
  TempDir cache_directory_;
  OciLayoutBuilder layout_{layout_directory_.path()};
  const PlannedBlob blob_{Digest::Of(kContent), static_cast<int64_t>(sizeof(kContent) - 1)};
  ContentDouble content_;
  std::unique_ptr<BlobCache> cache_;
  std::vector<std::string> requests_;
  std::map<std::string, absl::Status> failures_;
  LayerSources::Options options_;
  LayerWanted wanted_;
  Cancellation cancellation_;
  std::unique_ptr<LayerSources> sources_;
};

TEST_F(LayerSourcesTest, WhatIsOnThisHostIsOfferedFirst) {
  layout_.WriteBlob(kContent);
  From({kLocal});
  EXPECT_EQ(Show(Find()), "layout store=registry kind=oci-layout, stream store=172.30.0.1:5000/app kind=registry");
  EXPECT_EQ(content_.asked, 0) << "a store has it";
}

TEST_F(LayerSourcesTest, LocalRegistryIsStreamed) {
  From({kLocal});
  UseCache();
  LayerSources::Offers found = Find();
  EXPECT_EQ(Show(found), "stream store=172.30.0.1:5000/app kind=registry");
  EXPECT_EQ(*ReadAll(found.offers[0].open()), kContent);
  EXPECT_FALSE(cache_->Contains(blob_.digest, std::nullopt)) << "nothing is written twice";
}

TEST_F(LayerSourcesTest, RemoteRegistryGoesThroughTheCache) {
  From({kRemote});
  UseCache();
  LayerSources::Offers found = Find();
  EXPECT_EQ(Show(found), "cached store=registry.example/app kind=registry");
  EXPECT_EQ(*ReadAll(found.offers[0].open()), kContent);

  found = Find();
  EXPECT_EQ(Show(found), absl::StrCat("cached store=", cache_->path(),
                                      " kind=cache, cached store=registry.example/app kind=registry"));
  EXPECT_EQ(*ReadAll(found.offers[0].open()), kContent);
  EXPECT_THAT(requests_, ElementsAre("registry.example/app from 0"));
}

TEST_F(LayerSourcesTest, CorruptCopyIsDroppedAndFetchedAgain) {
  From({kRemote});
  UseCache();
  ASSERT_OK(ReadAll(Find().offers[0].open()).status());
  Find().offers[0].reject(absl::DataLossError("its digest is another"));
  EXPECT_EQ(Show(Find()), "cached store=registry.example/app kind=registry");
}

TEST_F(LayerSourcesTest, CopyThatCouldNotBeReadIsNotDropped) {
  From({kRemote});
  UseCache();
  ASSERT_OK(ReadAll(Find().offers[0].open()).status());
  Find().offers[0].reject(absl::UnavailableError("input/output error"));
  EXPECT_EQ(Find().offers.size(), 2u);
}

TEST_F(LayerSourcesTest, WhatContainerdHasIsNotFetched) {
  content_.blobs[blob_.digest] = kContent;
  From({kRemote});
  LayerSources::Offers found = Find();
  EXPECT_EQ(Show(found), "cached store=containerd kind=content, cached store=registry.example/app kind=registry");
  EXPECT_EQ(*ReadAll(found.offers[0].open()), kContent);
  wanted_.containerd_namespace = "k8s.io";
  EXPECT_EQ(Find().offers.size(), 1u) << "another namespace's content is not ours to read";
}

TEST_F(LayerSourcesTest, NearestRegistryOfSeveralIsFirst) {
  From({kRemote, kLocal, kOtherLocal});
  UseCache();
  EXPECT_EQ(Show(Find()),
            "stream store=172.30.0.1:5000/app kind=registry, cached store=registry.example/app kind=registry");
}

TEST_F(LayerSourcesTest, OneThatDoesNotKnowTheBlobCostsOneRequest) {
  From({kLocal, kOtherLocal});
  failures_[kLocal.host] = absl::NotFoundError("HTTP status 404");
  EXPECT_EQ(*ReadAll(Find().offers[0].open()), kContent);
  EXPECT_THAT(requests_, ElementsAre("172.30.0.1:5000/app from 0", "10.1.2.3:5000/app from 0"));
}

TEST_F(LayerSourcesTest, OutageSaysMoreThanAMiss) {
  From({kLocal, kOtherLocal});
  failures_[kLocal.host] = absl::UnavailableError("connection refused");
  failures_[kOtherLocal.host] = absl::NotFoundError("HTTP status 404");
  EXPECT_THAT(Find().offers[0].open().status(), StatusIs(StatusCode::kUnavailable, "connection refused"));
}

TEST_F(LayerSourcesTest, RegistryThatIsKnownSaysMoreThanAGuessedPort) {
  Endpoint guess = kLocal;
  guess.host = "172.30.0.1";
  guess.port_is_guess = true;
  From({kLocal, guess});
  failures_[kLocal.host] = absl::UnauthenticatedError("it wants credentials");
  failures_[guess.host] = absl::UnavailableError("connection refused");
  EXPECT_THAT(Find().offers[0].open().status(), StatusIs(StatusCode::kUnauthenticated, "it wants credentials"));
}

TEST_F(LayerSourcesTest, GuessedPortIsNotAskedOnceAKnownOneAnswered) {
  Endpoint guess = kLocal;
  guess.host = "172.30.0.1";
  guess.port_is_guess = true;
  From({kLocal, guess});
  failures_[kLocal.host] = absl::NotFoundError("HTTP status 404");
  EXPECT_THAT(Find().offers[0].open().status(), StatusIs(StatusCode::kNotFound, "404"));
  EXPECT_THAT(requests_, ElementsAre("172.30.0.1:5000/app from 0"));
  failures_[kLocal.host] = absl::UnavailableError("connection refused");
  EXPECT_EQ(*ReadAll(Find().offers[0].open()), kContent) << "nobody at the known port";
}

TEST_F(LayerSourcesTest, RegistryThatIsDownIsAskedOnce) {
  for (const absl::Status& failure :
       {absl::UnavailableError("connection refused"), absl::UnauthenticatedError("it wants credentials")}) {
    sources_.reset();
    requests_.clear();
    failures_[kLocal.host] = failure;
    From({kLocal});
    EXPECT_EQ(Find().offers[0].open().status(), failure);
    EXPECT_THAT(Find().offers[0].open().status(), StatusIs(failure.code(), "not asked again so soon: "));
    EXPECT_EQ(requests_.size(), 1u);
  }
}

TEST_F(LayerSourcesTest, OutageIsOneWarning) {
  LogCapture log;
  From({kLocal});
  failures_[kLocal.host] = absl::UnauthenticatedError("it wants credentials");
  for (int layer = 0; layer < 3; ++layer) {
    const LayerSources::Offers found = Find();
    found.offers[0].reject(found.offers[0].open().status());
  }
  EXPECT_THAT(log.Containing("it wants credentials"), SizeIs(1));
  // What is wrong with a blob is each time another matter.
  Find().offers[0].reject(absl::DataLossError("its digest is another"));
  Find().offers[0].reject(absl::DataLossError("its digest is another"));
  EXPECT_THAT(log.Containing("its digest is another"), SizeIs(2));
  // Another registry's outage is news.
  From({kOtherLocal});
  failures_[kOtherLocal.host] = absl::UnavailableError("connection refused");
  const LayerSources::Offers found = Find();
  found.offers[0].reject(found.offers[0].open().status());
  EXPECT_THAT(log.Containing("connection refused"), SizeIs(1));
}

TEST_F(LayerSourcesTest, StrangeAnswerIsNoReasonToGiveUp) {
  From({kLocal});
  failures_[kLocal.host] = absl::FailedPreconditionError("HTTP status 418");
  EXPECT_THAT(Find().offers[0].open().status(), StatusIs(StatusCode::kUnavailable, "HTTP status 418"));
}

TEST_F(LayerSourcesTest, PolicyOfTheRegistryHolds) {
  layout_.WriteBlob(kContent);
  UseCache();
  const std::vector<std::string> local = {"172.30.0.1:5000"};
  RegistryPolicy only_cached{.hosts = *HostPatterns::Create(local), .allowed = {false, false, true}, .limit = nullptr};
  options_.policies = RegistryPolicies({only_cached});
  From({kLocal});
  LayerSources::Offers found = Find();
  EXPECT_EQ(Show(found), "cached store=172.30.0.1:5000/app kind=registry");
  ASSERT_OK(ReadAll(found.offers[0].open()).status());
  EXPECT_TRUE(cache_->Contains(blob_.digest, blob_.size));

  From({kOtherLocal});
  EXPECT_EQ(Show(Find()), absl::StrCat("layout store=registry kind=oci-layout, cached store=", cache_->path(),
                                       " kind=cache, stream store=10.1.2.3:5000/app kind=registry"))
      << "another registry";
}

TEST_F(LayerSourcesTest, BlobWhoseSizeIsNotKnownIsNotCached) {
  From({kRemote});
  UseCache();
  wanted_.blobs[0].size = std::nullopt;
  EXPECT_EQ(*ReadAll(Find().offers[0].open()), kContent);
  EXPECT_FALSE(cache_->Contains(blob_.digest, std::nullopt));
}

TEST_F(LayerSourcesTest, EveryReaderBeginsAtTheWantedByte) {
  layout_.WriteBlob(kContent);
  UseCache();
  From({kRemote});
  ASSERT_OK(ReadAll(Find().offers.back().open()).status());
  requests_.clear();
  wanted_.offset = 10;
  const std::string rest = std::string(kContent).substr(10);
  LayerSources::Offers found = Find();
  ASSERT_EQ(found.offers.size(), 3u) << "a store, the cache, a registry: " << Show(found);
  for (LayerOffer& offer : found.offers) EXPECT_EQ(*ReadAll(offer.open()), rest) << offer.place;
  EXPECT_THAT(requests_, ElementsAre("registry.example/app from 10"));

  wanted_.offset = blob_.size.value();
  EXPECT_EQ(*ReadAll(Find().offers[0].open()), "");
  wanted_.offset = blob_.size.value() + 1;
  EXPECT_THAT(Find().offers[0].open().status(), StatusIs(StatusCode::kDataLoss, "ends 1 bytes too early"));
}

TEST_F(LayerSourcesTest, WhatIsNotToBeKeptGoesPastTheCache) {
  From({kRemote});
  UseCache();
  wanted_.keep = false;
  EXPECT_EQ(*ReadAll(Find().offers[0].open()), kContent);
  EXPECT_FALSE(cache_->Contains(blob_.digest, blob_.size));
}

TEST_F(LayerSourcesTest, EveryReasonNamesItsMend) {
  const std::string blob = absl::StrCat("blob ", blob_.digest.ToString(), " of image registry.example/app:1");
  EXPECT_THAT(Find().reason, HasSubstr(absl::StrCat(blob, " is in no store on this host (registry (",
                                                    layout_directory_.path(), ")), and which port")));
  EXPECT_THAT(Find().reason, HasSubstr("registry.local_registries"));
  EXPECT_EQ(Find().cause, FallbackReason::kUnknownRegistry);

  From({kRemote});
  EXPECT_THAT(Find().reason, HasSubstr(", and could not be had from registry.example/app"));
  EXPECT_EQ(Find().cause, FallbackReason::kMissing);

  const std::vector<std::string> all = {"*.example", "registry.example"};
  RegistryPolicy nothing{.hosts = *HostPatterns::Create(all), .allowed = {true, false, false}, .limit = nullptr};
  options_.policies = RegistryPolicies({nothing});
  sources_.reset();
  EXPECT_THAT(Find().reason, HasSubstr(", and registry.policy forbids to download it from registry.example/app"));
  EXPECT_EQ(Find().cause, FallbackReason::kForbidden);

  options_.open_remote = nullptr;
  sources_.reset();
  EXPECT_THAT(Find().reason, HasSubstr("add that directory as [[store]] to config.toml"));
  EXPECT_EQ(Find().cause, FallbackReason::kNoSource);

  wanted_.blobs.clear();
  EXPECT_EQ(Find().reason, "the layer of image registry.example/app:1 is no tar, plain or gzip or zstd");
  EXPECT_EQ(Find().cause, FallbackReason::kUnsupported);
}

}  // namespace
}  // namespace sluice
