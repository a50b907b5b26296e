// sluicectl unpack where the layout is not what it says: one clear line, nothing left, no time and no memory lost.
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cmd/sluicectl_fixture.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace sluice {
namespace {

using testing::Program;
using testing::Read;
using testing::Sluicectl;

class SluicectlHostileTest : public testing::SluicectlFixture {
 protected:
  void ExpectIndexRefused(const std::string& index, const std::string& cause) const {
    std::ofstream(layout_.IndexPath()) << index;
    ExpectFailure(5, UnpackArguments(work_.At("root")), cause);
  }
  // `manifest` as a blob, asked for by its digest.
  std::vector<std::string> ByDigest(const std::string& manifest) {
    const std::string reference = "example.com/app@" + layout_.WriteBlob(manifest).ToString();
    return {"unpack", reference, work_.At("root"), "--layout", layout_.directory()};
  }
};

TEST_F(SluicectlHostileTest, IndexesThatAreNone) {
  ExpectIndexRefused("", "not JSON");
  ExpectIndexRefused("[]", "index.json");
  ExpectIndexRefused("{\"manifests\": 1}", "manifests");
  ExpectIndexRefused(std::string(100'000, '['), "index.json");
  ExpectIndexRefused(absl::StrCat("{\"x\": \"", std::string(64 << 20, 'x'), "\"}"), "larger than");
}

TEST_F(SluicectlHostileTest, ManifestsThatAreNone) {
  ExpectFailure(5, ByDigest("not JSON"), "not JSON");
  ExpectFailure(5, ByDigest("{\"layers\": {}}"), "layers");
  ExpectFailure(5, ByDigest(std::string(100'000, '[')), "sha256:");
}

TEST_F(SluicectlHostileTest, ConfigsThatDoNotFit) {
  nlohmann::json config = nlohmann::json::parse(image_.config_json);
  nlohmann::json manifest = nlohmann::json::parse(image_.manifest_json);
  config["rootfs"]["diff_ids"].erase(0);
  manifest["config"]["digest"] = layout_.WriteBlob(config.dump()).ToString();
  manifest["config"]["size"] = config.dump().size();
  ExpectFailure(5, ByDigest(manifest.dump()), "has 3 layers, its config 2 diff_ids");
}

TEST_F(SluicectlHostileTest, BlobsThatAreNoFiles) {
  const std::string blob = layout_.BlobPath(image_.layers[1].digest);
  ASSERT_EQ(unlink(blob.c_str()), 0);
  ASSERT_EQ(mkfifo(blob.c_str(), 0600), 0);
  ExpectFailure(3, UnpackArguments(work_.At("root")), "not a regular file");
  ASSERT_EQ(unlink(blob.c_str()), 0);
  ASSERT_EQ(mkdir(blob.c_str(), 0700), 0);
  ExpectFailure(3, UnpackArguments(work_.At("root")), "not a regular file");
}

TEST_F(SluicectlHostileTest, ABlobOfTheWrongSize) {
  const std::string blob = layout_.BlobPath(image_.layers[1].digest);
  ASSERT_EQ(truncate(blob.c_str(), 10), 0);
  ExpectFailure(5, UnpackArguments(work_.At("root")), absl::StrCat(blob, ": 10 bytes instead of "));
}

TEST_F(SluicectlHostileTest, AFullDiskIsNamedAndLeftEmpty) {
  const std::string disk = work_.MakeDirectory("disk");
  // The mount is in a namespace of its own and goes with it.
  const std::string script =
      absl::StrCat("mount -t tmpfs -o size=128k tmpfs ", disk, " && { ", Program(), " unpack example.com/app:1 ", disk,
                   "/root --layout ", layout_.directory(), " 2>", work_.At("err"), "; echo $? >", work_.At("code"),
                   "; ls -A ", disk, " >", work_.At("left"), "; }");
  ASSERT_EQ(std::system(absl::StrCat("unshare --mount sh -c '", script, "'").c_str()), 0);
  EXPECT_EQ(Read(work_.At("code")), "6\n");
  EXPECT_NE(Read(work_.At("err")).find("No space left on device"), std::string::npos) << Read(work_.At("err"));
  EXPECT_EQ(Read(work_.At("left")), "");
}

TEST_F(SluicectlHostileTest, AClosedStdoutIsOneLine) {
  const std::string inspect = absl::StrCat(" inspect example.com/app:1 --layout ", layout_.directory());
  for (const std::string& arguments :
       {inspect, inspect + " --json", std::string(" --help"), std::string(" --version")}) {
    const std::string command = absl::StrCat(Program(), arguments, " >&- 2>", work_.At("err"));
    EXPECT_EQ(WEXITSTATUS(std::system(command.c_str())), 1) << arguments;
    EXPECT_EQ(Read(work_.At("err")), "sluicectl: write(stdout): Bad file descriptor\n");
  }
}

TEST_F(SluicectlHostileTest, AClosedStdoutDoesNotUndoTheTree) {
  const std::string command = absl::StrCat(Program(), " unpack example.com/app:1 ", work_.At("root"),
                                           " --json --layout ", layout_.directory(), " >&- 2>", work_.At("err"));
  EXPECT_EQ(WEXITSTATUS(std::system(command.c_str())), 0);
  EXPECT_NE(Read(work_.At("err")).find("write(stdout)"), std::string::npos) << Read(work_.At("err"));
  ExpectTree(work_.At("root"));
}

}  // namespace
}  // namespace sluice
