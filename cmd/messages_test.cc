#include "cmd/messages.h"

#include <string>

#include "gtest/gtest.h"

namespace sluice {
namespace {

using ::testing::internal::CaptureStderr;
using ::testing::internal::GetCapturedStderr;

TEST(MessagesTest, LinesAreForPeople) {
  const Messages messages(Messages::Form::kLines);
  CaptureStderr();
  messages.Warning("left behind");
  messages.Line("done");
  messages.Event("done", {{"bytes", 1}});
  messages.Error("it failed", 5);
  EXPECT_EQ(GetCapturedStderr(), "sluicectl: WARNING: left behind\ndone\nsluicectl: it failed\n");
}

TEST(MessagesTest, EventsAreForPrograms) {
  const Messages messages(Messages::Form::kJson);
  CaptureStderr();
  messages.Warning("left behind");
  messages.Line("done");
  messages.Event("done", {{"bytes", 1}});
  messages.Error("it failed", 5);
  EXPECT_EQ(GetCapturedStderr(),
            "{\"event\":\"warning\",\"message\":\"left behind\",\"schema\":1}\n"
            "{\"bytes\":1,\"event\":\"done\",\"schema\":1}\n"
            "{\"event\":\"error\",\"exitCode\":5,\"message\":\"it failed\",\"schema\":1}\n");
}

TEST(MessagesTest, ALineStaysALineWhateverIsInIt) {
  CaptureStderr();
  Messages(Messages::Form::kLines).Error("a\nb\x1b[2J\xc3\xbc", 1);
  EXPECT_EQ(GetCapturedStderr(), "sluicectl: a\\x0ab\\x1b[2J\xc3\xbc\n");
  CaptureStderr();
  Messages(Messages::Form::kJson).Warning("a\nb\xff");
  EXPECT_EQ(GetCapturedStderr(), "{\"event\":\"warning\",\"message\":\"a\\nb\xef\xbf\xbd\",\"schema\":1}\n");
}

}  // namespace
}  // namespace sluice
