#include "base/unix_socket.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <fstream>

#include "base/unique_fd.h"
#include "gtest/gtest.h"
#include "tests/testing/temp_dir.h"

namespace sluice {
namespace {

UniqueFd Listen(const std::string& path) {
  UniqueFd server(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, path.size());
  EXPECT_EQ(bind(server.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  EXPECT_EQ(listen(server.get(), 4), 0);
  return server;
}

TEST(UnixSocketTest, EachStateIsTold) {
  const testing::TempDir dir;
  EXPECT_EQ(ProbeSocket(dir.At("absent")).state, SocketState::kMissing);
  EXPECT_EQ(ProbeSocket("relative").state, SocketState::kMissing);
  EXPECT_EQ(ProbeSocket("/" + std::string(200, 'x')).state, SocketState::kMissing);
  std::ofstream(dir.At("file")) << "x";
  EXPECT_EQ(ProbeSocket(dir.At("file")).state, SocketState::kNoSocket);
  EXPECT_EQ(ProbeSocket(dir.path()).state, SocketState::kNoSocket);

  UniqueFd server = Listen(dir.At("s"));
  EXPECT_EQ(ProbeSocket(dir.At("s")).state, SocketState::kServed);
  EXPECT_EQ(ProbeSocket(dir.At("s")).server, getpid());
  server.Reset();
  EXPECT_EQ(ProbeSocket(dir.At("s")).state, SocketState::kStale);
}

}  // namespace
}  // namespace sluice
