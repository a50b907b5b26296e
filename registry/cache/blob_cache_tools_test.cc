// The cache is an OCI image layout at every moment: skopeo and umoci read images from it while blobs arrive, are named
// and evicted.
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "registry/cache/cache_fixture.h"
#include "tests/testing/oci_layout_builder.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/tar_builder.h"

namespace sluice {
namespace {

using ::sluice::testing::BuiltImage;
using ::sluice::testing::MakeBlob;
using ::sluice::testing::OciLayoutBuilder;
using ::sluice::testing::Origin;
using ::sluice::testing::ReadFile;
using ::sluice::testing::ReadToEnd;
using ::sluice::testing::TarBuilder;

constexpr int kImages = 4;

class BlobCacheToolsTest : public testing::CacheFixture {
 protected:
  BlobCacheToolsTest() {
    for (int i = 0; i < kImages; ++i) {
      testing::ImageSpec spec;
      spec.layers = {{.tar = TarBuilder().File("base", MakeBlob(1, 500'000)).Build()},
                     {.tar = TarBuilder().File("own", MakeBlob(10 + i, 500'000)).Build()}};
      images_.push_back(registry_.WriteImage(spec));
    }
  }

  void Run(const std::string& command) const {
    const std::string log = dir_.At("log");
    EXPECT_EQ(std::system(absl::StrCat(command, " >", log, " 2>&1").c_str()), 0) << command << "\n" << ReadFile(log);
  }
  // As a pull does: the manifest and the config, then the name, then the layers as they arrive.
  void Pull(const BuiltImage& image, const std::string& name) const {
    ASSERT_OK(cache_->WriteDocument(image.manifest, image.manifest_json));
    ASSERT_OK(cache_->WriteDocument(image.config, image.config_json));
    Descriptor manifest;
    manifest.media_type = "application/vnd.oci.image.manifest.v1+json";
    manifest.digest = image.manifest;
    manifest.size = static_cast<int64_t>(image.manifest_json.size());
    ASSERT_OK(cache_->NameImage(name, manifest));
    for (const testing::BuiltLayer& layer : image.layers) {
      Origin origin(ReadFile(registry_.BlobPath(layer.digest)));
      ASSERT_OK(ReadToEnd(*Download(origin), 10'000));
    }
  }
  void ExpectReadable(const std::string& name) const {
    const std::string source = absl::StrCat("oci:", path_, ":", name);
    Run(absl::StrCat("skopeo --tmpdir ", dir_.path(), " inspect ", source));
    Run(absl::StrCat("skopeo --insecure-policy --tmpdir ", dir_.path(), " copy ", source, " dir:", dir_.At("copy")));
    const std::string bundle = dir_.At("bundle");
    Run(absl::StrCat("umoci unpack --rootless --image ", path_, ":", name, " ", bundle));
    EXPECT_EQ(ReadFile(bundle + "/rootfs/base"), MakeBlob(1, 500'000));
    std::filesystem::remove_all(dir_.At("copy"));
    std::filesystem::remove_all(bundle);
  }

  OciLayoutBuilder registry_{dir_.MakeDirectory("registry")};
  std::vector<BuiltImage> images_;
};

TEST_F(BlobCacheToolsTest, AnEmptyCacheIsALayout) { Run(absl::StrCat("umoci ls --layout ", path_)); }

TEST_F(BlobCacheToolsTest, ImagesAreReadWhileOthersArrive) {
  Pull(images_[0], "app-0");
  Origin slow(MakeBlob(99, 1'000'000));
  slow.StopAt(500'000);
  std::thread stopped([&] { EXPECT_OK(ReadToEnd(*Download(slow))); });
  slow.AwaitStopped();
  std::thread busy([this] {
    for (int round = 0; round < 5; ++round) {
      for (int i = 1; i < kImages; ++i) {
        Pull(images_[i], absl::StrCat("app-", i));
        EXPECT_OK(cache_->Drop(images_[i].layers[1].digest));
        EXPECT_OK(cache_->Drop(images_[i].manifest));
      }
    }
  });
  for (int i = 0; i < 3; ++i) ExpectReadable("app-0");
  Run(absl::StrCat("umoci ls --layout ", path_));
  Run(absl::StrCat("umoci stat --image ", path_, ":app-0"));
  busy.join();
  slow.Continue();
  stopped.join();
  ExpectReadable("app-0");
}

TEST_F(BlobCacheToolsTest, WhatTheyWriteIsUsed) {
  testing::ImageSpec spec;
  spec.layers = {{.tar = TarBuilder().File("base", MakeBlob(1, 500'000)).Build()}};
  const BuiltImage image = registry_.AddImage(spec, "theirs");
  Run(absl::StrCat("skopeo --insecure-policy --tmpdir ", dir_.path(), " copy oci:", registry_.directory(),
                   ":theirs oci:", path_, ":theirs"));
  EXPECT_TRUE(cache_->Contains(image.layers[0].digest, image.layers[0].size));
  Pull(images_[0], "ours");
  ExpectReadable("theirs");
  ExpectReadable("ours");
  ExpectAllBlobsIntact();
}

}  // namespace
}  // namespace sluice
