#include "registry/client/config_file.h"

#include <sys/stat.h>

#include <fstream>
#include <string>

#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace sluice {
namespace {

using testing::StatusIs;
using testing::TempDir;

TEST(ConfigFileTest, ReadsAFileWholeUpToTheLimit) {
  const TempDir dir;
  const std::string content = std::string(40'000, 'a') + '\0' + "end";
  std::ofstream(dir.At("f")) << content;
  ASSERT_OK_AND_ASSIGN(const std::string bytes, ReadConfigFile(dir.At("f"), static_cast<int64_t>(content.size())));
  EXPECT_EQ(bytes, content);
  EXPECT_THAT(ReadConfigFile(dir.At("f"), static_cast<int64_t>(content.size()) - 1),
              StatusIs(absl::StatusCode::kInvalidArgument, dir.At("f") + ": larger than 40003 bytes"));
}

TEST(ConfigFileTest, ReadsAnEmptyFile) {
  const TempDir dir;
  std::ofstream(dir.At("f")).flush();
  EXPECT_EQ(ReadConfigFile(dir.At("f"), 0).value(), "");
}

TEST(ConfigFileTest, RefusesWhatIsNoRegularFileWithoutWaitingForIt) {
  const TempDir dir;
  ASSERT_EQ(::mkfifo(dir.At("fifo").c_str(), 0600), 0);
  EXPECT_THAT(ReadConfigFile(dir.At("fifo"), 10),
              StatusIs(absl::StatusCode::kFailedPrecondition, "not a regular file"));
  EXPECT_THAT(ReadConfigFile(dir.path(), 10), StatusIs(absl::StatusCode::kFailedPrecondition, "not a regular file"));
  EXPECT_THAT(ReadConfigFile(dir.At("none"), 10), StatusIs(absl::StatusCode::kNotFound, dir.At("none")));
}

}  // namespace
}  // namespace sluice
