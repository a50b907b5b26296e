// What is zot's alone; the rest is in the shared suite.
#include <sys/inotify.h>
#include <unistd.h>

#include <filesystem>
#include <optional>
#include <string>

#include "nlohmann/json.hpp"
#include "registry/store/store_suite.h"

namespace sluice {
namespace {

using ::sluice::testing::BuiltImage;
using ::sluice::testing::StatusIs;
namespace fs = std::filesystem;

class ZotStoreTest : public StoreSuite {
 protected:
  // Two copies that are not one inode, as without dedupe.
  BuiltImage PushTwice() {
    const BuiltImage image = Push("a", "one", "1");
    fs::copy(tree_->path() + "/one", tree_->path() + "/two", fs::copy_options::recursive);
    return image;
  }
};

TEST_P(ZotStoreTest, TheRepositoriesAreNotWalkedWhereTheyNeedNotBe) {
  const BuiltImage image = Push("a", "team/app", "1");
  const UniqueFd events(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  ASSERT_GE(inotify_add_watch(events.get(), tree_->path().c_str(), IN_OPEN), 0);
  char buffer[4096];
  ExpectWhole(*store_, image, "team/app");
  EXPECT_EQ(store_->Resolve(Ref("team/app", "1")).value().digest, image.manifest);
  store_->BlobPath(image.layers[0].digest, From("team/app"));
  EXPECT_EQ(read(events.get(), buffer, sizeof(buffer)), -1) << "the root was listed";
  EXPECT_EQ(errno, EAGAIN);
  EXPECT_OK(store_->OpenBlob(image.layers[0].digest, std::nullopt, From("elsewhere")));
  EXPECT_GT(read(events.get(), buffer, sizeof(buffer)), 0) << "the witness sees nothing";
}

TEST_P(ZotStoreTest, AnotherRepositorysCopyHelps) {
  const BuiltImage image = PushTwice();
  const testing::BuiltLayer& layer = image.layers[0];
  fs::resize_file(tree_->BlobPath("one", layer.digest), 0);  // the placeholder of a deduplicated blob
  Overwrite(tree_->BlobPath("one", image.config), "{}");
  ASSERT_EQ(unlink(tree_->BlobPath("one", image.manifest).c_str()), 0);
  ExpectWhole(*store_, image, "one");
  EXPECT_EQ(store_->BlobPath(layer.digest, From("one")), tree_->BlobPath("two", layer.digest));
  EXPECT_EQ(store_->Resolve(Ref("one", "1")).value().digest, image.manifest);

  // A repository's own copy is all that require_link leaves.
  const auto strict = tree_->Open({kHost}, /*require_link=*/true);
  EXPECT_THAT(strict->OpenBlob(layer.digest, layer.size, From("one")), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(strict->ReadDocument(image.config, 100'000, From("one")), StatusIs(absl::StatusCode::kDataLoss));
  ExpectWhole(*strict, image, "two");
}

TEST_P(ZotStoreTest, OfSeveralDamagedCopiesTheDamageIsReported) {
  const BuiltImage image = PushTwice();
  Overwrite(tree_->BlobPath("two", image.config), "{}");
  ASSERT_EQ(unlink(tree_->BlobPath("one", image.config).c_str()), 0);
  EXPECT_THAT(store_->ReadDocument(image.config, 100'000, From("one")),
              StatusIs(absl::StatusCode::kDataLoss, tree_->BlobPath("two", image.config)));
}

TEST_P(ZotStoreTest, WhatIsBeingUploadedIsNotThere) {
  const BuiltImage image = Push("a", "app", "1");
  const Digest layer = image.layers[0].digest;
  for (const char* directory : {"/app/.uploads", "/.sync/app", "/_trivy"}) {
    const std::string blobs = absl::StrCat(tree_->path(), directory, "/blobs/sha256");
    fs::create_directories(blobs);
    fs::copy_file(tree_->BlobPath("app", layer), absl::StrCat(blobs, "/", layer.Hex()));
  }
  ASSERT_EQ(unlink(tree_->BlobPath("app", layer).c_str()), 0);
  fs::copy_file(tree_->TagPath("app", "1"), tree_->path() + "/.sync/app/index.json");
  EXPECT_THAT(store_->Resolve(Ref(".sync/app", "1")), StatusIs(absl::StatusCode::kNotFound));
  for (const std::vector<Endpoint>& origins : {From("app"), From("app/.uploads"), From("_trivy"), From(".sync/app")}) {
    EXPECT_THAT(store_->OpenBlob(layer, std::nullopt, origins), StatusIs(absl::StatusCode::kNotFound));
  }
}

TEST_P(ZotStoreTest, OnlyABareTagOfTheRepositoryIsATag) {
  const BuiltImage first = Push("first", "app", "1");
  const BuiltImage second = Push("second", "app", "2");
  nlohmann::json index = nlohmann::json::parse(ReadFile(tree_->TagPath("app", "1")));
  // Of the same tag twice the last counts; a full name is not zot's.
  nlohmann::json again = index["manifests"][1];
  again["annotations"]["org.opencontainers.image.ref.name"] = "1";
  index["manifests"].push_back(again);
  again["annotations"]["org.opencontainers.image.ref.name"] = absl::StrCat(kHost, "/app:3");
  index["manifests"].push_back(again);
  Overwrite(tree_->TagPath("app", "1"), index.dump());
  EXPECT_EQ(store_->Resolve(Ref("app", "1")).value().digest, second.manifest);
  EXPECT_THAT(store_->Resolve(Ref("app", "3")),
              StatusIs(absl::StatusCode::kNotFound, "no tag 3 in index.json: it has 1, 2"));
}

INSTANTIATE_TEST_SUITE_P(Kinds, ZotStoreTest, ::testing::Values("zot"), KindName);

}  // namespace
}  // namespace sluice
