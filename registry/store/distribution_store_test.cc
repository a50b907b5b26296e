// What is the CNCF registry's alone; the rest is in the shared suite.
#include <unistd.h>

#include <filesystem>
#include <optional>
#include <string>

#include "registry/store/store_suite.h"

namespace sluice {
namespace {

using ::sluice::testing::BuiltImage;
using ::sluice::testing::StatusIs;
namespace fs = std::filesystem;

class DistributionStoreTest : public StoreSuite {
 protected:
  std::string RepositoryPath(const std::string& repository) const {
    return absl::StrCat(tree_->path(), "/docker/registry/v2/repositories/", repository);
  }
  std::string RevisionLink(const std::string& repository, const Digest& digest) const {
    return absl::StrCat(RepositoryPath(repository), "/_manifests/revisions/sha256/", digest.Hex(), "/link");
  }
  std::string LayerLink(const std::string& repository, const Digest& digest) const {
    return absl::StrCat(RepositoryPath(repository), "/_layers/sha256/", digest.Hex(), "/link");
  }

  std::unique_ptr<Store> strict_ = tree_->Open({kHost}, /*require_link=*/true);
};

TEST_P(DistributionStoreTest, TheMediaTypeIsReadFromTheManifest) {
  testing::ImageSpec spec = Spec("docker");
  spec.docker = true;
  const BuiltImage docker = source_.WriteImage(spec);
  const BuiltImage image = Push("a", "app", "1");
  // As a push of the same manifest would leave it.
  const std::string blob = tree_->BlobPath("app", docker.manifest);
  fs::create_directories(fs::path(blob).parent_path());
  Overwrite(blob, docker.manifest_json);
  fs::create_directories(fs::path(RevisionLink("app", docker.manifest)).parent_path());
  Overwrite(RevisionLink("app", docker.manifest), docker.manifest.ToString());
  Overwrite(tree_->TagPath("app", "1"), docker.manifest.ToString() + "\n");
  ASSERT_OK_AND_ASSIGN(const Descriptor descriptor, store_->Resolve(Ref("app", "1")));
  EXPECT_EQ(descriptor.digest, docker.manifest);
  EXPECT_EQ(descriptor.media_type, "application/vnd.docker.distribution.manifest.v2+json");
  EXPECT_EQ(descriptor.size, static_cast<int64_t>(docker.manifest_json.size()));
}

// As the registry itself has it, whose own answer is "manifest unknown".
TEST_P(DistributionStoreTest, ATagOfADeletedRevisionIsAMiss) {
  const BuiltImage image = Push("a", "app", "1");
  ASSERT_EQ(unlink(RevisionLink("app", image.manifest).c_str()), 0);
  EXPECT_THAT(store_->Resolve(Ref("app", "1")),
              StatusIs(absl::StatusCode::kNotFound, RevisionLink("app", image.manifest)));
  EXPECT_OK(store_->Resolve(Ref("app", image.manifest))) << "its bytes are there until they are collected";
  EXPECT_THAT(strict_->Resolve(Ref("app", image.manifest)), StatusIs(absl::StatusCode::kNotFound));
}

TEST_P(DistributionStoreTest, ABlobThatNobodyLinksIsServedUnlessALinkIsRequired) {
  const BuiltImage image = Push("a", "app", "1");
  fs::remove_all(RepositoryPath("app"));
  ExpectWhole(*store_, image, "app");
  EXPECT_THAT(strict_->OpenBlob(image.layers[0].digest, std::nullopt, From("app")),
              StatusIs(absl::StatusCode::kNotFound, "no repository of the image has a link"));
}

TEST_P(DistributionStoreTest, ALinkMustSayWhatItLinks) {
  const BuiltImage image = Push("a", "app", "1");
  const Digest layer = image.layers[0].digest;
  const std::string link = LayerLink("app", layer);
  const std::string whole = ReadFile(link);
  for (const std::string& content : {std::string(), whole.substr(0, 20), image.config.ToString()}) {
    Overwrite(link, content);
    EXPECT_THAT(strict_->OpenBlob(layer, std::nullopt, From("app")), StatusIs(absl::StatusCode::kNotFound)) << content;
    EXPECT_OK(store_->OpenBlob(layer, std::nullopt, From("app")));
  }
  Overwrite(link, whole);
  EXPECT_TRUE(IsReadAgain(link, "", [&] { return strict_->OpenBlob(layer, std::nullopt, From("app")).ok(); }));
  ASSERT_EQ(unlink(link.c_str()), 0);
  ASSERT_EQ(symlink(LayerLink("app", image.config).c_str(), link.c_str()), 0);
  EXPECT_THAT(strict_->OpenBlob(layer, std::nullopt, From("app")), StatusIs(absl::StatusCode::kNotFound));
}

TEST_P(DistributionStoreTest, ALinkOfOneKindIsNotTakenForTheOther) {
  const BuiltImage image = Push("a", "app", "1");
  // A tag cannot reach a blob that is no manifest of the repository.
  Overwrite(tree_->TagPath("app", "1"), image.config.ToString());
  EXPECT_THAT(store_->Resolve(Ref("app", "1")), StatusIs(absl::StatusCode::kNotFound));
}

TEST_P(DistributionStoreTest, ThePathIsTheStoragesRoot) {
  Push("a", "app", "1");
  for (const char* inside : {"/docker", "/docker/registry", "/docker/registry/v2"}) {
    const auto store = MakeDistributionStore("test", tree_->path() + inside, {kHost});
    EXPECT_THAT(store->Resolve(Ref("app", "1")),
                StatusIs(absl::StatusCode::kNotFound, absl::StrCat(inside, "/docker/registry/v2/repositories/app/")));
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, DistributionStoreTest, ::testing::Values("distribution"), KindName);

}  // namespace
}  // namespace sluice
