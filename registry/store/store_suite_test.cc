// What every kind of store does with a tree that is in order, while its own program goes on writing it.
#include "registry/store/store_suite.h"

#include <sys/stat.h>

#include <atomic>
#include <filesystem>
#include <optional>
#include <thread>

namespace sluice {
namespace {

using ::sluice::testing::BuiltImage;
using ::sluice::testing::StatusIs;

class StoreTest : public StoreSuite {};
class RequireLinkTest : public StoreSuite {};

TEST_P(StoreTest, SaysWhatItIs) {
  EXPECT_EQ(store_->name(), "test");
  EXPECT_EQ(store_->kind(), GetParam());
  EXPECT_EQ(store_->path(), tree_->path());
}

TEST_P(StoreTest, ResolvesATagAndServesTheImage) {
  const BuiltImage image = Push("a", "app", "1");
  ASSERT_OK_AND_ASSIGN(const Descriptor descriptor, store_->Resolve(Ref("app", "1")));
  EXPECT_EQ(descriptor.digest, image.manifest);
  EXPECT_EQ(descriptor.media_type, "application/vnd.oci.image.manifest.v1+json");
  EXPECT_EQ(descriptor.size, static_cast<int64_t>(image.manifest_json.size()));
  ExpectWhole(*store_, image, "app");
  EXPECT_EQ(store_->BlobPath(image.layers[0].digest, From("app")), tree_->BlobPath("app", image.layers[0].digest));
  EXPECT_OK(store_->OpenBlob(image.layers[0].digest, std::nullopt, From("app"))) << "the size need not be known";
}

TEST_P(StoreTest, WhatIsNotThereIsAMiss) {
  EXPECT_THAT(store_->Resolve(Ref("app", "1")), StatusIs(absl::StatusCode::kNotFound, tree_->path()))
      << "nothing was ever pushed";
  Push("a", "app", "1");
  EXPECT_THAT(store_->Resolve(Ref("app", "2")), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(store_->Resolve(Ref("other", "1")), StatusIs(absl::StatusCode::kNotFound));
  const Digest absent = Digest::Of("absent");
  EXPECT_THAT(store_->Resolve(Ref("app", absent)), StatusIs(absl::StatusCode::kNotFound, absent.Hex()));
  EXPECT_THAT(store_->OpenBlob(absent, 6, From("app")), StatusIs(absl::StatusCode::kNotFound, absent.Hex()));
  EXPECT_THAT(store_->ReadDocument(absent, 6, From("app")), StatusIs(absl::StatusCode::kNotFound, absent.Hex()));
  EXPECT_THAT(store_->OpenBlob(absent, 6, {}), StatusIs(absl::StatusCode::kNotFound, absent.Hex()));
}

TEST_P(StoreTest, ATagThatMoves) {
  const BuiltImage first = Push("first", "app", "1");
  EXPECT_EQ(store_->Resolve(Ref("app", "1")).value().digest, first.manifest);
  const BuiltImage second = Push("second", "app", "1");
  EXPECT_EQ(store_->Resolve(Ref("app", "1")).value().digest, second.manifest);
  ExpectWhole(*store_, second, "app");
  // No name is left for the first one; by digest it is there.
  ASSERT_OK_AND_ASSIGN(const Descriptor by_digest, store_->Resolve(Ref("app", first.manifest)));
  EXPECT_EQ(by_digest.digest, first.manifest);
  EXPECT_EQ(by_digest.media_type, "application/vnd.oci.image.manifest.v1+json");
  ExpectWhole(*store_, first, "app");
}

TEST_P(StoreTest, DeletedAndCollectedWhileItIsRead) {
  const BuiltImage kept = Push("kept", "app", "kept");
  const BuiltImage image = Push("a", "app", "1");
  ASSERT_OK_AND_ASSIGN(const auto reader, store_->OpenBlob(image.layers[0].digest, image.layers[0].size, From("app")));
  std::vector<char> head(100);
  ASSERT_OK_AND_ASSIGN(const size_t count, reader->Read(absl::MakeSpan(head)));
  tree_->Delete("app", "1");
  EXPECT_FALSE(std::filesystem::exists(tree_->BlobPath("app", image.layers[0].digest)));
  EXPECT_EQ(Digest::Of(std::string(head.data(), count) + ReadRest(*reader)), image.layers[0].digest);

  EXPECT_THAT(store_->Resolve(Ref("app", "1")), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(store_->Resolve(Ref("app", image.manifest)), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(store_->OpenBlob(image.layers[0].digest, image.layers[0].size, From("app")),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_EQ(store_->Resolve(Ref("app", "kept")).value().digest, kept.manifest);
  ExpectWhole(*store_, kept, "app");
}

TEST_P(StoreTest, NestedRepositoryNames) {
  std::vector<std::string> names = {"a", "a/b/c", "a/b", "a.b/c-d/e_f", "blobs/a"};
  if (has_repositories()) names.push_back("a__b");  // skopeo does not take it for a name in a layout
  std::vector<BuiltImage> images;
  for (size_t i = 0; i < names.size(); ++i) images.push_back(Push(absl::StrCat("image", i), names[i], "1"));
  for (size_t i = 0; i < names.size(); ++i) {
    EXPECT_EQ(store_->Resolve(Ref(names[i], "1")).value().digest, images[i].manifest) << names[i];
    ExpectWhole(*store_, images[i], names[i]);
  }
  EXPECT_THAT(store_->Resolve(Ref("a.b", "1")), StatusIs(absl::StatusCode::kNotFound)) << "only leads to a repository";
}

TEST_P(StoreTest, AnIndexResolvesToItself) {
  const BuiltImage amd64 = source_.WriteImage(Spec("amd64"));
  testing::ImageSpec spec = Spec("arm64");
  spec.architecture = "arm64";
  const BuiltImage arm64 = source_.WriteImage(spec);
  const Digest index = source_.AddIndex({amd64, arm64}, "both");
  tree_->Push(source_.directory(), "both", "app", "1");
  ASSERT_OK_AND_ASSIGN(const Descriptor descriptor, store_->Resolve(Ref("app", "1")));
  EXPECT_EQ(descriptor.digest, index);
  EXPECT_TRUE(IsIndex(descriptor));
  EXPECT_EQ(store_->ReadDocument(index, kMaxManifestBytes, From("app")).value(), ReadFile(source_.BlobPath(index)));
  ExpectWhole(*store_, amd64, "app");
  ExpectWhole(*store_, arm64, "app");
}

TEST_P(StoreTest, OneBlobInTwoRepositories) {
  const BuiltImage image = Push("a", "one", "1");
  tree_->Push(source_.directory(), "a", "two", "1");
  const Digest layer = image.layers[0].digest;
  struct stat one = {}, two = {};
  ASSERT_EQ(stat(tree_->BlobPath("one", layer).c_str(), &one), 0);
  ASSERT_EQ(stat(tree_->BlobPath("two", layer).c_str(), &two), 0);
  EXPECT_EQ(one.st_ino, two.st_ino) << "every kind keeps it once";
  ExpectWhole(*store_, image, "one");
  ExpectWhole(*store_, image, "two");
}

TEST_P(StoreTest, ADigestIsFoundWhoeverAsks) {
  const BuiltImage image = Push("a", "team/one", "1");
  ExpectWhole(*store_, image, "team/other");
  EXPECT_EQ(store_->Resolve(Ref("library/app", image.manifest, "docker.io")).value().digest, image.manifest);
  const Digest layer = image.layers[0].digest;
  for (const std::vector<Endpoint>& origins :
       {std::vector<Endpoint>(), From("team/one", "other.example"), From("team"), From("not a repository")}) {
    EXPECT_OK(store_->OpenBlob(layer, image.layers[0].size, origins));
    EXPECT_OK(store_->ReadDocument(image.config, 100'000, origins));
    EXPECT_EQ(store_->BlobPath(layer, origins), tree_->BlobPath("team/one", layer));
  }
}

TEST_P(StoreTest, TagsOfItsOwnHostsAlone) {
  const auto store = tree_->Open({kHost, "localhost:5000"});
  EXPECT_TRUE(store->OwnsTagsOf(kHost));
  EXPECT_TRUE(store->OwnsTagsOf("localhost:5000"));
  EXPECT_FALSE(store->OwnsTagsOf("localhost"));
  EXPECT_FALSE(store->OwnsTagsOf("172.30.0.1"));
  EXPECT_FALSE(store->OwnsTagsOf("docker.io"));
  EXPECT_FALSE(tree_->Open({})->OwnsTagsOf(kHost));
}

TEST_P(StoreTest, TwoHostsOverOneStore) {
  const BuiltImage image = Push("a", "app", "1");
  const auto store = tree_->Open({kHost, "localhost:5000"});
  EXPECT_EQ(store->Resolve(Ref("app", "1")).value().digest, image.manifest);
  const absl::StatusOr<Descriptor> by_other_name = store->Resolve(Ref("app", "1", "localhost:5000"));
  if (has_repositories()) {  // one registry with two names
    ASSERT_OK(by_other_name);
    EXPECT_EQ(by_other_name->digest, image.manifest);
  } else {  // a layout writes the host down
    EXPECT_THAT(by_other_name, StatusIs(absl::StatusCode::kNotFound));
  }
}

TEST_P(RequireLinkTest, ARepositorysOwnIsServed) {
  const BuiltImage image = Push("a", "team/one", "1");
  Push("b", "team/other", "1");
  const auto strict = tree_->Open({kHost}, /*require_link=*/true);
  EXPECT_EQ(strict->Resolve(Ref("team/one", "1")).value().digest, image.manifest);
  EXPECT_EQ(strict->Resolve(Ref("team/one", image.manifest)).value().digest, image.manifest);
  ExpectWhole(*strict, image, "team/one");
  const std::vector<Endpoint> several = {{"docker.io", "library/app"}, {kHost, "team/other"}, {kHost, "team/one"}};
  EXPECT_OK(strict->OpenBlob(image.layers[0].digest, image.layers[0].size, several));
}

TEST_P(RequireLinkTest, NothingElseIs) {
  const BuiltImage image = Push("a", "team/one", "1");
  Push("b", "team/other", "1");
  const auto strict = tree_->Open({kHost}, /*require_link=*/true);
  for (const std::vector<Endpoint>& origins :
       {std::vector<Endpoint>(), From("team/other"), From("team"), From("team/absent"), From("team/other/../one"),
        From("team/one", "other.example:5000"), From("team/one", "172.30.0.1")}) {
    const std::string what = origins.empty() ? "no origin" : absl::StrCat(origins[0].host, "/", origins[0].repository);
    for (const Digest& digest : {image.manifest, image.config, image.layers[0].digest}) {
      EXPECT_THAT(strict->OpenBlob(digest, std::nullopt, origins), StatusIs(absl::StatusCode::kNotFound)) << what;
      EXPECT_THAT(strict->ReadDocument(digest, 100'000, origins), StatusIs(absl::StatusCode::kNotFound)) << what;
      // A refusal must not look like something wrong with the file, which another repository may link.
      EXPECT_FALSE(std::filesystem::exists(strict->BlobPath(digest, origins))) << what;
    }
  }
  EXPECT_THAT(strict->Resolve(Ref("team/other", image.manifest)), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(strict->Resolve(Ref("team/one", image.manifest, "docker.io")), StatusIs(absl::StatusCode::kNotFound));
}

TEST_P(StoreTest, ATagIsRightWhilePushesMoveIt) {
  const BuiltImage even = Push("even", "app", "1");
  const BuiltImage odd = source_.AddImage(Spec("odd"), "odd");
  std::atomic<bool> stop = false;
  std::thread pushes([&] {
    for (int i = 0; i < 8; ++i) tree_->Push(source_.directory(), i % 2 == 0 ? "odd" : "even", "app", "1");
    stop = true;
  });
  int hits = 0;
  while (!stop) {
    const absl::StatusOr<Descriptor> descriptor = store_->Resolve(Ref("app", "1"));
    if (!descriptor.ok()) {
      EXPECT_TRUE(absl::IsInvalidArgument(descriptor.status()) || absl::IsNotFound(descriptor.status()))
          << "torn, or between two names: " << descriptor.status();
      continue;
    }
    ++hits;
    EXPECT_TRUE(descriptor->digest == even.manifest || descriptor->digest == odd.manifest);
    ExpectWhole(*store_, descriptor->digest == even.manifest ? even : odd, "app");
  }
  pushes.join();
  EXPECT_GT(hits, 0);
  EXPECT_EQ(store_->Resolve(Ref("app", "1")).value().digest, even.manifest);
}

TEST_P(StoreTest, TheDirectoryMayComeLater) {
  const BuiltImage image = Push("a", "app", "1");
  const std::string away = dir_.At("away");
  std::filesystem::rename(tree_->path(), away);
  const auto store = tree_->Open({kHost});
  EXPECT_THAT(store->Resolve(Ref("app", "1")), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(store->OpenBlob(image.layers[0].digest, std::nullopt, {}), StatusIs(absl::StatusCode::kNotFound));
  std::filesystem::rename(away, tree_->path());
  EXPECT_EQ(store->Resolve(Ref("app", "1")).value().digest, image.manifest);
  EXPECT_OK(store->OpenBlob(image.layers[0].digest, std::nullopt, {}));
}

INSTANTIATE_TEST_SUITE_P(Kinds, StoreTest, ::testing::Values("oci-layout", "zot", "distribution"), KindName);
INSTANTIATE_TEST_SUITE_P(Kinds, RequireLinkTest, ::testing::Values("zot", "distribution"), KindName);

}  // namespace
}  // namespace sluice
