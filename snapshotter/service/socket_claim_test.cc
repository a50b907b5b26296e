#include "snapshotter/service/socket_claim.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/unix_socket.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/unix_listener.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using testing::StatusIs;

class SocketClaimTest : public ::testing::Test {
 protected:
  // What is in the socket's directory.
  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(dir_.At("run"))) {
      names.push_back(entry.path().filename());
    }
    std::sort(names.begin(), names.end());
    return names;
  }
  bool Exists(const std::string& path) { return std::filesystem::exists(std::filesystem::symlink_status(path)); }

  testing::TempDir dir_;
  const std::string path_ = dir_.At("run/s.sock");
};

TEST_F(SocketClaimTest, PublishesAPrivateSocketAndTakesItAway) {
  {
    ASSERT_OK_AND_ASSIGN(const auto claim, SocketClaim::Take(path_));
    EXPECT_FALSE(Exists(path_));
    ASSERT_OK_AND_ASSIGN(const UniqueFd listening, claim->Listen());
    EXPECT_THAT(Names(), ElementsAre("s.sock", "s.sock.lock"));
    EXPECT_EQ(ProbeSocket(path_).state, SocketState::kServed);
    struct stat info;
    ASSERT_EQ(stat(path_.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode, static_cast<mode_t>(S_IFSOCK | 0600));
  }
  EXPECT_FALSE(Exists(path_));
  EXPECT_OK(SocketClaim::Take(path_));
}

TEST_F(SocketClaimTest, OnlyOneHasTheLock) {
  ASSERT_OK_AND_ASSIGN(const auto claim, SocketClaim::Take(path_));
  EXPECT_THAT(SocketClaim::Take(path_),
              StatusIs(absl::StatusCode::kFailedPrecondition, "address: " + path_ + ": is served by another process"));
}

TEST_F(SocketClaimTest, ALiveSocketOfAnotherProgramIsRefusedAndStays) {
  std::filesystem::create_directory(dir_.At("run"));
  const UniqueFd listening = testing::ListenAt(path_);
  EXPECT_THAT(SocketClaim::Take(path_), StatusIs(absl::StatusCode::kFailedPrecondition, "by another program"));
  EXPECT_TRUE(Exists(path_));
}

TEST_F(SocketClaimTest, AStaleSocketIsReplaced) {
  std::filesystem::create_directory(dir_.At("run"));
  testing::ListenAt(path_).Reset();
  ASSERT_TRUE(Exists(path_));
  ASSERT_OK_AND_ASSIGN(const auto claim, SocketClaim::Take(path_));
  EXPECT_OK(claim->Listen());
  EXPECT_THAT(Names(), ElementsAre("s.sock", "s.sock.lock"));
}

TEST_F(SocketClaimTest, SomethingElseAtThePathIsRefusedAndStays) {
  std::filesystem::create_directory(dir_.At("run"));
  std::ofstream(path_) << "precious";
  EXPECT_THAT(SocketClaim::Take(path_), StatusIs(absl::StatusCode::kFailedPrecondition, "is not a socket"));
  EXPECT_TRUE(Exists(path_));
}

TEST_F(SocketClaimTest, ASocketThatIsNoLongerOursStays) {
  {
    ASSERT_OK_AND_ASSIGN(const auto claim, SocketClaim::Take(path_));
    ASSERT_OK(claim->Listen());
    std::filesystem::rename(path_, path_ + ".ours");  // keeps the inode number from being used again
    std::ofstream(path_) << "another's";
  }
  EXPECT_TRUE(Exists(path_));
}

TEST_F(SocketClaimTest, BadPaths) {
  const std::string longest(sizeof(sockaddr_un::sun_path) - 1, 'a');
  EXPECT_THAT(SocketClaim::Take("/" + longest), StatusIs(absl::StatusCode::kInvalidArgument, "too long for a socket"));
  EXPECT_THAT(SocketClaim::Take("run/s.sock"), StatusIs(absl::StatusCode::kInvalidArgument, "not an absolute path"));
  EXPECT_THAT(SocketClaim::Take("/tmp/"), StatusIs(absl::StatusCode::kInvalidArgument, "not an absolute path"));
}

}  // namespace
}  // namespace sluice
