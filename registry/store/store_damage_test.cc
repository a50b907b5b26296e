// What every kind of store does with files and names that are not what they should be.
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <optional>

#include "registry/store/store_suite.h"

namespace sluice {
namespace {

using ::sluice::testing::BuiltImage;
using ::sluice::testing::StatusIs;
namespace fs = std::filesystem;

class StoreDamageTest : public StoreSuite {
 protected:
  void SetUp() override {
    image_ = Push("a", "app", "1");
    layer_ = image_.layers[0];
    blob_path_ = tree_->BlobPath("app", layer_.digest);
    tag_path_ = tree_->TagPath("app", "1");
  }

  void ExpectNoBlob(absl::string_view cause) const {
    EXPECT_THAT(store_->OpenBlob(layer_.digest, layer_.size, From("app")),
                StatusIs(absl::StatusCode::kNotFound, std::string(cause)));
    EXPECT_THAT(store_->OpenBlob(layer_.digest, std::nullopt, From("app")), StatusIs(absl::StatusCode::kNotFound))
        << cause;
    EXPECT_THAT(store_->ReadDocument(layer_.digest, 100'000, From("app")), StatusIs(absl::StatusCode::kNotFound))
        << cause;
  }

  BuiltImage image_;
  testing::BuiltLayer layer_;
  std::string blob_path_;
  std::string tag_path_;
};

TEST_P(StoreDamageTest, ATagBeingWrittenIsReadAgain) {
  const std::string whole = ReadFile(tag_path_);
  for (const std::string& torn : {std::string(), whole.substr(0, whole.size() / 2)}) {
    EXPECT_TRUE(IsReadAgain(tag_path_, torn, [&] {
      const absl::StatusOr<Descriptor> descriptor = store_->Resolve(Ref("app", "1"));
      return descriptor.ok() && descriptor->digest == image_.manifest;
    })) << torn.size();
  }
}

TEST_P(StoreDamageTest, ATagThatStaysTornIsNamed) {
  const std::string whole = ReadFile(tag_path_);
  for (const std::string& torn : {std::string(), whole.substr(0, whole.size() / 2), std::string("\x80\xff"),
                                  std::string("sha256:../../../../../../etc/passwd"), std::string(5000, 'a')}) {
    Overwrite(tag_path_, torn);
    EXPECT_THAT(store_->Resolve(Ref("app", "1")), StatusIs(absl::StatusCode::kInvalidArgument, tag_path_))
        << torn.size();
  }
}

TEST_P(StoreDamageTest, ADocumentBeingWrittenIsReadAgain) {
  for (const size_t written : {0, 10}) {
    const std::string path = tree_->BlobPath("app", image_.manifest);
    EXPECT_TRUE(IsReadAgain(path, image_.manifest_json.substr(0, written), [&] {
      const absl::StatusOr<std::string> read = store_->ReadDocument(image_.manifest, kMaxManifestBytes, From("app"));
      return read.ok() && *read == image_.manifest_json;
    })) << written;
  }
}

TEST_P(StoreDamageTest, ACorruptDocumentIsNamedWithItsDigests) {
  const std::string path = tree_->BlobPath("app", image_.config);
  Overwrite(path, "{}");
  const absl::Status status = store_->ReadDocument(image_.config, 100'000, From("app")).status();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kDataLoss, path));
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kDataLoss, image_.config.ToString()));
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kDataLoss, Digest::Of("{}").ToString()));

  Overwrite(tree_->BlobPath("app", image_.manifest), "{}");
  EXPECT_THAT(store_->Resolve(Ref("app", image_.manifest)), StatusIs(absl::StatusCode::kDataLoss));
}

TEST_P(StoreDamageTest, ADocumentThatIsTooLargeIsNotRead) {
  const auto size = static_cast<int64_t>(image_.config_json.size());
  EXPECT_OK(store_->ReadDocument(image_.config, size, From("app")));
  EXPECT_THAT(store_->ReadDocument(image_.config, size - 1, From("app")),
              StatusIs(absl::StatusCode::kInvalidArgument, "larger than"));
}

TEST_P(StoreDamageTest, ABlobOfTheWrongSizeIsNamed) {
  fs::resize_file(blob_path_, static_cast<uintmax_t>(layer_.size - 1));
  EXPECT_THAT(store_->OpenBlob(layer_.digest, layer_.size, From("app")),
              StatusIs(absl::StatusCode::kDataLoss,
                       absl::StrCat(blob_path_, ": ", layer_.size - 1, " bytes instead of ", layer_.size)));
  fs::resize_file(blob_path_, static_cast<uintmax_t>(layer_.size + 1));
  EXPECT_THAT(store_->OpenBlob(layer_.digest, layer_.size, From("app")),
              StatusIs(absl::StatusCode::kDataLoss,
                       absl::StrCat(blob_path_, ": ", layer_.size + 1, " bytes instead of ", layer_.size)));
  EXPECT_EQ(store_->BlobPath(layer_.digest, From("app")), blob_path_) << "for the message";
}

TEST_P(StoreDamageTest, APlaceholderIsAMiss) {
  fs::resize_file(blob_path_, 0);
  EXPECT_THAT(store_->OpenBlob(layer_.digest, layer_.size, From("app")),
              StatusIs(absl::StatusCode::kNotFound, blob_path_ + ": empty"));
  EXPECT_THAT(store_->OpenBlob(layer_.digest, std::nullopt, From("app")),
              StatusIs(absl::StatusCode::kNotFound, blob_path_ + ": empty"));
}

TEST_P(StoreDamageTest, WhatIsNoFileIsAMiss) {
  const std::string secret = dir_.At("secret");
  fs::copy_file(blob_path_, secret);
  ASSERT_EQ(unlink(blob_path_.c_str()), 0);
  ExpectNoBlob(blob_path_);
  ASSERT_EQ(mkfifo(blob_path_.c_str(), 0600), 0);
  ExpectNoBlob("not a regular file");
  ASSERT_EQ(unlink(blob_path_.c_str()), 0);
  ASSERT_EQ(mkdir(blob_path_.c_str(), 0700), 0);
  ExpectNoBlob("not a regular file");
  ASSERT_EQ(rmdir(blob_path_.c_str()), 0);
  ASSERT_EQ(symlink("/dev/zero", blob_path_.c_str()), 0);
  ExpectNoBlob("not a regular file");
  ASSERT_EQ(unlink(blob_path_.c_str()), 0);
  ASSERT_EQ(symlink(secret.c_str(), blob_path_.c_str()), 0);
  ExpectNoBlob("not a regular file");
}

TEST_P(StoreDamageTest, NoDirectoryInsideIsALink) {
  // Each directory above the blob, and above the tag, becomes a link to itself elsewhere.
  for (const std::string& file : {blob_path_, tag_path_}) {
    for (fs::path directory = fs::path(file).parent_path(); directory != tree_->path();
         directory = directory.parent_path()) {
      const std::string elsewhere = dir_.At("elsewhere");
      fs::rename(directory, elsewhere);
      fs::create_directory_symlink(elsewhere, directory);
      if (file == blob_path_) {
        ExpectNoBlob("symbolic link inside the store");
        EXPECT_THAT(store_->OpenBlob(layer_.digest, layer_.size, {}), StatusIs(absl::StatusCode::kNotFound));
      } else {
        EXPECT_THAT(store_->Resolve(Ref("app", "1")),
                    StatusIs(absl::StatusCode::kNotFound, "symbolic link inside the store"))
            << directory;
      }
      fs::remove(directory);
      fs::rename(elsewhere, directory);
    }
  }
  EXPECT_EQ(store_->Resolve(Ref("app", "1")).value().digest, image_.manifest);
  ExpectWhole(*store_, image_, "app");
}

TEST_P(StoreDamageTest, ATagThatIsNoFileIsAMiss) {
  ASSERT_EQ(unlink(tag_path_.c_str()), 0);
  ASSERT_EQ(mkfifo(tag_path_.c_str(), 0600), 0);
  EXPECT_THAT(store_->Resolve(Ref("app", "1")), StatusIs(absl::StatusCode::kNotFound, "not a regular file"));
  ASSERT_EQ(unlink(tag_path_.c_str()), 0);
  ASSERT_EQ(mkdir(tag_path_.c_str(), 0700), 0);
  EXPECT_THAT(store_->Resolve(Ref("app", "1")), StatusIs(absl::StatusCode::kNotFound, "not a regular file"));
}

TEST_P(StoreDamageTest, TheRootItselfMayBeALink) {
  const std::string elsewhere = dir_.At("elsewhere");
  fs::rename(tree_->path(), elsewhere);
  fs::create_directory_symlink(elsewhere, tree_->path());
  EXPECT_EQ(store_->Resolve(Ref("app", "1")).value().digest, image_.manifest);
  ExpectWhole(*store_, image_, "app");
  EXPECT_OK(store_->OpenBlob(layer_.digest, layer_.size, {}));
  fs::remove(tree_->path());
  fs::rename(elsewhere, tree_->path());
}

// The whole tree stands beside the store as well: any way out of the root leads to something that would answer.
TEST_P(StoreDamageTest, NoNameLeavesTheRoot) {
  const std::string outside = fs::path(tree_->path()).parent_path() / "outside";
  fs::rename(tree_->path(), outside);
  fs::create_directory(tree_->path());
  fs::create_directory(tree_->path() + "/a");
  fs::create_directories(tree_->path() + "/docker/registry/v2/repositories/a");
  const std::string beside = "outside/app";
  const std::string beside_deep = "outside/docker/registry/v2/repositories/app";
  for (const std::string& repository :
       {"../" + beside, "a/../../" + beside, "../../../../../" + beside_deep, "a/../../../../../../" + beside_deep,
        outside + "/app", "/" + outside + "/docker/registry/v2/repositories/app", std::string(".."), std::string(),
        std::string("."), std::string("app\0x", 5), std::string("../") + std::string(300, 'a')}) {
    EXPECT_THAT(store_->Resolve(Ref(repository, "1")), StatusIs(absl::StatusCode::kNotFound)) << repository;
    for (const bool require_link : {false, true}) {
      const auto store = tree_->Open({kHost}, require_link);
      EXPECT_THAT(store->OpenBlob(layer_.digest, layer_.size, From(repository)), StatusIs(absl::StatusCode::kNotFound))
          << repository;
      EXPECT_THAT(store->ReadDocument(image_.manifest, kMaxManifestBytes, From(repository)),
                  StatusIs(absl::StatusCode::kNotFound))
          << repository;
    }
  }
}

TEST_P(StoreDamageTest, NoNameMeansSomethingElseInside) {
  for (const std::string& repository :
       {std::string("app/."), std::string("./app"), std::string("app/"), std::string("/app"), std::string("x/../app"),
        std::string("app//"), std::string("app/_manifests/.."), std::string("app/_manifests"), std::string("APP"),
        std::string("app/_layers/../../app"), std::string(".uploads"), std::string("app/.uploads")}) {
    EXPECT_THAT(store_->Resolve(Ref(repository, "1")), StatusIs(absl::StatusCode::kNotFound)) << repository;
  }
  for (const std::string& tag : {std::string("../tags/1"), std::string("./1"), std::string("1/"), std::string("1/."),
                                 std::string(".."), std::string("../.."), std::string("/1"), std::string("1\0", 2)}) {
    EXPECT_THAT(store_->Resolve(Ref("app", tag)), StatusIs(absl::StatusCode::kNotFound)) << tag;
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, StoreDamageTest, ::testing::Values("oci-layout", "zot", "distribution"), KindName);

}  // namespace
}  // namespace sluice
