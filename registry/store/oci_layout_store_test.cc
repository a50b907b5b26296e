#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "registry/image_config.h"
#include "registry/manifest.h"
#include "registry/store/store.h"
#include "tests/testing/oci_layout_builder.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/tar_builder.h"
#include "tests/testing/temp_dir.h"

namespace sluice {
namespace {

using ::sluice::testing::BuiltImage;
using ::sluice::testing::ImageSpec;
using ::sluice::testing::OciLayoutBuilder;
using ::sluice::testing::StatusIs;
using ::sluice::testing::TarBuilder;
using ::sluice::testing::TempDir;

Reference Ref(const std::string& text) { return ParseReference(text).value(); }

ImageSpec OneFile(const std::string& name) {
  ImageSpec spec;
  spec.layers = {{.tar = TarBuilder().File(name, name).Build()}};
  return spec;
}

void Overwrite(const std::string& path, const std::string& content) { std::ofstream(path, std::ios::trunc) << content; }

std::string ReadAll(ByteReader& reader) {
  std::string all;
  std::vector<char> buffer(1000);
  while (true) {
    const size_t count = reader.Read(absl::MakeSpan(buffer)).value();
    if (count == 0) return all;
    all.append(buffer.data(), count);
  }
}

class OciLayoutStoreTest : public ::testing::Test {
 protected:
  std::unique_ptr<Store> Owning(std::vector<std::string> hosts) const {
    return MakeOciLayoutStore("test", dir_.path(), std::move(hosts));
  }
  std::unique_ptr<Store> OwningAll() const { return MakeOciLayoutStore("test", dir_.path(), {}, /*owns_all=*/true); }
  Digest Resolved(const Store& store, const std::string& reference) const {
    const absl::StatusOr<Descriptor> descriptor = store.Resolve(Ref(reference));
    EXPECT_OK(descriptor) << reference;
    return descriptor.ok() ? descriptor->digest : Digest();
  }

  // As go-containerregistry's AppendDescriptor: whatever has the name already stays.
  void Append(const BuiltImage& image, const std::string& ref_name) const {
    std::ifstream file(layout_.IndexPath());
    nlohmann::json index = nlohmann::json::parse(file);
    nlohmann::json entry = image.descriptor;
    entry["annotations"]["org.opencontainers.image.ref.name"] = ref_name;
    index["manifests"].push_back(entry);
    Overwrite(layout_.IndexPath(), index.dump());
  }

  TempDir dir_;
  OciLayoutBuilder layout_{dir_.path()};
};

TEST_F(OciLayoutStoreTest, SaysWhatItIs) {
  const auto store = Owning({"172.30.0.1:5000", "localhost:5000"});
  EXPECT_EQ(store->name(), "test");
  EXPECT_EQ(store->kind(), "oci-layout");
  EXPECT_EQ(store->path(), dir_.path());
  EXPECT_TRUE(store->OwnsTagsOf("localhost:5000"));
  EXPECT_FALSE(store->OwnsTagsOf("localhost"));
  EXPECT_TRUE(OwningAll()->OwnsTagsOf("docker.io"));
}

TEST_F(OciLayoutStoreTest, ResolvesFullReferencesAndBareTags) {
  const BuiltImage full = layout_.AddImage(OneFile("full"), "172.30.0.1:5000/app:1");
  const BuiltImage bare = layout_.AddImage(OneFile("bare"), "2");
  const BuiltImage library = layout_.AddImage(OneFile("library"), "docker.io/library/alpine:3");
  const BuiltImage shortened = layout_.AddImage(OneFile("shortened"), "debian:12");
  const auto store = OwningAll();
  EXPECT_EQ(Resolved(*store, "172.30.0.1:5000/app:1"), full.manifest);
  EXPECT_EQ(Resolved(*store, "172.30.0.1:5000/app:2"), bare.manifest);
  EXPECT_EQ(Resolved(*store, "alpine:3"), library.manifest);
  EXPECT_EQ(Resolved(*store, "debian:12"), shortened.manifest);
  EXPECT_THAT(store->Resolve(Ref("172.30.0.2:5000/app:1")),
              StatusIs(absl::StatusCode::kNotFound, "it has 172.30.0.1:5000/app:1, 2, docker.io/library/alpine:3"));
  EXPECT_THAT(store->Resolve(Ref("alpine:1")), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(OciLayoutStoreTest, AFullReferenceGoesBeforeABareTagInAnyOrder) {
  const BuiltImage first = layout_.AddImage(OneFile("a"), "example.com/app:1");
  layout_.AddImage(OneFile("b"), "1");
  layout_.AddImage(OneFile("c"), "2");
  const BuiltImage last = layout_.AddImage(OneFile("d"), "example.com/app:2");
  EXPECT_EQ(Resolved(*OwningAll(), "example.com/app:1"), first.manifest);
  EXPECT_EQ(Resolved(*OwningAll(), "example.com/app:2"), last.manifest);
}

TEST_F(OciLayoutStoreTest, AnEntryWithContainerdsNameIsThatImageAlone) {
  BuiltImage image = layout_.WriteImage(OneFile("a"));
  image.descriptor["annotations"] = {{"io.containerd.image.name", "example.com/app:1"}};
  layout_.AddDescriptor(image.descriptor, "1");
  EXPECT_EQ(Resolved(*OwningAll(), "example.com/app:1"), image.manifest);
  EXPECT_THAT(OwningAll()->Resolve(Ref("example.com/other:1")), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(OciLayoutStoreTest, OfTheSameNameTwiceTheLastCounts) {
  const BuiltImage old = layout_.WriteImage(OneFile("old"));
  const BuiltImage moved = layout_.WriteImage(OneFile("moved"));
  for (const BuiltImage& image : {old, moved}) {
    Append(image, "example.com/app:1");
    Append(image, "2");
  }
  EXPECT_EQ(Resolved(*Owning({"example.com"}), "example.com/app:1"), moved.manifest);
  EXPECT_EQ(Resolved(*OwningAll(), "example.com/app:2"), moved.manifest);
  // A registry's store leaves it to the registry: the two may be two repositories.
  EXPECT_THAT(Owning({"example.com"})->Resolve(Ref("example.com/app:2")),
              StatusIs(absl::StatusCode::kInvalidArgument, "several images \"2\""));
}

TEST_F(OciLayoutStoreTest, TheSameBareTagOfTheSameImageIsNotAmbiguous) {
  const BuiltImage image = layout_.WriteImage(OneFile("a"));
  Append(image, "1");
  Append(image, "1");
  EXPECT_EQ(Resolved(*Owning({"example.com"}), "example.com/app:1"), image.manifest);
}

// Two registries push into one layout; the tag moves between two calls. Never the other's tree.
TEST_F(OciLayoutStoreTest, TwoRegistriesOneLayout) {
  const BuiltImage mine = layout_.AddImage(OneFile("mine"), "172.30.0.1:5000/app:1");
  const BuiltImage theirs = layout_.AddImage(OneFile("theirs"), "172.30.0.2:5000/app:1");
  const auto my_store = Owning({"172.30.0.1:5000"});
  const auto their_store = Owning({"172.30.0.2:5000"});
  EXPECT_FALSE(my_store->OwnsTagsOf("172.30.0.2:5000"));
  EXPECT_EQ(Resolved(*my_store, "172.30.0.1:5000/app:1"), mine.manifest);
  EXPECT_EQ(Resolved(*their_store, "172.30.0.2:5000/app:1"), theirs.manifest);

  const BuiltImage moved = layout_.AddImage(OneFile("moved"), "172.30.0.1:5000/app:1");
  EXPECT_EQ(Resolved(*my_store, "172.30.0.1:5000/app:1"), moved.manifest);
  EXPECT_EQ(Resolved(*their_store, "172.30.0.2:5000/app:1"), theirs.manifest);
  // By digest each of them has all.
  EXPECT_EQ(Resolved(*my_store, "172.30.0.2:5000/app@" + theirs.manifest.ToString()), theirs.manifest);
  EXPECT_EQ(Resolved(*my_store, "172.30.0.1:5000/app:1@" + mine.manifest.ToString()), mine.manifest);
}

TEST_F(OciLayoutStoreTest, DigestsNeedNoIndexEntry) {
  ImageSpec docker = OneFile("docker");
  docker.docker = true;
  const BuiltImage image = layout_.WriteImage(docker);
  ASSERT_EQ(unlink(layout_.IndexPath().c_str()), 0);
  ASSERT_OK_AND_ASSIGN(const Descriptor descriptor,
                       Owning({})->Resolve(Ref("example.com/app@" + image.manifest.ToString())));
  EXPECT_EQ(descriptor.digest, image.manifest);
  EXPECT_EQ(descriptor.media_type, "application/vnd.docker.distribution.manifest.v2+json");
  EXPECT_EQ(descriptor.size, static_cast<int64_t>(image.manifest_json.size()));
}

TEST_F(OciLayoutStoreTest, NestedIndexesResolveToTheIndex) {
  const BuiltImage image = layout_.WriteImage(OneFile("a"));
  const Digest index = layout_.AddIndex({image}, "1");
  ASSERT_OK_AND_ASSIGN(const Descriptor descriptor, OwningAll()->Resolve(Ref("app:1")));
  EXPECT_EQ(descriptor.digest, index);
  EXPECT_TRUE(IsIndex(descriptor));
}

TEST_F(OciLayoutStoreTest, ReadsDocumentsVerified) {
  const BuiltImage image = layout_.AddImage(OneFile("a"), "1");
  const auto store = OwningAll();
  EXPECT_EQ(store->ReadDocument(image.config, kMaxConfigBytes, {}).value(), image.config_json);
  EXPECT_THAT(store->ReadDocument(image.config, 10, {}),
              StatusIs(absl::StatusCode::kInvalidArgument, "larger than 10"));
  EXPECT_THAT(store->ReadDocument(Digest::Of("absent"), 10, {}), StatusIs(absl::StatusCode::kNotFound));
  Overwrite(layout_.BlobPath(image.config), "{}");
  EXPECT_THAT(store->ReadDocument(image.config, kMaxConfigBytes, {}),
              StatusIs(absl::StatusCode::kDataLoss, Digest::Of("{}").ToString()));
}

TEST_F(OciLayoutStoreTest, OpensBlobsOfTheRightSize) {
  const Digest blob = layout_.WriteBlob(std::string(5000, 'x'));
  const auto store = Owning({});
  ASSERT_OK_AND_ASSIGN(const std::unique_ptr<ByteReader> reader, store->OpenBlob(blob, 5000, {}));
  EXPECT_EQ(ReadAll(*reader), std::string(5000, 'x'));
  EXPECT_OK(store->OpenBlob(blob, std::nullopt, {}));
  EXPECT_THAT(store->OpenBlob(blob, 4999, {}), StatusIs(absl::StatusCode::kDataLoss, "5000 bytes instead of 4999"));
  // zot's placeholder for a deduplicated blob.
  Overwrite(layout_.BlobPath(blob), "");
  EXPECT_THAT(store->OpenBlob(blob, 5000, {}), StatusIs(absl::StatusCode::kNotFound, "empty"));
}

TEST_F(OciLayoutStoreTest, ALayoutThatIsNotThereYetIsAMiss) {
  const auto store = MakeOciLayoutStore("later", dir_.At("later"), {"example.com"});
  EXPECT_THAT(store->Resolve(Ref("example.com/app:1")), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(store->OpenBlob(Digest::Of("x"), 1, {}), StatusIs(absl::StatusCode::kNotFound));
  OciLayoutBuilder later(dir_.MakeDirectory("later"));
  const BuiltImage image = later.AddImage(OneFile("a"), "1");
  EXPECT_EQ(Resolved(*store, "example.com/app:1"), image.manifest);
}

TEST_F(OciLayoutStoreTest, AnIndexThatStaysTornIsNamed) {
  const std::string deep = "{\"manifests\":" + std::string(1'000'000, '[');
  for (const std::string& content :
       {std::string(), std::string("{"), std::string("[]"), std::string("\x80\xff"), std::string("{\"manifests\":7}"),
        deep, std::string("{\"manifests\":[{\"digest\":\"sha256:../../../etc/passwd\",\"size\":1}]}"),
        std::string(R"({"config":{"digest":")") + Digest().ToString() + R"(","size":1},"layers":[]})"}) {
    Overwrite(layout_.IndexPath(), content);
    EXPECT_THAT(OwningAll()->Resolve(Ref("app:1")), StatusIs(absl::StatusCode::kInvalidArgument, layout_.IndexPath()))
        << content.substr(0, 50);
  }
}

TEST_F(OciLayoutStoreTest, AHugeIndexIsNotRead) {
  ASSERT_EQ(truncate(layout_.IndexPath().c_str(), int64_t{1} << 40), 0);
  EXPECT_THAT(OwningAll()->Resolve(Ref("app:1")), StatusIs(absl::StatusCode::kInvalidArgument, "larger than"));
}

TEST_F(OciLayoutStoreTest, HostileFilesNeverBlockAndNeverServe) {
  const std::string secret = dir_.At("secret");
  Overwrite(secret, "secret");
  const Digest digest = Digest::Of("secret");
  const auto store = OwningAll();
  const auto expect_miss = [&](const char* what) {
    EXPECT_THAT(store->OpenBlob(digest, std::nullopt, {}), StatusIs(absl::StatusCode::kNotFound)) << what;
    EXPECT_THAT(store->ReadDocument(digest, 100, {}), StatusIs(absl::StatusCode::kNotFound)) << what;
  };
  const std::string blob = layout_.BlobPath(digest);
  ASSERT_EQ(mkfifo(blob.c_str(), 0600), 0);
  expect_miss("fifo");
  ASSERT_EQ(unlink(blob.c_str()), 0);
  ASSERT_EQ(mkdir(blob.c_str(), 0700), 0);
  expect_miss("directory");
  ASSERT_EQ(rmdir(blob.c_str()), 0);
  ASSERT_EQ(symlink(secret.c_str(), blob.c_str()), 0);
  expect_miss("link to a file");
  ASSERT_EQ(unlink(blob.c_str()), 0);

  // The same games one level up.
  Overwrite(blob, "secret");
  EXPECT_OK(store->OpenBlob(digest, 6, {}));
  std::filesystem::rename(dir_.At("blobs"), dir_.At("elsewhere"));
  ASSERT_EQ(symlink("elsewhere", dir_.At("blobs").c_str()), 0);
  expect_miss("blobs is a link");
  ASSERT_EQ(unlink(dir_.At("blobs").c_str()), 0);
  Overwrite(dir_.At("blobs"), "");
  expect_miss("blobs is a file");

  ASSERT_EQ(unlink(layout_.IndexPath().c_str()), 0);
  ASSERT_EQ(mkfifo(layout_.IndexPath().c_str(), 0600), 0);
  EXPECT_THAT(store->Resolve(Ref("app:1")), StatusIs(absl::StatusCode::kNotFound, "not a regular file"));
}

TEST_F(OciLayoutStoreTest, AManifestThatIsNoneIsAnErrorByPath) {
  const Digest blob = layout_.WriteBlob("not a manifest");
  EXPECT_THAT(OwningAll()->Resolve(Ref("app@" + blob.ToString())),
              StatusIs(absl::StatusCode::kInvalidArgument, blob.Hex() + ": manifest: not JSON"));
}

// A writer that truncates and rewrites index.json all the time: an answer is the right one, or that it is torn.
TEST_F(OciLayoutStoreTest, WritersInPlaceNeverGiveAWrongAnswer) {
  const BuiltImage image = layout_.AddImage(OneFile("a"), "1");
  std::atomic<bool> stop = false;
  std::thread writer([&] {
    for (int i = 0; !stop; ++i) layout_.AddImage(OneFile("other" + std::to_string(i % 5)), "2");
  });
  int hits = 0;
  for (int i = 0; i < 200; ++i) {
    const absl::StatusOr<Descriptor> descriptor = OwningAll()->Resolve(Ref("app:1"));
    if (descriptor.ok()) {
      EXPECT_EQ(descriptor->digest, image.manifest);
      ++hits;
    } else {
      EXPECT_THAT(descriptor, StatusIs(absl::StatusCode::kInvalidArgument, layout_.IndexPath()));
    }
  }
  stop = true;
  writer.join();
  EXPECT_GT(hits, 0);
}

}  // namespace
}  // namespace sluice
