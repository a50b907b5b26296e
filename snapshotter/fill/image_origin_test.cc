#include "snapshotter/fill/image_origin.h"

#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_join.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

using Labels = std::map<std::string, std::string>;

Digest Filled(char c) { return *Digest::ParseHex(std::string(64, c)); }
const Digest kManifest = Filled('a');
const Digest kIndex = Filled('b');
const Digest kOther = Filled('c');

ImageOrigin Find(const Labels& labels, const std::vector<ImageRecord>& images = {}, const LayerHints& hints = {},
                 std::vector<std::string> known_hosts = {}, std::vector<std::string> local = {}) {
  const OriginFinder finder(*LocalityRules::Create(local), std::move(known_hosts));
  return finder.Find({kManifest, kIndex}, labels, images, hints);
}

std::string Show(const ImageOrigin& origin) {
  return absl::StrJoin(origin.endpoints, " ", [](std::string* out, const Endpoint& endpoint) {
    out->append(endpoint.host + "/" + endpoint.repository);
  });
}

LayerHints ImageHint(const char* reference) {
  LayerHints hints;
  hints.image = *ParseReference(reference);
  return hints;
}

TEST(ImageOriginTest, LabelAloneGivesTheDefaultPort) {
  const ImageOrigin origin = Find({{"containerd.io/distribution.source.172.30.0.1", "app"}});
  EXPECT_EQ(Show(origin), "172.30.0.1/app");
  EXPECT_EQ(origin.locality, Locality::kLocal);
  EXPECT_EQ(origin.image, "172.30.0.1/app@" + kManifest.ToString());
}

TEST(ImageOriginTest, PortComesFromOtherImagesAndTheConfiguration) {
  const ImageOrigin origin = Find({{"containerd.io/distribution.source.172.30.0.1", "app"}},
                                  {{"172.30.0.1:5000/other:1", kOther}, {"10.0.0.9:5000/app:1", kOther}}, {},
                                  {"172.30.0.1:5001", "registry.lan:5000"});
  EXPECT_EQ(Show(origin), "172.30.0.1:5001/app 172.30.0.1:5000/app 172.30.0.1/app");
}

TEST(ImageOriginTest, NameOfTheImageItselfIsUsed) {
  const ImageOrigin origin = Find({}, {{"10.0.0.9:5000/app:1", kOther}, {"172.30.0.1:5000/team/app:2", kIndex}});
  EXPECT_EQ(origin.image, "172.30.0.1:5000/team/app:2");
  EXPECT_EQ(Show(origin), "172.30.0.1:5000/team/app");
  EXPECT_EQ(origin.locality, Locality::kLocal);
}

TEST(ImageOriginTest, HintCountsOnlyWithAMatchingSource) {
  const Labels source = {{"containerd.io/distribution.source.registry.example.com", "app"}};
  EXPECT_EQ(Show(Find(source, {}, ImageHint("registry.example.com:8443/app:1"))),
            "registry.example.com:8443/app registry.example.com/app");
  const ImageOrigin other_host = Find(source, {}, ImageHint("172.30.0.1:5000/app:1"));
  EXPECT_EQ(Show(other_host), "registry.example.com/app");
  EXPECT_EQ(other_host.locality, Locality::kRemote);
  EXPECT_EQ(Show(Find(source, {}, ImageHint("registry.example.com:8443/other:1"))), "registry.example.com/app");
  EXPECT_EQ(Show(Find({}, {}, ImageHint("172.30.0.1:5000/app:1"))), "");
}

TEST(ImageOriginTest, AnyLocalSourceMakesItLocal) {
  EXPECT_EQ(Find({{"containerd.io/distribution.source.docker.io", "library/app"},
                  {"containerd.io/distribution.source.fd00::1", "app"}})
                .locality,
            Locality::kLocal);
}

TEST(ImageOriginTest, ListedHostWithPortIsLocalThroughTheConfiguration) {
  EXPECT_EQ(Find({{"containerd.io/distribution.source.registry.lan", "app"}}, {}, {}, {"registry.lan:5000"},
                 {"registry.lan:5000"})
                .locality,
            Locality::kLocal);
}

TEST(ImageOriginTest, NothingSaidIsUnknown) {
  const ImageOrigin origin = Find({{"containerd.io/gc.ref.content.config", kOther.ToString()}});
  EXPECT_EQ(origin.locality, Locality::kUnknown);
  EXPECT_EQ(origin.image, "");
  EXPECT_TRUE(origin.endpoints.empty());
}

TEST(ImageOriginTest, EndpointsAreBounded) {
  std::string repositories;
  for (int i = 0; i < 1000; ++i) repositories += "r" + std::to_string(i) + ",";
  EXPECT_EQ(Find({{"containerd.io/distribution.source.docker.io", repositories}}).endpoints.size(), 16u);
}

TEST(HostWithoutPortTest, Forms) {
  EXPECT_EQ(HostWithoutPort("172.30.0.1:5000"), "172.30.0.1");
  EXPECT_EQ(HostWithoutPort("registry.lan"), "registry.lan");
  EXPECT_EQ(HostWithoutPort("[fd00::1]:5000"), "fd00::1");
  EXPECT_EQ(HostWithoutPort("[fd00::1]"), "fd00::1");
  EXPECT_EQ(HostWithoutPort("fd00::1"), "fd00::1");
}

}  // namespace
}  // namespace sluice
