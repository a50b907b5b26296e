// sluicectl inspect.
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "absl/strings/str_cat.h"
#include "cmd/sluicectl_fixture.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace sluice {
namespace {

using ::testing::HasSubstr;
using testing::Outcome;
using testing::Program;
using testing::Read;
using testing::Sluicectl;

class SluicectlInspectTest : public testing::SluicectlFixture {};

TEST_F(SluicectlInspectTest, InspectShowsTheImageWithoutItsLayers) {
  for (const auto& layer : image_.layers) ASSERT_EQ(unlink(layout_.BlobPath(layer.digest).c_str()), 0);
  const Outcome text = Sluicectl({"inspect", "example.com/app:1", "--layout", layout_.directory()});
  ASSERT_EQ(text.code, 0) << text.err;
  for (const std::string& part : {image_.manifest.ToString(), image_.layers[1].digest.ToString(), std::string("A=b")}) {
    EXPECT_THAT(text.out, HasSubstr(part));
  }
  const Outcome json = Sluicectl({"inspect", "example.com/app:1", "--layout", layout_.directory(), "--json"});
  ASSERT_EQ(json.code, 0) << json.err;
  const nlohmann::json document = nlohmann::json::parse(json.out);
  EXPECT_EQ(document["layers"][2]["diffId"], image_.layers[2].diff_id.ToString());
  EXPECT_EQ(document["metadata"]["config"]["WorkingDir"], "/w");
  EXPECT_EQ(document["platform"], "linux/amd64");
}

TEST_F(SluicectlInspectTest, InspectNeedsNoPrivilege) {
  const std::string command =
      absl::StrCat("setpriv --securebits=+noroot --inh-caps=-all --bounding-set=-all ", Program(),
                   " inspect example.com/app:1 --layout ", layout_.directory(), " >", work_.At("out"));
  EXPECT_EQ(WEXITSTATUS(std::system(command.c_str())), 0);
  EXPECT_THAT(Read(work_.At("out")), HasSubstr(image_.manifest.ToString()));
}

TEST_F(SluicectlInspectTest, AnOrdinaryUserInspectsALayoutOfRoots) {
  // A copy, because the program may lie where only root gets.
  const std::string program = work_.At("sluicectl");
  std::filesystem::copy_file(Program(), program);
  ASSERT_EQ(std::system(absl::StrCat("chmod -R go-w,a+rX ", work_.path(), " ", images_.path()).c_str()), 0);
  const std::string command = absl::StrCat("env -i setpriv --reuid=65534 --regid=65534 --clear-groups ", program,
                                           " inspect example.com/app:1 --layout ", layout_.directory(), " >",
                                           work_.At("out"), " 2>", work_.At("err"));
  EXPECT_EQ(WEXITSTATUS(std::system(command.c_str())), 0) << Read(work_.At("err"));
  EXPECT_THAT(Read(work_.At("out")), HasSubstr(image_.manifest.ToString()));

  for (const std::string& unreadable : {layout_.BlobPath(image_.manifest), layout_.IndexPath()}) {
    ASSERT_EQ(chmod(unreadable.c_str(), 0600), 0);
    EXPECT_EQ(WEXITSTATUS(std::system(command.c_str())), 4);
    EXPECT_THAT(Read(work_.At("err")), HasSubstr("Permission denied"));
    EXPECT_THAT(Read(work_.At("err")), HasSubstr(unreadable));
    EXPECT_EQ(Read(work_.At("out")), "");
  }
}

TEST_F(SluicectlInspectTest, InspectSaysWhenItCanNotPrint) {
  const std::string command = absl::StrCat(Program(), " inspect example.com/app:1 --layout ", layout_.directory(),
                                           " >/dev/full 2>", work_.At("err"));
  EXPECT_EQ(WEXITSTATUS(std::system(command.c_str())), 6);
  EXPECT_THAT(Read(work_.At("err")), HasSubstr("write(stdout): No space left on device"));
}

}  // namespace
}  // namespace sluice
