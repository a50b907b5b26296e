#include "registry/manifest.h"

#include <variant>

#include "gtest/gtest.h"
#include "registry/json.h"
#include "tests/fuzz/fuzzing.h"

namespace sluice::testing {
namespace {

Json ToJson(const Platform& platform) {
  return {{"os", platform.os},
          {"architecture", platform.architecture},
          {"variant", platform.variant},
          {"os.version", platform.os_version},
          {"os.features", platform.os_features}};
}

Json ToJson(const Descriptor& descriptor) {
  Json json = {
      {"mediaType", descriptor.media_type},    {"digest", descriptor.digest.ToString()},   {"size", descriptor.size},
      {"annotations", descriptor.annotations}, {"artifactType", descriptor.artifact_type}, {"urls", descriptor.urls}};
  if (descriptor.platform.has_value()) json["platform"] = ToJson(*descriptor.platform);
  return json;
}

Json ToJson(const std::vector<Descriptor>& descriptors) {
  Json list = Json::array();
  for (const Descriptor& descriptor : descriptors) list.push_back(ToJson(descriptor));
  return list;
}

Json ToJson(const std::variant<Manifest, Index>& parsed) {
  if (const Index* const index = std::get_if<Index>(&parsed); index != nullptr) {
    return {{"schemaVersion", 2}, {"mediaType", index->media_type}, {"manifests", ToJson(index->manifests)}};
  }
  const Manifest& manifest = std::get<Manifest>(parsed);
  return {{"schemaVersion", 2},
          {"mediaType", manifest.media_type},
          {"config", ToJson(manifest.config)},
          {"layers", ToJson(manifest.layers)}};
}

void CheckDescriptors(const std::vector<Descriptor>& descriptors) {
  for (const Descriptor& descriptor : descriptors) {
    EXPECT_GE(descriptor.size, 0);
    EXPECT_FALSE(IsIndex(descriptor) && IsManifest(descriptor));
    EXPECT_FALSE(IsTarLayer(descriptor) && (IsIndex(descriptor) || IsManifest(descriptor)));
  }
}

void CheckSelection(const Index& index) {
  const Platform platform = HostPlatform();
  const std::vector<Descriptor> ranked = RankByPlatform(index, platform);
  EXPECT_LE(ranked.size(), index.manifests.size());
  const absl::StatusOr<Descriptor> selected = SelectPlatform(index, platform);
  EXPECT_EQ(selected.ok(), !ranked.empty());
  if (selected.ok()) {
    EXPECT_EQ(selected->digest, ranked.front().digest);
  }
  ExpectGoodMessage(selected.status());
}

}  // namespace

SLUICE_FUZZ_TARGET(input) {
  const absl::StatusOr<std::variant<Manifest, Index>> parsed = ParseManifestOrIndex(input);
  ExpectGoodMessage(parsed.status());
  if (!parsed.ok()) return;
  if (const Index* const index = std::get_if<Index>(&*parsed); index != nullptr) {
    CheckDescriptors(index->manifests);
    CheckSelection(*index);
  } else {
    CheckDescriptors(std::get<Manifest>(*parsed).layers);
    CheckDescriptors({std::get<Manifest>(*parsed).config});
  }
  // What was understood says the same when it is written and read again.
  const Json written = ToJson(*parsed);
  const absl::StatusOr<std::variant<Manifest, Index>> again = ParseManifestOrIndex(written.dump());
  ASSERT_TRUE(again.ok()) << again.status() << written;
  EXPECT_EQ(ToJson(*again), written);
}

}  // namespace sluice::testing
