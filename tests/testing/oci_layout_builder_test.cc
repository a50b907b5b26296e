// The layout must please a reader that isn't ours: skopeo, which verifies every digest and diffID.
#include "tests/testing/oci_layout_builder.h"

#include <array>
#include <cstdio>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/testing/tar_builder.h"
#include "tests/testing/temp_dir.h"

namespace sluice::testing {
namespace {

std::string Shell(const std::string& command) {
  FILE* pipe = ::popen(absl::StrCat("{ ", command, "; } 2>&1").c_str(), "r");
  std::string out;
  std::array<char, 4096> buffer{};
  while (const size_t count = ::fread(buffer.data(), 1, buffer.size(), pipe)) out.append(buffer.data(), count);
  ::pclose(pipe);
  return out;
}

ImageSpec TwoLayers() {
  return {.layers = {{TarBuilder().File("a", "1").Build(), LayerCompression::kGzip},
                     {TarBuilder().File("b", "2").Build(), LayerCompression::kZstd}},
          .config = {{"Entrypoint", {"/a"}}}};
}

TEST(OciLayoutBuilderTest, SkopeoCopiesIt) {
  const TempDir dir;
  OciLayoutBuilder layout(dir.MakeDirectory("layout"));
  layout.AddImage(TwoLayers(), "app:1");
  const std::string out =
      Shell(absl::StrCat("skopeo --insecure-policy --tmpdir ", dir.path(), " copy oci:", layout.directory(),
                         ":app:1 dir:", dir.At("copy"), " && echo done"));
  EXPECT_NE(out.find("done\n"), std::string::npos) << out;
}

TEST(OciLayoutBuilderTest, DockerMediaTypes) {
  const TempDir dir;
  OciLayoutBuilder layout(dir.MakeDirectory("layout"));
  const BuiltImage image =
      layout.AddImage({.layers = {{TarBuilder().File("a", "1").Build()}}, .docker = true}, "docker:1");
  const nlohmann::json manifest = nlohmann::json::parse(image.manifest_json);
  EXPECT_EQ(manifest["mediaType"], "application/vnd.docker.distribution.manifest.v2+json");
  EXPECT_EQ(manifest["config"]["mediaType"], "application/vnd.docker.container.image.v1+json");
  EXPECT_EQ(manifest["layers"][0]["mediaType"], "application/vnd.docker.image.rootfs.diff.tar.gzip");
}

TEST(OciLayoutBuilderTest, TagMovesAndChainIdIsTheSpecs) {
  const TempDir dir;
  OciLayoutBuilder layout(dir.MakeDirectory("layout"));
  layout.AddImage({.layers = {{TarBuilder().File("old").Build()}}}, "app:1");
  const BuiltImage image = layout.AddImage(TwoLayers(), "app:1");
  const std::string index = Shell("cat " + layout.IndexPath());
  const nlohmann::json parsed = nlohmann::json::parse(index);
  ASSERT_EQ(parsed["manifests"].size(), 1u) << index;
  EXPECT_EQ(parsed["manifests"][0]["digest"], image.manifest.ToString());
  EXPECT_EQ(image.layers[0].chain_id, image.layers[0].diff_id);
  EXPECT_EQ(image.layers[1].chain_id,
            Digest::Of(absl::StrCat(image.layers[0].diff_id.ToString(), " ", image.layers[1].diff_id.ToString())));
}

TEST(OciLayoutBuilderTest, IndexOverTwoPlatforms) {
  const TempDir dir;
  OciLayoutBuilder layout(dir.MakeDirectory("layout"));
  ImageSpec arm = TwoLayers();
  arm.architecture = "arm64";
  arm.variant = "v8";
  layout.AddIndex({layout.WriteImage(TwoLayers()), layout.WriteImage(arm)}, "multi:1");
  const std::string out =
      Shell(absl::StrCat("skopeo --override-arch arm64 inspect oci:", layout.directory(), ":multi:1"));
  EXPECT_NE(out.find("\"Architecture\": \"arm64\""), std::string::npos) << out;
}

}  // namespace
}  // namespace sluice::testing
