// Layouts as different programs write them.
#include <filesystem>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "registry/image_config.h"
#include "registry/store/store_suite.h"
#include "tests/testing/docker_registry.h"

namespace sluice {
namespace {

using ::sluice::testing::RunCommand;
using ::sluice::testing::StatusIs;
using ::sluice::testing::TempDir;

class LayoutWritersTest : public ::testing::TestWithParam<std::string> {
 protected:
  // The layout has, as `tag`, an image of one layer with one file that has this content.
  void Write(const std::string& content, const std::string& tag) {
    Overwrite(dir_.At("file"), content);
    if (GetParam() == "buildah") {
      WriteByBuildah(tag);
    } else {
      WriteByUmoci(GetParam() == "umoci" ? layout_ : dir_.At("built"), tag);
    }
  }

  // The whole image, from the tag to the file's bytes in the layer.
  void ExpectImage(const std::string& tag, const std::string& content) const {
    const Reference reference = {"example.com", "app", tag, std::nullopt};
    const absl::StatusOr<Descriptor> top = store_->Resolve(reference);
    ASSERT_OK(top);
    const std::string bytes = store_->ReadDocument(top->digest, kMaxManifestBytes, {}).value();
    const Manifest manifest = std::get<Manifest>(ParseManifestOrIndex(bytes).value());
    const ImageConfig config =
        ParseImageConfig(store_->ReadDocument(manifest.config.digest, 1 << 20, {}).value()).value();
    ASSERT_EQ(config.diff_ids.size(), 1u);
    ASSERT_EQ(manifest.layers.size(), 1u);
    const Descriptor& layer = manifest.layers[0];
    const auto reader = store_->OpenBlob(layer.digest, layer.size, {});
    ASSERT_OK(reader);
    EXPECT_EQ(Digest::Of(ReadRest(**reader)), layer.digest);
    RunCommand(
        absl::StrCat("test \"$(zcat -f ", store_->BlobPath(layer.digest, {}), " | tar -xOf - file)\" = ", content));
  }

  void WriteByBuildah(const std::string& tag) const {
    const std::string buildah =
        absl::StrCat("buildah --storage-driver vfs --root ", dir_.At("root"), " --runroot ", dir_.At("run"), " ");
    RunCommand(absl::StrCat("container=$(", buildah, "from scratch) && ",                  //
                            buildah, "add -q $container ", dir_.At("file"), " /file && ",  //
                            buildah, "commit -q --rm $container oci:", layout_, ":", tag, " >/dev/null"));
  }

  // umoci makes the image in the layout `built`; if that is not the one to be written, skopeo copies it there.
  void WriteByUmoci(const std::string& built, const std::string& tag) const {
    const std::string image = absl::StrCat(built, ":new");
    const std::string tar = dir_.At("layer.tar");
    if (!std::filesystem::exists(built)) RunCommand(absl::StrCat("umoci init --layout ", built));
    RunCommand(absl::StrCat("umoci new --image ", image));
    RunCommand(absl::StrCat("tar -cf ", tar, " -C ", dir_.path(), " file"));
    RunCommand(absl::StrCat("umoci raw add-layer --image ", image, " ", tar));
    RunCommand(built == layout_
                   ? absl::StrCat("umoci tag --image ", image, " ", tag)
                   : absl::StrCat("skopeo copy -q --insecure-policy oci:", image, " oci:", layout_, ":", tag));
    RunCommand(absl::StrCat("umoci rm --image ", image));
  }

  TempDir dir_;
  const std::string layout_ = dir_.At("layout");
  const std::unique_ptr<Store> store_ = MakeOciLayoutStore("test", layout_, {"example.com"});
};

TEST_P(LayoutWritersTest, ImagesAreReadAndTagsMove) {
  Write("first", "1");
  Write("other", "other");
  ExpectImage("1", "first");
  ExpectImage("other", "other");
  const Digest first = store_->Resolve({"example.com", "app", "1", std::nullopt}).value().digest;
  Write("second", "1");
  ExpectImage("1", "second");
  ExpectImage("other", "other");
  EXPECT_OK(store_->Resolve({"example.com", "app", "", first}));
  EXPECT_THAT(store_->Resolve({"example.com", "app", "new", std::nullopt}), StatusIs(absl::StatusCode::kNotFound));
}

INSTANTIATE_TEST_SUITE_P(Programs, LayoutWritersTest, ::testing::Values("skopeo", "umoci", "buildah"),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace sluice
