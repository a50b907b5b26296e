// sluicectl unpack.
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <string>

#include "cmd/sluicectl_fixture.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace sluice {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::NamesIn;
using ::testing::Not;
using testing::Outcome;
using testing::Read;
using testing::Sluicectl;
using ::testing::UnorderedElementsAre;

class SluicectlUnpackTest : public testing::SluicectlFixture {};

TEST_F(SluicectlUnpackTest, UnpacksIntoANewDirectory) {
  const Outcome outcome = Sluicectl(UnpackArguments(work_.At("root")));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.out, "");
  EXPECT_THAT(outcome.err, HasSubstr("example.com/app:1: 3 layers, "));
  EXPECT_THAT(outcome.err, Not(HasSubstr("\x1b")));
  ExpectTree(work_.At("root"));
  EXPECT_EQ(NamesIn(work_.path()), std::vector<std::string>{"root"});
}

TEST_F(SluicectlUnpackTest, UnpacksIntoAnEmptyDirectory) {
  const std::string directory = work_.MakeDirectory("root");
  ASSERT_EQ(Sluicectl(UnpackArguments(directory)).code, 0);
  ExpectTree(directory);
}

TEST_F(SluicectlUnpackTest, TwiceInARow) {
  ASSERT_EQ(Sluicectl(UnpackArguments(work_.At("one"))).code, 0);
  ASSERT_EQ(Sluicectl(UnpackArguments(work_.At("two"))).code, 0);
  ExpectTree(work_.At("two"));
  ExpectFailure(1, UnpackArguments(work_.At("one")), "not empty");
  ExpectTree(work_.At("one"));
}

TEST_F(SluicectlUnpackTest, RemovesWhatItsOwnKilledRunsLeftAndNobodyElses) {
  work_.MakeDirectory(".sluice-staged-ours00");
  ASSERT_EQ(chown(work_.MakeDirectory(".sluice-staged-theirs").c_str(), 65534, 65534), 0);
  ASSERT_EQ(Sluicectl(UnpackArguments(work_.At("root"))).code, 0);
  EXPECT_THAT(NamesIn(work_.path()), UnorderedElementsAre("root", ".sluice-staged-theirs"));
}

TEST_F(SluicectlUnpackTest, TwoRegistriesOneLayoutAndATagThatMoves) {
  const auto add = [this](const std::string& content, const std::string& reference) {
    testing::ImageSpec spec;
    spec.layers = {{.tar = testing::TarBuilder().File("who", content).Build()}};
    layout_.AddImage(spec, reference);
  };
  int calls = 0;
  const auto who = [this, &calls](const std::string& reference) {
    const std::string directory = work_.At(std::to_string(++calls));
    const Outcome outcome = Sluicectl({"unpack", reference, directory, "--layout", layout_.directory()});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return Read(directory + "/who");
  };
  add("first", "172.30.0.1:5000/app:1");
  add("second", "172.30.0.2:5000/app:1");
  EXPECT_EQ(who("172.30.0.1:5000/app:1"), "first");
  EXPECT_EQ(who("172.30.0.2:5000/app:1"), "second");
  add("third", "172.30.0.1:5000/app:1");
  EXPECT_EQ(who("172.30.0.1:5000/app:1"), "third");
  EXPECT_EQ(who("172.30.0.2:5000/app:1"), "second");
  add("first", "172.30.0.2:5000/app:1");
  EXPECT_EQ(who("172.30.0.2:5000/app:1"), "first");
  ExpectFailure(3, {"unpack", "172.30.0.3:5000/app:1", work_.At("root"), "--layout", layout_.directory()},
                "172.30.0.3:5000/app:1");
}

TEST_F(SluicectlUnpackTest, WritesTheMetadata) {
  ASSERT_EQ(Sluicectl(UnpackArguments(work_.At("root"), {"--metadata", work_.At("m.json")})).code, 0);
  const nlohmann::json metadata = nlohmann::json::parse(Read(work_.At("m.json")));
  EXPECT_EQ(metadata["config"]["Env"], (nlohmann::json{"A=b", "PATH=/bin"}));
  EXPECT_EQ(metadata["config"]["Entrypoint"], nlohmann::json::array({"/run"}));
  EXPECT_EQ(metadata["architecture"], "amd64");
}

TEST_F(SluicectlUnpackTest, PrintsJsonWhenAsked) {
  const Outcome outcome = Sluicectl(UnpackArguments(work_.At("root"), {"--json"}));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.err, "");
  const nlohmann::json summary = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(summary["schema"], 1);
  EXPECT_EQ(summary["reference"], "example.com/app:1");
  EXPECT_EQ(summary["manifest"]["digest"], image_.manifest.ToString());
  EXPECT_EQ(summary["index"], nullptr);
  EXPECT_EQ(summary["platform"], "linux/amd64");
  EXPECT_EQ(summary["directory"], work_.At("root"));
  ASSERT_EQ(summary["layers"].size(), 3u);
  int64_t bytes = 0;
  double slowest = 0;
  for (size_t i = 0; i < image_.layers.size(); ++i) {
    const nlohmann::json& layer = summary["layers"][i];
    EXPECT_EQ(layer["digest"], image_.layers[i].digest.ToString());
    EXPECT_EQ(layer["diffId"], image_.layers[i].diff_id.ToString());
    EXPECT_EQ(layer["mediaType"], image_.layers[i].media_type);
    EXPECT_EQ(layer["strategy"], "layout");
    EXPECT_EQ(layer["source"], layout_.directory());
    EXPECT_EQ(layer["bytes"], image_.layers[i].size);
    bytes += image_.layers[i].size;
    slowest = std::max(slowest, layer["seconds"].get<double>());
  }
  EXPECT_EQ(summary["bytes"], bytes);
  EXPECT_LE(slowest, summary["seconds"].get<double>());
}

TEST_F(SluicectlUnpackTest, TheJsonNamesTheIndexThatTheReferenceNames) {
  const Digest index = layout_.AddIndex({image_}, "example.com/many:1");
  const Outcome outcome =
      Sluicectl({"unpack", "example.com/many:1", work_.At("root"), "--layout", layout_.directory(), "--json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const nlohmann::json summary = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(summary["index"]["digest"], index.ToString());
  EXPECT_EQ(summary["manifest"]["digest"], image_.manifest.ToString());
}

TEST_F(SluicectlUnpackTest, AFailureLeavesAnEmptyDirectoryEmpty) {
  const std::string directory = work_.MakeDirectory("root");
  std::string blob = Read(layout_.BlobPath(image_.layers[2].digest));
  blob[blob.size() / 2] ^= 1;
  std::ofstream(layout_.BlobPath(image_.layers[2].digest)) << blob;
  ExpectFailure(5, UnpackArguments(directory), "layer 3 of 3");
  EXPECT_THAT(NamesIn(directory), IsEmpty());
}

}  // namespace
}  // namespace sluice
