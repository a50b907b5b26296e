#include "registry/cache/image_index.h"

#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "registry/cache/cache_fixture.h"
#include "tests/testing/status_matchers.h"

namespace sluice {
namespace {

using ::nlohmann::json;
using ::sluice::testing::ReadFile;
using ::sluice::testing::StatusIs;
using ::sluice::testing::WriteFile;

constexpr char kManifestType[] = "application/vnd.oci.image.manifest.v1+json";

class ImageIndexTest : public testing::CacheFixture {
 protected:
  // A manifest in the cache.
  Descriptor Manifest(const std::string& content) const {
    EXPECT_OK(cache_->WriteDocument(Digest::Of(content), content));
    Descriptor descriptor;
    descriptor.media_type = kManifestType;
    descriptor.digest = Digest::Of(content);
    descriptor.size = static_cast<int64_t>(content.size());
    return descriptor;
  }
  std::string IndexPath() const { return path_ + "/index.json"; }
  // Without the times, which are another each time.
  json Index() const {
    json index = json::parse(ReadFile(IndexPath()));
    for (json& entry : index["manifests"]) {
      if (entry.is_object() && entry.value("annotations", json()).is_object())
        entry["annotations"].erase("sluice.named-at");
    }
    return index;
  }
  json Entry(const std::string& name, const std::string& content) const {
    return {{"mediaType", kManifestType},
            {"digest", Digest::Of(content).ToString()},
            {"size", content.size()},
            {"annotations", {{"org.opencontainers.image.ref.name", name}}}};
  }
};

TEST_F(ImageIndexTest, ANameIsOneEntry) {
  EXPECT_OK(cache_->NameImage("a", Manifest("one")));
  EXPECT_OK(cache_->NameImage("b", Manifest("one")));
  EXPECT_EQ(Index()["manifests"], json({Entry("a", "one"), Entry("b", "one")}));
  EXPECT_OK(cache_->NameImage("a", Manifest("two")));
  EXPECT_EQ(Index()["manifests"], json({Entry("b", "one"), Entry("a", "two")}));
  EXPECT_EQ(Index()["mediaType"], "application/vnd.oci.image.index.v1+json");
}

TEST_F(ImageIndexTest, FindsWhatANameWasGivenLast) {
  const absl::Time before = absl::Now() - absl::Seconds(1);
  EXPECT_OK(cache_->NameImage("a", Manifest("one")));
  EXPECT_OK(cache_->NameImage("a", Manifest("two")));
  ASSERT_OK_AND_ASSIGN(const NamedImage found, cache_->FindImage("a"));
  EXPECT_EQ(found.manifest.digest, Digest::Of("two"));
  EXPECT_EQ(found.manifest.size, 3);
  EXPECT_EQ(found.manifest.media_type, kManifestType);
  EXPECT_GE(found.named_at, before);
  EXPECT_LE(found.named_at, absl::Now());
  EXPECT_THAT(cache_->FindImage("b"), StatusIs(absl::StatusCode::kNotFound, "no image b"));
}

TEST_F(ImageIndexTest, FindsWhatOthersNamedAndNothingThatHasGone) {
  const Descriptor one = Manifest("one");
  WriteFile(IndexPath(), json({{"schemaVersion", 2}, {"manifests", {Entry("theirs", "one"), json(3)}}}).dump());
  ASSERT_OK_AND_ASSIGN(const NamedImage found, cache_->FindImage("theirs"));
  EXPECT_EQ(found.manifest.digest, one.digest);
  EXPECT_EQ(found.named_at, absl::InfinitePast());
  EXPECT_OK(cache_->Drop(one.digest));
  EXPECT_THAT(cache_->FindImage("theirs"), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(ImageIndexTest, ADescriptorIsKeptWhole) {
  Descriptor manifest = Manifest("one");
  manifest.artifact_type = "application/x";
  manifest.annotations = {{"k", "v"}, {"org.opencontainers.image.ref.name", "its old name"}};
  manifest.platform =
      Platform{.os = "linux", .architecture = "arm", .variant = "v7", .os_version = "6", .os_features = {"f"}};
  EXPECT_OK(cache_->NameImage("a", manifest));
  json expected = Entry("a", "one");
  expected["artifactType"] = "application/x";
  expected["annotations"]["k"] = "v";
  expected["platform"] = {
      {"os", "linux"}, {"architecture", "arm"}, {"variant", "v7"}, {"os.version", "6"}, {"os.features", {"f"}}};
  EXPECT_EQ(Index()["manifests"], json({expected}));
}

TEST_F(ImageIndexTest, WhatOthersWroteStays) {
  const json theirs = {{"mediaType", "x"}, {"digest", "sha512:00"}, {"size", 1}};
  const json odd = {1, "text", {{"annotations", 7}}, {{"digest", 5}}};
  json index = {{"schemaVersion", 2}, {"more", {1, 2}}, {"manifests", odd}};
  index["manifests"].push_back(theirs);
  WriteFile(IndexPath(), index.dump());
  EXPECT_OK(cache_->NameImage("a", Manifest("one")));
  EXPECT_OK(cache_->Prune(1000));
  index["manifests"].push_back(Entry("a", "one"));
  EXPECT_EQ(Index(), index);
}

TEST_F(ImageIndexTest, NamesOfWhatIsGoneGo) {
  const Descriptor one = Manifest("one");
  EXPECT_OK(cache_->NameImage("a", one));
  EXPECT_OK(cache_->NameImage("b", Manifest("two")));
  EXPECT_OK(cache_->NameImage("c", Manifest("three")));
  EXPECT_OK(cache_->Drop(one.digest));
  EXPECT_OK(cache_->NameImage("c", Manifest("three")));
  EXPECT_EQ(Index()["manifests"], json({Entry("b", "two"), Entry("c", "three")}));
  EXPECT_EQ(cache_->Prune(0).value(), 8);
  EXPECT_EQ(Index()["manifests"], json::array());
}

TEST_F(ImageIndexTest, AMissingIndexIsMadeAnew) {
  for (const char* content : {"{}", R"({"manifests":null})"}) {
    WriteFile(IndexPath(), content);
    EXPECT_OK(cache_->NameImage("a", Manifest("one")));
    EXPECT_EQ(Index()["manifests"], json({Entry("a", "one")}));
  }
  ASSERT_EQ(remove(IndexPath().c_str()), 0);
  EXPECT_OK(cache_->Prune(1000));
  EXPECT_OK(cache_->NameImage("a", Manifest("one")));
  EXPECT_EQ(Index()["manifests"], json({Entry("a", "one")}));
}

TEST_F(ImageIndexTest, WhatIsNoIndexIsAnErrorAndStays) {
  for (const char* content : {"", "{", "[]", R"({"manifests":{}})"}) {
    WriteFile(IndexPath(), content);
    EXPECT_THAT(cache_->NameImage("a", Manifest("one")), StatusIs(absl::StatusCode::kFailedPrecondition, IndexPath()));
    EXPECT_THAT(cache_->Prune(1000), StatusIs(absl::StatusCode::kFailedPrecondition, IndexPath()));
    EXPECT_EQ(ReadFile(IndexPath()), content);
  }
}

TEST_F(ImageIndexTest, ANameThatIsNotUtf8DoesNotEndTheProgram) {
  EXPECT_OK(cache_->NameImage("\xff", Manifest("one")));
  EXPECT_EQ(Index()["manifests"].size(), 1u);
}

}  // namespace
}  // namespace sluice
