#include "registry/image_source.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "registry/client/fake_http_server.h"
#include "tests/testing/oci_layout_builder.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/tar_builder.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/text_reader.h"
#include "tests/testing/zot_builder.h"

namespace sluice {
namespace {

using ::sluice::testing::BuiltImage;
using ::sluice::testing::ImageSpec;
using ::sluice::testing::OciLayoutBuilder;
using ::sluice::testing::StatusIs;
using ::sluice::testing::TarBuilder;
using ::sluice::testing::TempDir;

ImageSpec Spec(const std::string& name, const std::string& architecture = "amd64", const std::string& variant = "") {
  ImageSpec spec;
  spec.layers = {{.tar = TarBuilder().File("base").Build()}, {.tar = TarBuilder().File(name, name).Build()}};
  spec.architecture = architecture;
  spec.variant = variant;
  return spec;
}

Platform P(const char* text) { return ParsePlatform(text).value(); }

// A registry that serves what it is given, by path below /v2/.
class ServedRegistry {
 public:
  void Put(const std::string& path, const std::string& body) { bodies_["/v2/" + path] = body; }
  void PutImage(const std::string& repository, const std::string& tag, const BuiltImage& image) {
    Put(absl::StrCat(repository, "/manifests/", tag), image.manifest_json);
    Put(absl::StrCat(repository, "/manifests/", image.manifest.ToString()), image.manifest_json);
    Put(absl::StrCat(repository, "/blobs/", image.config.ToString()), image.config_json);
  }
  const std::string& host() const { return server_.host(); }
  std::vector<std::string> requests() const { return server_.requests(); }

 private:
  std::map<std::string, std::string> bodies_;
  FakeHttpServer server_{"127.0.0.1", [this](const std::string& head, const FakeHttpServer::Connection& connection) {
                           const std::vector<std::string> words = absl::StrSplit(head, ' ');
                           const std::string path = words[1].substr(0, words[1].find('?'));
                           const auto body = bodies_.find(path);
                           connection.Send(body == bodies_.end() ? HttpAnswer(404, "") : HttpAnswer(200, body->second));
                         }};
};

class ImageSourceTest : public ::testing::Test {
 protected:
  std::shared_ptr<const Store> Layout(bool owns_all = true, std::vector<std::string> hosts = {}) const {
    return MakeOciLayoutStore("layout", layout_.directory(), std::move(hosts), owns_all);
  }
  std::shared_ptr<const RegistryClient> Client() const {
    return std::make_shared<RegistryClient>(LocalityRules::Create({}).value());
  }
  ImageSource Offline() const { return ImageSource({Layout()}, nullptr); }
  static absl::StatusOr<ResolvedImage> Resolve(const ImageSource& source, const std::string& reference,
                                               std::optional<Platform> platform = std::nullopt) {
    return source.Resolve(ParseReference(reference).value(), platform, nullptr);
  }
  void Break(const Digest& digest, const std::string& content) const {
    std::ofstream(layout_.BlobPath(digest), std::ios::trunc) << content;
  }

  TempDir dir_;
  OciLayoutBuilder layout_{dir_.path()};
};

TEST_F(ImageSourceTest, ResolvesFromALayout) {
  ImageSpec spec = Spec("a");
  spec.config = {{"Env", {"A=b"}}};
  const BuiltImage built = layout_.AddImage(spec, "1");
  ASSERT_OK_AND_ASSIGN(const ResolvedImage image, Resolve(Offline(), "example.com/app:1"));
  EXPECT_EQ(image.reference.ToString(), "example.com/app:1");
  EXPECT_EQ(image.manifest.digest, built.manifest);
  EXPECT_TRUE(IsManifest(image.manifest));
  EXPECT_EQ(image.manifest_bytes, built.manifest_json);
  EXPECT_EQ(image.config.digest, built.config);
  EXPECT_EQ(image.config_bytes, built.config_json);
  EXPECT_TRUE(absl::StrContains(image.image.metadata_json, "A=b"));
  EXPECT_EQ(image.found_in, dir_.path());
  ASSERT_EQ(image.layers.size(), 2u);
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(image.layers[i].blob.digest, built.layers[i].digest);
    EXPECT_EQ(image.layers[i].diff_id, built.layers[i].diff_id);
  }
  EXPECT_OK(Offline().OpenLayer(image.reference, image.layers[0].blob, nullptr));
}

TEST_F(ImageSourceTest, ByDigestNoOwnerIsNeeded) {
  const BuiltImage built = layout_.WriteImage(Spec("a"));
  const ImageSource source({Layout(/*owns_all=*/false)}, nullptr);
  const std::string by_digest = "example.com/app:1@" + built.manifest.ToString();
  EXPECT_EQ(Resolve(source, by_digest).value().manifest.digest, built.manifest);
  EXPECT_THAT(Resolve(source, "example.com/app:1"), StatusIs(absl::StatusCode::kNotFound, "no store owns its tags"));
}

TEST_F(ImageSourceTest, ChoosesThePlatform) {
  const BuiltImage amd64 = layout_.WriteImage(Spec("amd64"));
  const BuiltImage arm64 = layout_.WriteImage(Spec("arm64", "arm64", "v8"));
  const BuiltImage v7 = layout_.WriteImage(Spec("v7", "arm", "v7"));
  const Digest index = layout_.AddIndex({amd64, arm64, v7}, "1");
  const ImageSource source = Offline();
  ASSERT_OK_AND_ASSIGN(const ResolvedImage chosen, Resolve(source, "app:1", P("linux/amd64")));
  EXPECT_EQ(chosen.manifest.digest, amd64.manifest);
  ASSERT_EQ(chosen.indexes.size(), 1u);
  EXPECT_EQ(chosen.indexes[0].descriptor.digest, index);
  EXPECT_EQ(Digest::Of(chosen.indexes[0].bytes), index);
  EXPECT_EQ(Resolve(source, "app:1", P("linux/arm64")).value().manifest.digest, arm64.manifest);
  EXPECT_EQ(Resolve(source, "app:1", P("linux/arm/v8")).value().manifest.digest, v7.manifest);
  EXPECT_THAT(Resolve(source, "app:1", P("linux/s390x")),
              StatusIs(absl::StatusCode::kNotFound,
                       "docker.io/library/app:1: no image for platform linux/s390x: the index has linux/amd64"));
}

TEST_F(ImageSourceTest, ABlobThatIsMissingNeverLeadsToAnotherPlatform) {
  const BuiltImage amd64 = layout_.WriteImage(Spec("amd64"));
  const BuiltImage i386 = layout_.WriteImage(Spec("386", "386"));
  layout_.AddIndex({i386, amd64}, "1");
  ASSERT_EQ(unlink(layout_.BlobPath(amd64.manifest).c_str()), 0);
  EXPECT_THAT(Resolve(Offline(), "app:1", P("linux/amd64")),
              StatusIs(absl::StatusCode::kNotFound, amd64.manifest.Hex()));
}

TEST_F(ImageSourceTest, ASinglePlatformIsTakenUnlessAnotherWasAskedFor) {
  const BuiltImage built = layout_.AddImage(Spec("a", "s390x"), "1");
  EXPECT_EQ(Resolve(Offline(), "app:1").value().manifest.digest, built.manifest);
  EXPECT_EQ(Resolve(Offline(), "app:1", P("linux/s390x")).value().manifest.digest, built.manifest);
  EXPECT_THAT(Resolve(Offline(), "app:1", P("linux/amd64")),
              StatusIs(absl::StatusCode::kNotFound, "it is for linux/s390x"));
}

TEST_F(ImageSourceTest, EntriesThatDoNotTellAreLookedInto) {
  BuiltImage arm64 = layout_.WriteImage(Spec("arm64", "arm64"));
  BuiltImage amd64 = layout_.WriteImage(Spec("amd64"));
  arm64.descriptor.erase("platform");
  amd64.descriptor.erase("platform");
  layout_.AddIndex({arm64, amd64}, "1");
  EXPECT_EQ(Resolve(Offline(), "app:1", P("linux/amd64")).value().manifest.digest, amd64.manifest);
  EXPECT_THAT(Resolve(Offline(), "app:1", P("linux/s390x")),
              StatusIs(absl::StatusCode::kNotFound, "no image for platform"));
}

TEST_F(ImageSourceTest, WalksNestedIndexesWithinBounds) {
  const BuiltImage amd64 = layout_.WriteImage(Spec("amd64"));
  const auto nest = [this](const nlohmann::json& entries) {
    const std::string json = nlohmann::json{
        {"schemaVersion", 2},
        {"mediaType", "application/vnd.oci.image.index.v1+json"},
        {"manifests", entries}}.dump();
    return nlohmann::json{{"mediaType", "application/vnd.oci.image.index.v1+json"},
                          {"digest", layout_.WriteBlob(json).ToString()},
                          {"size", json.size()}};
  };
  nlohmann::json nested = nest(nlohmann::json::array({amd64.descriptor}));
  for (int depth = 2; depth <= 4; ++depth) nested = nest(nlohmann::json::array({nested}));
  layout_.AddDescriptor(nested, "deep");
  layout_.AddDescriptor(nest(nlohmann::json::array({nested})), "deeper");
  ASSERT_OK_AND_ASSIGN(const ResolvedImage deep, Resolve(Offline(), "app:deep", P("linux/amd64")));
  EXPECT_EQ(deep.manifest.digest, amd64.manifest);
  ASSERT_EQ(deep.indexes.size(), 4u);
  EXPECT_EQ(deep.indexes[0].descriptor.digest.ToString(), nested["digest"]) << "outermost first";
  EXPECT_THAT(Resolve(Offline(), "app:deeper", P("linux/amd64")),
              StatusIs(absl::StatusCode::kInvalidArgument, "nested deeper than 4"));

  nlohmann::json wide = nlohmann::json::array();
  for (int i = 0; i < 40; ++i) wide.push_back(nest(nlohmann::json::array()));
  layout_.AddDescriptor(nest(wide), "wide");
  EXPECT_THAT(Resolve(Offline(), "app:wide"), StatusIs(absl::StatusCode::kInvalidArgument, "more than 32 manifests"));
}

TEST_F(ImageSourceTest, ConfigAndManifestMustAgree) {
  const BuiltImage one = layout_.WriteImage(Spec("one"));
  nlohmann::json manifest = nlohmann::json::parse(one.manifest_json);
  manifest["layers"].erase(1);
  const Digest digest = layout_.WriteBlob(manifest.dump());
  EXPECT_THAT(Resolve(Offline(), "app@" + digest.ToString()),
              StatusIs(absl::StatusCode::kInvalidArgument, "has 1 layers, its config 2 diff_ids"));
}

TEST_F(ImageSourceTest, SizesMustAgree) {
  const BuiltImage one = layout_.WriteImage(Spec("one"));
  nlohmann::json manifest = nlohmann::json::parse(one.manifest_json);
  manifest["config"]["size"] = 7;
  const Digest digest = layout_.WriteBlob(manifest.dump());
  EXPECT_THAT(Resolve(Offline(), "app@" + digest.ToString()),
              StatusIs(absl::StatusCode::kInvalidArgument, "descriptor says 7"));
}

TEST_F(ImageSourceTest, CorruptDocumentsAreNamed) {
  const BuiltImage built = layout_.AddImage(Spec("a"), "1");
  Break(built.config, "{}");
  EXPECT_THAT(Resolve(Offline(), "app:1"), StatusIs(absl::StatusCode::kDataLoss, layout_.BlobPath(built.config)));
}

TEST_F(ImageSourceTest, AnotherStoreOrTheRegistryStandsInForACorruptOne) {
  ServedRegistry registry;
  const BuiltImage built = layout_.AddImage(Spec("a"), registry.host() + "/app:1");
  registry.PutImage("app", "1", built);
  Break(built.config, "{}");
  const ImageSource source({Layout()}, Client());
  ASSERT_OK_AND_ASSIGN(const ResolvedImage image, Resolve(source, registry.host() + "/app:1"));
  EXPECT_EQ(image.config_bytes, built.config_json);
  EXPECT_EQ(registry.requests(),
            std::vector<std::string>{absl::StrCat("GET /v2/app/blobs/", built.config.ToString(), " HTTP/1.1")});
}

TEST_F(ImageSourceTest, ATagOfNobodysIsAskedAtItsRegistryAndTheRestIsRead) {
  ServedRegistry registry;
  const BuiltImage stale = layout_.AddImage(Spec("stale"), registry.host() + "/app:1");
  const BuiltImage fresh = layout_.WriteImage(Spec("fresh"));
  registry.Put("app/manifests/1", fresh.manifest_json);
  const ImageSource source({Layout(/*owns_all=*/false, {"other.example:5000"})}, Client());
  ASSERT_OK_AND_ASSIGN(const ResolvedImage image, Resolve(source, registry.host() + "/app:1"));
  EXPECT_EQ(image.manifest.digest, fresh.manifest);
  EXPECT_EQ(image.found_in, registry.host());
  // One manifest request and nothing else: the config lies in the layout.
  EXPECT_EQ(registry.requests(), std::vector<std::string>{"GET /v2/app/manifests/1 HTTP/1.1"});
}

TEST_F(ImageSourceTest, TheOwnerOfATagIsAskedAndNotTheRegistry) {
  ServedRegistry registry;
  const BuiltImage built = layout_.AddImage(Spec("a"), registry.host() + "/app:1");
  const ImageSource source({Layout(/*owns_all=*/false, {registry.host()})}, Client());
  EXPECT_EQ(Resolve(source, registry.host() + "/app:1").value().manifest.digest, built.manifest);
  EXPECT_TRUE(registry.requests().empty());
}

TEST_F(ImageSourceTest, AMissAtTheOwnerIsAskedAtTheRegistry) {
  ServedRegistry registry;
  const BuiltImage built = layout_.WriteImage(Spec("a"));
  registry.Put("app/manifests/1", built.manifest_json);
  const ImageSource source({Layout(/*owns_all=*/false, {registry.host()})}, Client());
  EXPECT_EQ(Resolve(source, registry.host() + "/app:1").value().manifest.digest, built.manifest);
  EXPECT_THAT(Resolve(source, registry.host() + "/app:2"),
              StatusIs(absl::StatusCode::kNotFound, "; then asked the registry: GET http://"));
}

TEST_F(ImageSourceTest, ALayerComesFromTheNearestPlace) {
  ServedRegistry registry;
  const BuiltImage built = layout_.AddImage(Spec("a"), "1");
  const Reference reference = ParseReference(registry.host() + "/app:1").value();
  const ImageSource source({Layout()}, Client());
  ASSERT_OK_AND_ASSIGN(const ResolvedImage image, source.Resolve(reference, std::nullopt, nullptr));
  ASSERT_OK_AND_ASSIGN(const OpenedLayer stored, source.OpenLayer(reference, image.layers[0].blob, nullptr));
  EXPECT_EQ(stored.origin.strategy, "layout");
  EXPECT_EQ(stored.origin.source, dir_.path());
  EXPECT_EQ(source.PlaceOf(reference, image.layers[0].blob), layout_.BlobPath(built.layers[0].digest));
  EXPECT_TRUE(registry.requests().empty());

  ASSERT_EQ(unlink(layout_.BlobPath(built.layers[0].digest).c_str()), 0);
  EXPECT_EQ(source.PlaceOf(reference, image.layers[0].blob), built.layers[0].digest.Short());
  EXPECT_THAT(source.OpenLayer(reference, image.layers[0].blob, nullptr),
              StatusIs(absl::StatusCode::kNotFound, "then asked the registry"));
  registry.Put(absl::StrCat("app/blobs/", built.layers[0].digest.ToString()),
               std::string(static_cast<size_t>(image.layers[0].blob.size), 'x'));
  ASSERT_OK_AND_ASSIGN(const OpenedLayer streamed, source.OpenLayer(reference, image.layers[0].blob, nullptr));
  EXPECT_EQ(streamed.origin.strategy, "stream");
  EXPECT_EQ(streamed.origin.source, registry.host());
  EXPECT_THAT(Offline().OpenLayer(reference, image.layers[0].blob, nullptr),
              StatusIs(absl::StatusCode::kNotFound, built.layers[0].digest.Hex()));
}

TEST_F(ImageSourceTest, AStoreIsAskedForTheRepositoryOfTheReference) {
  testing::ZotBuilder zot(dir_.MakeDirectory("zot"));
  const BuiltImage built = layout_.AddImage(Spec("a"), "a");
  zot.Push(layout_.directory(), "a", "team/app", "1");
  const ImageSource source({MakeZotStore("zot", dir_.At("zot"), {"172.30.0.1:5000"}, /*require_link=*/true)}, nullptr);
  const Reference reference = ParseReference("172.30.0.1:5000/team/app:1").value();
  ASSERT_OK_AND_ASSIGN(const ResolvedImage image, source.Resolve(reference, std::nullopt, nullptr));
  EXPECT_EQ(image.manifest.digest, built.manifest);
  EXPECT_EQ(image.found_in, dir_.At("zot"));
  EXPECT_OK(source.OpenLayer(reference, image.layers[0].blob, nullptr));
  EXPECT_EQ(source.PlaceOf(reference, image.layers[0].blob), zot.BlobPath("team/app", built.layers[0].digest));

  const Reference other = ParseReference("172.30.0.1:5000/other@" + built.manifest.ToString()).value();
  EXPECT_THAT(source.Resolve(other, std::nullopt, nullptr), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(source.OpenLayer(other, image.layers[0].blob, nullptr), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_EQ(source.PlaceOf(other, image.layers[0].blob), built.layers[0].digest.Short());
}

TEST_F(ImageSourceTest, AnUnreachableRegistryIsOneLine) {
  const ImageSource source({}, Client());
  EXPECT_THAT(Resolve(source, "127.0.0.1:1/app:1"),
              StatusIs(absl::StatusCode::kUnavailable,
                       "127.0.0.1:1/app:1: GET http://127.0.0.1:1/v2/app/manifests/1: Connection refused"));
}

TEST_F(ImageSourceTest, EveryStoreThatMissedIsNamed) {
  const ImageSource source({Layout(), MakeOciLayoutStore("other", dir_.At("other"), {}, true)}, nullptr);
  const absl::Status status = Resolve(source, "app:1").status();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kNotFound, dir_.path() + ": no image"));
  EXPECT_TRUE(absl::StrContains(status.message(), dir_.At("other"))) << status;
}

// Two registries push the same repository and tag; the tag of one moves between two calls.
TEST_F(ImageSourceTest, TwoRegistriesOneLayoutNeverTheWrongImage) {
  ServedRegistry theirs;
  const BuiltImage mine = layout_.AddImage(Spec("mine"), "172.30.0.1:5000/app:1");
  const BuiltImage other = layout_.WriteImage(Spec("other"));
  theirs.PutImage("app", "1", other);
  const ImageSource source({Layout(/*owns_all=*/false, {"172.30.0.1:5000"})}, Client());
  EXPECT_EQ(Resolve(source, "172.30.0.1:5000/app:1").value().manifest.digest, mine.manifest);
  EXPECT_EQ(Resolve(source, theirs.host() + "/app:1").value().manifest.digest, other.manifest);
  const BuiltImage moved = layout_.AddImage(Spec("moved"), "172.30.0.1:5000/app:1");
  EXPECT_EQ(Resolve(source, "172.30.0.1:5000/app:1").value().manifest.digest, moved.manifest);
  EXPECT_EQ(Resolve(source, theirs.host() + "/app:1").value().manifest.digest, other.manifest);
}

// A remote registry, which is on loopback only because hosts.toml says so, and a cache.
class ImageCachingTest : public ImageSourceTest {
 protected:
  ImageCachingTest() : built_(layout_.WriteImage(Spec("a"))) {
    registry_.PutImage("app", "1", built_);
    for (const auto& layer : built_.layers) {
      registry_.Put(absl::StrCat("app/blobs/", layer.digest.ToString()), ReadFile(layout_.BlobPath(layer.digest)));
    }
  }
  static std::string ReadFile(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }
  ImageSource Source(bool offline = false) {
    std::filesystem::create_directories(hosts_.At("registry.example"));
    std::ofstream(hosts_.At("registry.example/hosts.toml")) << "server = \"http://" << registry_.host() << "\"\n";
    RegistryClientOptions options;
    options.hosts_dir = hosts_.path();
    auto client = std::make_shared<RegistryClient>(LocalityRules::Create({}).value(), options);
    return ImageSource({}, std::move(client), {.cache = cache_, .locality = {}, .offline = offline});
  }
  // Resolves and reads every layer.
  absl::StatusOr<ResolvedImage> Fetch(const ImageSource& source,
                                      const std::string& reference = "registry.example/app:1") {
    absl::StatusOr<ResolvedImage> image = Resolve(source, reference);
    if (!image.ok()) return image;
    for (const ResolvedLayer& layer : image->layers) {
      const absl::StatusOr<OpenedLayer> opened = source.OpenLayer(image->reference, layer.blob, nullptr);
      if (!opened.ok()) return opened.status();
      EXPECT_EQ(opened->origin.strategy, "cached");
      EXPECT_EQ(Digest::Of(*testing::ReadToEnd(*opened->reader)), layer.blob.digest);
    }
    return image;
  }

  ServedRegistry registry_;
  TempDir hosts_;
  TempDir cache_dir_;
  std::shared_ptr<BlobCache> cache_ = *BlobCache::Open(cache_dir_.At("cache"), {});
  const BuiltImage built_;
};

TEST_F(ImageCachingTest, SecondTimeADigestAsksNobodyAndATagOnce) {
  ASSERT_OK(Fetch(Source()).status());
  EXPECT_EQ(registry_.requests().size(), 4u) << "manifest, config, two layers";

  const std::string by_digest = absl::StrCat("registry.example/app@", built_.manifest.ToString());
  ASSERT_OK_AND_ASSIGN(const ResolvedImage image, Fetch(Source(), by_digest));
  EXPECT_EQ(image.found_in, cache_->path());
  EXPECT_EQ(registry_.requests().size(), 4u);

  ASSERT_OK(Fetch(Source()).status());
  ASSERT_EQ(registry_.requests().size(), 5u);
  EXPECT_EQ(registry_.requests()[4], "GET /v2/app/manifests/1?ns=registry.example HTTP/1.1");
}

TEST_F(ImageCachingTest, OfflineATagIsWhatItWas) {
  EXPECT_THAT(Resolve(Source(/*offline=*/true), "registry.example/app:1"), StatusIs(absl::StatusCode::kNotFound));
  const ImageSource online = Source();
  ASSERT_OK_AND_ASSIGN(const ResolvedImage image, Fetch(online));
  EXPECT_THAT(Resolve(Source(/*offline=*/true), "registry.example/app:1"), StatusIs(absl::StatusCode::kNotFound))
      << "nobody has said that all of it is there";
  ASSERT_OK(online.KeepName(image));
  const size_t asked = registry_.requests().size();
  ASSERT_OK_AND_ASSIGN(const ResolvedImage kept, Fetch(Source(/*offline=*/true)));
  EXPECT_EQ(kept.manifest.digest, built_.manifest);
  ASSERT_TRUE(kept.named_at.has_value());
  EXPECT_LE(absl::Now() - *kept.named_at, absl::Minutes(1));
  EXPECT_EQ(registry_.requests().size(), asked);
}

TEST_F(ImageCachingTest, ImageWithoutAllItsLayersIsNotNamed) {
  const ImageSource source = Source();
  ASSERT_OK_AND_ASSIGN(const ResolvedImage image, Fetch(source));
  ASSERT_OK(cache_->Drop(image.layers[1].blob.digest));
  ASSERT_OK(source.KeepName(image));
  EXPECT_THAT(cache_->FindImage("registry.example/app:1"), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(ImageCachingTest, DamagedLayerIsDroppedAndFetchedAgain) {
  const ImageSource source = Source();
  ASSERT_OK_AND_ASSIGN(const ResolvedImage image, Fetch(source));
  const Descriptor& blob = image.layers[0].blob;
  EXPECT_TRUE(source.DropLayer({"cached", cache_->path()}, blob));
  EXPECT_FALSE(cache_->Contains(blob.digest, std::nullopt));
  EXPECT_FALSE(source.DropLayer({"cached", "registry.example"}, image.layers[1].blob)) << "just fetched, not from here";
  EXPECT_TRUE(cache_->Contains(image.layers[1].blob.digest, std::nullopt));
  ASSERT_OK(Fetch(source).status());
  EXPECT_EQ(registry_.requests().back(),
            absl::StrCat("GET /v2/app/blobs/", blob.digest.ToString(), "?ns=registry.example HTTP/1.1"));
}

TEST_F(ImageCachingTest, LocalRegistryIsStreamedAndNothingIsKept) {
  const ImageSource source({}, Client(), {.cache = cache_, .locality = {}, .offline = false});
  const Reference reference = ParseReference(registry_.host() + "/app:1").value();
  ASSERT_OK_AND_ASSIGN(const ResolvedImage image, source.Resolve(reference, std::nullopt, nullptr));
  ASSERT_OK_AND_ASSIGN(const OpenedLayer opened, source.OpenLayer(reference, image.layers[0].blob, nullptr));
  EXPECT_EQ(opened.origin.strategy, "stream");
  EXPECT_EQ(opened.origin.source, registry_.host());
  EXPECT_EQ(Digest::Of(*testing::ReadToEnd(*opened.reader)), image.layers[0].blob.digest);
  ASSERT_OK(source.KeepName(image));
  EXPECT_TRUE(cache_->List()->empty());
}

}  // namespace
}  // namespace sluice
