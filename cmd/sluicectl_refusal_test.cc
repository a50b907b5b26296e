// What sluicectl refuses: one line, and nothing is left.
#include <unistd.h>

#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cmd/sluicectl_fixture.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace sluice {
namespace {

using ::testing::HasSubstr;
using testing::Outcome;
using testing::Read;
using testing::Sluicectl;

class SluicectlRefusalTest : public testing::SluicectlFixture {};

TEST_F(SluicectlRefusalTest, AFlippedByteInAnyLayerIsRefused) {
  std::ofstream(work_.At("m.json")) << "old";
  for (size_t i = 0; i < image_.layers.size(); ++i) {
    const std::string path = layout_.BlobPath(image_.layers[i].digest);
    const std::string good = Read(path);
    std::string bad = good;
    bad[bad.size() / 2] ^= 1;
    std::ofstream(path) << bad;
    ExpectFailure(5, UnpackArguments(work_.At("root"), {"--metadata", work_.At("m.json")}),
                  absl::StrCat("layer ", i + 1, " of 3 (", path, ")"));
    EXPECT_EQ(Read(work_.At("m.json")), "old");
    std::ofstream(path) << good;
  }
  // The very same command, with the bytes as they were.
  EXPECT_EQ(Sluicectl(UnpackArguments(work_.At("root"), {"--metadata", work_.At("m.json")})).code, 0);
}

TEST_F(SluicectlRefusalTest, RefusesDirectoriesItCanNotFill) {
  std::ofstream(work_.At("file")) << "x";
  std::ofstream(absl::StrCat(work_.MakeDirectory("full"), "/x")) << "x";
  ASSERT_EQ(symlink("nowhere", work_.At("link").c_str()), 0);
  ExpectFailure(1, UnpackArguments(work_.At("file")), "not a directory");
  ExpectFailure(1, UnpackArguments(work_.At("full")), "not empty");
  ExpectFailure(1, UnpackArguments(work_.At("link")), "a link to nowhere");
  ExpectFailure(3, UnpackArguments(work_.At("no/root")), "its parent directory");
  ExpectFailure(1, UnpackArguments(work_.path()), "not empty");
}

TEST_F(SluicectlRefusalTest, RefusesMetadataFilesItCanNotWrite) {
  ExpectFailure(3, UnpackArguments(work_.At("root"), {"--metadata", work_.At("no/m.json")}), "no/m.json");
  ExpectFailure(1, UnpackArguments(work_.At("root"), {"--metadata", images_.path()}), "not a regular file");
}

TEST_F(SluicectlRefusalTest, RefusesLayoutsThatAreNone) {
  std::ofstream(work_.At("file")) << "x";
  const std::string empty = work_.MakeDirectory("empty");
  struct Case {
    std::string layout;
    int code;
    std::string cause;
  };
  for (const auto& [layout, code, cause] : std::vector<Case>{{work_.At("absent"), 3, "No such file or directory"},
                                                             {work_.At("file"), 1, "not a directory"},
                                                             {empty, 1, "not an OCI layout"}}) {
    ExpectFailure(code, {"unpack", "example.com/app:1", work_.At("root"), "--layout", layout}, cause);
    ExpectFailure(code, {"inspect", "example.com/app:1", "--layout", layout}, cause);
  }
  std::ofstream(layout_.IndexPath()) << "{";
  ExpectFailure(5, UnpackArguments(work_.At("root")), "index.json: manifest: not JSON");
}

TEST_F(SluicectlRefusalTest, RefusesImagesThatAreNotThere) {
  ExpectFailure(3, {"unpack", "example.com/app:2", work_.At("root"), "--layout", layout_.directory()},
                "it has example.com/app:1");
  ExpectFailure(3, UnpackArguments(work_.At("root"), {"--platform", "linux/s390x"}),
                "no image for platform linux/s390x");
  ASSERT_EQ(unlink(layout_.BlobPath(image_.layers[1].digest).c_str()), 0);
  ExpectFailure(3, UnpackArguments(work_.At("root")), image_.layers[1].digest.Hex());
}

TEST_F(SluicectlRefusalTest, RefusesLayersThatAreNoTar) {
  nlohmann::json manifest = nlohmann::json::parse(image_.manifest_json);
  manifest["layers"][1]["mediaType"] = "application/vnd.oci.image.layer.v1.tar+encrypted";
  const std::string reference = "example.com/app@" + layout_.WriteBlob(manifest.dump()).ToString();
  ExpectFailure(5, {"unpack", reference, work_.At("root"), "--layout", layout_.directory()}, "is not a tar layer");
  EXPECT_EQ(Sluicectl({"inspect", reference, "--layout", layout_.directory()}).code, 0);
}

TEST_F(SluicectlRefusalTest, WrongCommandLinesExitWith2) {
  ExpectFailure(2, {}, "subcommand is required");
  ExpectFailure(2, {"explode"}, "no verb is called \"explode\"");
  ExpectFailure(2, {"unpack"}, "REF is required");
  ExpectFailure(2, {"unpack", "example.com/app:1"}, "DIR is required");
  ExpectFailure(2, UnpackArguments(work_.At("root"), {"--bogus"}), "--bogus");
  ExpectFailure(2, UnpackArguments(work_.At("root"), {"another"}), "another");
  ExpectFailure(2, {"unpack", "example.com/App:1", work_.At("root")}, "must be in lower case");
  ExpectFailure(2, UnpackArguments(work_.At("root"), {"--platform", "amd64"}), "os/architecture");
  ExpectFailure(2, {"inspect"}, "REF is required");
  ExpectFailure(2, UnpackArguments(""), "DIR: is empty");
  ExpectFailure(2, UnpackArguments(work_.At("root"), {"--metadata", ""}), "--metadata: is empty");
  ExpectFailure(2, {"inspect", "example.com/app:1", "--layout", ""}, "--layout: is empty");
  ExpectFailure(2, UnpackArguments(work_.At("root"), {"--progress", "loud"}), "--progress");
}

TEST_F(SluicectlRefusalTest, HelpNamesTheVerbsAndTheExitCodes) {
  const Outcome outcome = Sluicectl({"--help"});
  EXPECT_EQ(outcome.code, 0);
  for (const char* word : {"unpack", "inspect", "Exit codes", "130"}) EXPECT_THAT(outcome.out, HasSubstr(word));
  EXPECT_EQ(Sluicectl({"unpack", "--help"}).code, 0);
}

}  // namespace
}  // namespace sluice
