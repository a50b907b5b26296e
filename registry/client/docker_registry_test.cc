// The client against Debian's docker-registry, over http and over TLS with a certificate that nobody has signed.

#include "tests/testing/docker_registry.h"

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/digest.h"
#include "gtest/gtest.h"
#include "registry/client/registry_client.h"
#include "registry/locality.h"
#include "tests/testing/oci_layout_builder.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/tar_builder.h"
#include "tests/testing/temp_dir.h"

namespace sluice {
namespace {

using ::sluice::testing::BuiltImage;
using ::sluice::testing::DockerRegistry;
using ::sluice::testing::OciLayoutBuilder;
using ::sluice::testing::StatusIs;
using ::sluice::testing::TarBuilder;
using ::sluice::testing::TempDir;

class DockerRegistryTest : public ::testing::TestWithParam<bool> {
 protected:
  static void Run(const std::string& command) { ASSERT_EQ(std::system(command.c_str()), 0) << command; }

  void SetUp() override {
    if (GetParam()) {
      Run(absl::StrCat("openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=nobody -keyout ",
                       dir_.At("key.pem"), " -out ", dir_.At("cert.pem"), " 2>/dev/null"));
    }
    const std::string tls =
        absl::StrCat("tls: {certificate: ", dir_.At("cert.pem"), ", key: ", dir_.At("key.pem"), "}");
    registry_ = std::make_unique<DockerRegistry>(dir_.path(), GetParam() ? tls : "");
    OciLayoutBuilder layout(dir_.MakeDirectory("layout"));
    testing::ImageSpec spec;
    spec.layers = {{.tar = TarBuilder().File("f", std::string(300'000, 'x')).Build()}};
    spec.config = {{"Env", {"A=b"}}};
    image_ = layout.AddImage(spec, "1");
    Run(absl::StrCat("skopeo copy --quiet --insecure-policy --dest-tls-verify=false oci:", layout.directory(),
                     ":1 docker://", registry_->host(), "/a/app:1"));
  }

  Reference Ref(const std::string& rest) const {
    return ParseReference(absl::StrCat(registry_->host(), "/", rest)).value();
  }

  TempDir dir_;
  std::unique_ptr<DockerRegistry> registry_;
  BuiltImage image_;
  const RegistryClient client_{LocalityRules::Create({}).value()};
};

TEST_P(DockerRegistryTest, ServesManifestConfigAndLayer) {
  ASSERT_OK_AND_ASSIGN(const FetchedManifest by_tag, client_.FetchManifest(Ref("a/app:1"), nullptr));
  EXPECT_EQ(by_tag.descriptor.digest, image_.manifest);
  EXPECT_EQ(by_tag.bytes, image_.manifest_json);
  ASSERT_OK_AND_ASSIGN(const FetchedManifest by_digest,
                       client_.FetchManifest(Ref("a/app@" + image_.manifest.ToString()), nullptr));
  EXPECT_EQ(by_digest.bytes, image_.manifest_json);
  EXPECT_EQ(client_.FetchBlobDocument(registry_->host(), "a/app", image_.config, 1 << 20, nullptr).value(),
            image_.config_json);

  ASSERT_OK_AND_ASSIGN(const std::unique_ptr<ByteReader> layer,
                       client_.OpenBlob(registry_->host(), "a/app", {.digest = image_.layers[0].digest}, nullptr));
  std::string bytes;
  std::vector<char> buffer(10'000);
  while (true) {
    ASSERT_OK_AND_ASSIGN(const size_t count, layer->Read(absl::MakeSpan(buffer)));
    if (count == 0) break;
    bytes.append(buffer.data(), count);
  }
  EXPECT_EQ(Digest::Of(bytes), image_.layers[0].digest);
}

TEST_P(DockerRegistryTest, SaysWhatItDoesNotHave) {
  EXPECT_THAT(client_.FetchManifest(Ref("a/app:2"), nullptr),
              StatusIs(absl::StatusCode::kNotFound, "manifest unknown"));
  EXPECT_THAT(client_.FetchManifest(Ref("b:1"), nullptr), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(client_.OpenBlob(registry_->host(), "a/app", {.digest = Digest::Of("x")}, nullptr),
              StatusIs(absl::StatusCode::kNotFound, "blob unknown"));
}

INSTANTIATE_TEST_SUITE_P(Scheme, DockerRegistryTest, ::testing::Values(false, true),
                         [](const auto& param) { return param.param ? "Tls" : "Http"; });

}  // namespace
}  // namespace sluice
