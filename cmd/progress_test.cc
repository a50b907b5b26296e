#include "cmd/progress.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::internal::CaptureStderr;
using ::testing::internal::GetCapturedStderr;

class ProgressTest : public ::testing::Test {
 protected:
  ProgressTest() {
    image_.reference = ParseReference("example.com/app:1").value();
    for (const int64_t size : {1000, 2000}) {
      ResolvedLayer layer;
      layer.blob.digest = Digest::Of(std::to_string(size));
      layer.blob.size = size;
      image_.layers.push_back(layer);
    }
  }
  // Both layers, a byte at a time; what was said on stderr.
  std::string Run(const std::string& style, Messages::Form form = Messages::Form::kLines) const {
    const Messages messages(form);
    CaptureStderr();
    const std::unique_ptr<Progress> progress = Progress::Create(style, image_, messages);
    progress->Open(1, {"stream", "example.com"});
    progress->Open(0, {"layout", "/layout"});
    for (int i = 0; i < 2000; ++i) progress->Add(1, 1);
    for (int i = 0; i < 1000; ++i) progress->Add(0, 1);
    progress->Add(0, 0);
    return GetCapturedStderr();
  }

  ResolvedImage image_;
};

TEST_F(ProgressTest, NoneAndAutoWithoutATerminalSayNothing) {
  EXPECT_THAT(Run("none"), IsEmpty());
  EXPECT_THAT(Run("auto"), IsEmpty());
}

TEST_F(ProgressTest, PlainIsALineALayer) {
  EXPECT_EQ(Run("plain"), "layer 2 of 2: " + image_.layers[1].blob.digest.Short() +
                              " 2.0 kB from example.com (stream)\n"
                              "layer 1 of 2: " +
                              image_.layers[0].blob.digest.Short() + " 1.0 kB from /layout (layout)\n");
}

TEST_F(ProgressTest, ABarIsDrawnWithoutATerminalWhenItIsAskedFor) {
  EXPECT_THAT(Run("bar"), HasSubstr("] 100%  3.0 kB of 3.0 kB"));
}

TEST_F(ProgressTest, EventsAreFewAndTheLastOneIsNeverMissing) {
  std::vector<Json> events;
  for (absl::string_view line : absl::StrSplit(Run("json", Messages::Form::kJson), '\n', absl::SkipEmpty())) {
    events.push_back(Json::parse(std::string(line)));
  }
  ASSERT_GE(events.size(), 5u);
  EXPECT_LT(events.size(), 100u) << "3000 bytes came one by one";
  EXPECT_EQ(events[0]["event"], "start");
  EXPECT_EQ(events[0]["total"], 3000);
  EXPECT_EQ(events[1]["event"], "layer");
  EXPECT_EQ(events[1]["number"], 2);
  EXPECT_EQ(events[1]["strategy"], "stream");
  EXPECT_EQ(events[2]["source"], "/layout");
  int complete = 0;
  for (const Json& event : events) complete += event["event"] == "progress" && event["bytes"] == event["total"] ? 1 : 0;
  EXPECT_EQ(complete, 2);
  EXPECT_EQ(events.back()["bytes"], 1000);
  EXPECT_EQ(events.back()["layer"], image_.layers[0].blob.digest.ToString());
}

}  // namespace
}  // namespace sluice
