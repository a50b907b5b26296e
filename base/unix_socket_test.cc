#include "base/unix_socket.h"

#include <unistd.h>

#include <fstream>

#include "base/unique_fd.h"
#include "gtest/gtest.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/unix_listener.h"

namespace sluice {
namespace {

TEST(UnixSocketTest, EachStateIsTold) {
  const testing::TempDir dir;
  EXPECT_EQ(ProbeSocket(dir.At("absent")).state, SocketState::kMissing);
  EXPECT_EQ(ProbeSocket("relative").state, SocketState::kMissing);
  EXPECT_EQ(ProbeSocket("/" + std::string(200, 'x')).state, SocketState::kMissing);
  std::ofstream(dir.At("file")) << "x";
  EXPECT_EQ(ProbeSocket(dir.At("file")).state, SocketState::kNoSocket);
  EXPECT_EQ(ProbeSocket(dir.path()).state, SocketState::kNoSocket);

  UniqueFd server = testing::ListenAt(dir.At("s"));
  EXPECT_EQ(ProbeSocket(dir.At("s")).state, SocketState::kServed);
  EXPECT_EQ(ProbeSocket(dir.At("s")).server, getpid());
  server.Reset();
  EXPECT_EQ(ProbeSocket(dir.At("s")).state, SocketState::kStale);
}

}  // namespace
}  // namespace sluice
