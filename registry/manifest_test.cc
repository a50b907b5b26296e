#include "registry/manifest.h"

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

constexpr char kOciManifest[] = "application/vnd.oci.image.manifest.v1+json";
constexpr char kOciIndex[] = "application/vnd.oci.image.index.v1+json";

std::string Entry(const std::string& content, const std::string& extra = "", const std::string& type = kOciManifest) {
  return absl::StrCat("{\"mediaType\":\"", type, "\",\"digest\":\"", Digest::Of(content).ToString(),
                      "\",\"size\":", content.size(), extra, "}");
}

std::string PlatformOf(const std::string& os, const std::string& arch, const std::string& variant = "") {
  return absl::StrCat(",\"platform\":{\"os\":\"", os, "\",\"architecture\":\"", arch, "\"",
                      variant.empty() ? "" : absl::StrCat(",\"variant\":\"", variant, "\""), "}");
}

Index ParseIndex(const std::string& json) {
  auto parsed = ParseManifestOrIndex(json);
  EXPECT_TRUE(parsed.ok()) << parsed.status();
  return std::get<Index>(*std::move(parsed));
}

TEST(ManifestTest, ReadsOci) {
  const std::string json = absl::StrCat(
      R"({"schemaVersion":2,"mediaType":")", kOciManifest, R"(","config":)", Entry("config"), R"(,"layers":[)",
      Entry("a", R"(,"annotations":{"k":"v"},"urls":["http://x"])"), ",", Entry("bb"), "]}");
  const auto parsed = ParseManifestOrIndex(json);
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  const Manifest& manifest = std::get<Manifest>(*parsed);
  EXPECT_EQ(manifest.media_type, kOciManifest);
  EXPECT_EQ(manifest.config.digest, Digest::Of("config"));
  ASSERT_EQ(manifest.layers.size(), 2u);
  EXPECT_EQ(manifest.layers[0].annotations.at("k"), "v");
  EXPECT_EQ(manifest.layers[0].urls.size(), 1u);
  EXPECT_EQ(manifest.layers[1].size, 2);
}

TEST(ManifestTest, KindIsSniffedWhereItIsNotWritten) {
  const std::string docker_config = Entry("c", "", "application/vnd.docker.container.image.v1+json");
  const auto docker =
      ParseManifestOrIndex(absl::StrCat(R"({"schemaVersion":2,"config":)", docker_config, R"(,"layers":[]})"));
  EXPECT_EQ(std::get<Manifest>(docker.value()).media_type, "application/vnd.docker.distribution.manifest.v2+json");
  const auto oci = ParseManifestOrIndex(absl::StrCat(R"({"config":)", Entry("c"), R"(,"layers":[]})"));
  EXPECT_EQ(std::get<Manifest>(oci.value()).media_type, kOciManifest);
  EXPECT_EQ(ParseIndex(R"({"manifests":[]})").media_type, kOciIndex);
}

TEST(ManifestTest, RefusesNamingTheField) {
  const std::string hex(64, 'a');
  const auto layer = [&](const std::string& text) {
    return absl::StrCat(R"({"schemaVersion":2,"config":)", Entry("c"), R"(,"layers":[)", Entry("a"), ",", text, "]}");
  };
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "not JSON"},
      {"[]", "not a JSON object"},
      {R"({"schemaVersion":1,"fsLayers":[]})", "schema 1"},
      {R"({"schemaVersion":"2"})", "schemaVersion"},
      {R"({"schemaVersion":2})", "config"},
      {absl::StrCat(R"({"config":)", Entry("c"), "}"), "layers"},
      {absl::StrCat(R"({"layers":[],"config":7})"), "config"},
      {absl::StrCat(R"({"manifests":[],"layers":[],"config":)", Entry("c"), "}"), "manifests"},
      {absl::StrCat(R"({"manifests":[],"mediaType":")", kOciManifest, "\"}"), "mediaType"},
      {layer("7"), "\"layers\"[1]"},
      {layer(R"({"size":1})"), "digest"},
      {layer(absl::StrCat(R"({"digest":"sha256:)", hex, "\"}")), "size"},
      {layer(absl::StrCat(R"({"size":-1,"digest":"sha256:)", hex, "\"}")), "size"},
      {layer(absl::StrCat(R"({"size":9223372036854775808,"digest":"sha256:)", hex, "\"}")), "size"},
      {layer(absl::StrCat(R"({"size":1e3,"digest":"sha256:)", hex, "\"}")), "size"},
      {layer(absl::StrCat(R"({"size":"1","digest":"sha256:)", hex, "\"}")), "size"},
      {layer(R"({"size":1,"digest":"sha256:../../etc/passwd"})"), "digest"},
      {layer(absl::StrCat(R"({"size":1,"digest":"md5:)", hex, "\"}")), "digest"},
      {layer(absl::StrCat(R"({"size":1,"annotations":{"a":1},"digest":"sha256:)", hex, "\"}")), "annotations"},
  };
  for (const auto& [json, named] : cases) {
    const auto parsed = ParseManifestOrIndex(json);
    ASSERT_EQ(parsed.status().code(), absl::StatusCode::kInvalidArgument) << json;
    EXPECT_TRUE(absl::StrContains(parsed.status().message(), named)) << json << "\n" << parsed.status();
  }
}

TEST(ManifestTest, TheLargestSizeIsRead) {
  const auto parsed = ParseManifestOrIndex(
      absl::StrCat(R"({"layers":[],"config":{"size":9223372036854775807,"digest":")", Digest().ToString(), "\"}}"));
  EXPECT_EQ(std::get<Manifest>(parsed.value()).config.size, 9223372036854775807);
}

TEST(IndexTest, EntriesOfOtherAlgorithmsAreLeftOut) {
  const Index index = ParseIndex(
      absl::StrCat(R"({"manifests":[{"size":1,"digest":"sha512:)", std::string(128, 'a'), "\"},", Entry("a"), "]}"));
  ASSERT_EQ(index.manifests.size(), 1u);
  EXPECT_EQ(index.manifests[0].digest, Digest::Of("a"));
}

TEST(IndexTest, SelectsByPlatform) {
  const Index index = ParseIndex(absl::StrCat(
      R"({"manifests":[)", Entry("attestation", PlatformOf("unknown", "unknown")), ",",
      Entry("artifact", R"(,"artifactType":"application/x")" + PlatformOf("linux", "amd64")), ",",
      Entry("helm", PlatformOf("linux", "amd64"), "application/vnd.cncf.helm.config.v1+json"), ",", Entry("nowhere"),
      ",", Entry("386", PlatformOf("linux", "386")), ",", Entry("amd64", PlatformOf("linux", "amd64")), ",",
      Entry("amd64 again", PlatformOf("linux", "amd64", "v1")), ",", Entry("arm", PlatformOf("linux", "arm", "v6")),
      "]}"));
  const auto select = [&](const char* platform) { return SelectPlatform(index, ParsePlatform(platform).value()); };
  EXPECT_EQ(select("linux/amd64")->digest, Digest::Of("amd64"));
  EXPECT_EQ(select("linux/386")->digest, Digest::Of("386"));
  EXPECT_EQ(select("linux/arm64")->digest, Digest::Of("arm"));
  EXPECT_EQ(select("linux/s390x")->digest, Digest::Of("nowhere"));
  EXPECT_EQ(RankByPlatform(index, ParsePlatform("linux/amd64").value()).size(), 4u);
}

TEST(IndexTest, SaysWhatThereIs) {
  const Index index = ParseIndex(absl::StrCat(R"({"manifests":[)", Entry("a", PlatformOf("linux", "arm64")), ",",
                                              Entry("b", PlatformOf("unknown", "unknown")), ",",
                                              Entry("c", PlatformOf("windows", "amd64")), "]}"));
  const auto selected = SelectPlatform(index, ParsePlatform("linux/amd64").value());
  EXPECT_EQ(selected.status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(selected.status().message(), "no image for platform linux/amd64: the index has linux/arm64, windows/amd64");
}

TEST(DescriptorTest, KnowsItsMediaTypes) {
  const auto of = [](const char* type) {
    Descriptor descriptor;
    descriptor.media_type = type;
    return descriptor;
  };
  EXPECT_TRUE(IsIndex(of("application/vnd.docker.distribution.manifest.list.v2+json")));
  EXPECT_TRUE(IsManifest(of("application/vnd.docker.distribution.manifest.v2+json")));
  EXPECT_FALSE(IsManifest(of(kOciIndex)));
  for (const char* type :
       {"application/vnd.oci.image.layer.v1.tar", "application/vnd.oci.image.layer.v1.tar+gzip",
        "application/vnd.oci.image.layer.v1.tar+zstd", "application/vnd.docker.image.rootfs.diff.tar.gzip"}) {
    EXPECT_TRUE(IsTarLayer(of(type))) << type;
  }
  for (const char* type :
       {"", "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        "application/vnd.oci.image.layer.v1.tar+gzip+encrypted", "application/vnd.erofs.layer.v1", kOciIndex}) {
    EXPECT_FALSE(IsTarLayer(of(type))) << type;
  }
}

}  // namespace
}  // namespace sluice
