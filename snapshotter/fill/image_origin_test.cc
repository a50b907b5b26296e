#include "snapshotter/fill/image_origin.h"

#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gtest/gtest.h"
#include "tests/testing/temp_dir.h"

namespace sluice {
namespace {

using Labels = std::map<std::string, std::string>;

Digest Filled(char c) { return *Digest::ParseHex(std::string(64, c)); }
const Digest kManifest = Filled('a');
const Digest kIndex = Filled('b');
const Digest kOther = Filled('c');

ImageOrigin Find(const Labels& labels, const std::vector<ImageRecord>& images = {}, const LayerHints& hints = {},
                 std::vector<std::string> known_hosts = {}, std::vector<std::string> local = {}) {
  OriginFinder finder({*LocalityRules::Create(local), std::move(known_hosts), ""});
  return finder.Find({kManifest, kIndex}, labels, images, hints);
}

// A guessed port as "?".
std::string Show(const ImageOrigin& origin) {
  return absl::StrJoin(origin.endpoints, " ", [](std::string* out, const Endpoint& endpoint) {
    absl::StrAppend(out, endpoint.host, endpoint.port_is_guess ? "?" : "", "/", endpoint.repository);
  });
}

LayerHints ImageHint(const char* reference) {
  LayerHints hints;
  hints.image = *ParseReference(reference);
  return hints;
}

TEST(ImageOriginTest, LabelAloneGivesTheDefaultPort) {
  const ImageOrigin origin = Find({{"containerd.io/distribution.source.172.30.0.1", "app"}});
  EXPECT_EQ(Show(origin), "172.30.0.1?/app");
  EXPECT_EQ(origin.locality, Locality::kLocal);
  EXPECT_EQ(origin.image, "172.30.0.1/app@" + kManifest.ToString());
}

TEST(ImageOriginTest, PortComesFromOtherImagesAndTheConfiguration) {
  const ImageOrigin origin = Find({{"containerd.io/distribution.source.172.30.0.1", "app"}},
                                  {{"172.30.0.1:5000/other:1", kOther}, {"10.0.0.9:5000/app:1", kOther}}, {},
                                  {"172.30.0.1:5001", "registry.lan:5000"});
  EXPECT_EQ(Show(origin), "172.30.0.1:5001/app 172.30.0.1:5000/app 172.30.0.1?/app");
}

TEST(ImageOriginTest, ConfiguredHostWithoutAPortLeavesItOpen) {
  EXPECT_EQ(Show(Find({{"containerd.io/distribution.source.registry.lan", "app"}}, {}, {}, {"registry.lan"})),
            "registry.lan?/app");
}

TEST(ImageOriginTest, ImagesOfTheSameRepositoryGoBeforeOtherHosts) {
  const Labels source = {{"containerd.io/distribution.source.172.30.0.1", "app,other"}};
  EXPECT_EQ(Show(Find(source, {{"172.30.0.1:5000/third:1", kOther}, {"172.30.0.1:5002/other:1", kOther}}, {},
                      {"172.30.0.1:5001"})),
            "172.30.0.1:5002/other 172.30.0.1:5001/app 172.30.0.1:5000/app 172.30.0.1:5002/app "
            "172.30.0.1:5001/other 172.30.0.1:5000/other 172.30.0.1?/app 172.30.0.1?/other");
  EXPECT_EQ(Show(Find(source, {{"172.30.0.1:5002/other:1", kOther}, {"172.30.0.1:5003/app:1", kIndex}})),
            "172.30.0.1:5003/app 172.30.0.1:5002/other 172.30.0.1:5002/app 172.30.0.1:5003/other "
            "172.30.0.1?/app 172.30.0.1?/other");
}

TEST(ImageOriginTest, HostThatIsKnownWithoutAPortNeedsNone) {
  const Labels source = {{"containerd.io/distribution.source.registry.example.com", "app"}};
  EXPECT_EQ(Show(Find(source, {{"registry.example.com/other:1", kOther}})), "registry.example.com/app");
  EXPECT_EQ(Show(Find(source, {{"registry.example.com.evil.example/app:1", kOther}})), "registry.example.com?/app");
}

TEST(ImageOriginTest, Ipv6HostsGetTheirBracketsBack) {
  const Labels source = {{"containerd.io/distribution.source.fd00::1", "app"}};
  EXPECT_EQ(Show(Find(source)), "[fd00::1]?/app");
  EXPECT_EQ(Show(Find(source, {{"[fd00::1]:5000/other:1", kOther}})), "[fd00::1]:5000/app [fd00::1]?/app");
}

TEST(ImageOriginTest, RegistryThatServedIsAskedFirst) {
  const Labels source = {{"containerd.io/distribution.source.172.30.0.1", "app"}};
  OriginFinder finder({LocalityRules(), {"172.30.0.1:5001"}, ""});
  finder.NoteServed({"172.30.0.1:5002", "other"});
  finder.NoteServed({"172.30.0.1:5003", "app"});
  finder.NoteServed({"172.30.0.1:5002", "other"});
  finder.NoteServed({"10.0.0.9:5000", "app"});
  EXPECT_EQ(Show(finder.Find({kManifest}, source, {}, {})),
            "172.30.0.1:5003/app 172.30.0.1:5002/app 172.30.0.1:5001/app 172.30.0.1?/app");
  finder.NoteServed({"172.30.0.1", "app", /*port_is_guess=*/true});
  EXPECT_EQ(finder.Find({kManifest}, source, {}, {}).endpoints[0], (Endpoint{"172.30.0.1", "app"}));
  for (int i = 0; i < 1000; ++i) finder.NoteServed({"10.0.0.9:" + std::to_string(5000 + i), "app"});
  EXPECT_EQ(Show(finder.Find({kManifest}, source, {}, {})), "172.30.0.1:5001/app 172.30.0.1?/app");
}

TEST(ImageOriginTest, HostsDirectoryIsReadAnew) {
  const testing::TempDir hosts;
  const Labels source = {{"containerd.io/distribution.source.172.30.0.1", "app"},
                         {"containerd.io/distribution.source.fd00::1", "app"}};
  OriginFinder finder({LocalityRules(), {}, hosts.path()});
  EXPECT_EQ(Show(finder.Find({kManifest}, source, {}, {})), "172.30.0.1?/app [fd00::1]?/app");
  for (const char* name : {"172.30.0.1_5000_", "172.30.0.1:5001", "[fd00::1]_5000_", "_default", "172.30.0.1_x_", "_",
                           "172.30.0.1__", "10.0.0.9"}) {
    hosts.MakeDirectory(name);
  }
  EXPECT_EQ(Show(finder.Find({kManifest}, source, {}, {})),
            "172.30.0.1:5000/app 172.30.0.1:5001/app [fd00::1]:5000/app 172.30.0.1?/app [fd00::1]?/app");
  OriginFinder without({LocalityRules(), {}, hosts.At("absent")});
  EXPECT_EQ(Show(without.Find({kManifest}, source, {}, {})), "172.30.0.1?/app [fd00::1]?/app");
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
            "registry.example.com:8443/app registry.example.com?/app");
  const ImageOrigin other_host = Find(source, {}, ImageHint("172.30.0.1:5000/app:1"));
  EXPECT_EQ(Show(other_host), "registry.example.com?/app");
  EXPECT_EQ(other_host.locality, Locality::kRemote);
  EXPECT_EQ(Show(Find(source, {}, ImageHint("registry.example.com:8443/other:1"))), "registry.example.com?/app");
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

TEST(MendForUnknownPortTest, SpeaksOnlyWhereEveryPortIsAGuess) {
  const LocalityRules rules;
  const Endpoint guess = {"172.30.0.1", "app", /*port_is_guess=*/true};
  EXPECT_EQ(MendForUnknownPort({guess}, rules),
            "the port of registry 172.30.0.1 is not known: name it with its port in registry.local_registries");
  EXPECT_EQ(MendForUnknownPort({{"registry.example.com", "app", true}}, rules),
            "if registry.example.com listens on another port than 443, make the directory "
            "registry.example.com:PORT in registry.hosts_dir");
  EXPECT_EQ(MendForUnknownPort({guess, {"172.30.0.1:5000", "app"}}, rules), "");
  EXPECT_EQ(MendForUnknownPort({{"docker.io", "library/app", true}}, rules), "");
  EXPECT_EQ(MendForUnknownPort({}, rules), "");
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
