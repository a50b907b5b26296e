#include "snapshotter/service/connection_gate.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "base/mutex.h"
#include "base/unix_socket.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "snapshotter/service/socket_claim.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace sluice {
namespace {

// What has come through one of the doors.
class Arrivals {
 public:
  void Add(UniqueFd connection) {
    const MutexLock lock(mutex_);
    connections_.push_back(std::move(connection));
  }
  size_t count() {
    const MutexLock lock(mutex_);
    return connections_.size();
  }
  void Await(size_t count) {
    while (this->count() < count) absl::SleepFor(absl::Milliseconds(1));
  }

 private:
  Mutex mutex_;
  std::vector<UniqueFd> connections_ SLUICE_GUARDED_BY(mutex_);
};

class ConnectionGateTest : public ::testing::Test {
 protected:
  ConnectionGateTest() : claim_(SocketClaim::Take(path_).value()) {
    gate_ = ConnectionGate::Open(claim_->Listen().value(),
                                 {[this](pid_t pid) {
                                    EXPECT_EQ(pid, getpid());
                                    ++judged_;
                                    return peer_.load();
                                  },
                                  [this](UniqueFd connection) { admitted_.Add(std::move(connection)); },
                                  [this](UniqueFd connection) { refused_.Add(std::move(connection)); }})
                .value();
  }

  UniqueFd Connect() {
    UniqueFd client(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_TRUE(client.valid());
    EXPECT_EQ(ConnectBy(client), 0);
    return client;
  }
  // As connect().
  int ConnectBy(const UniqueFd& client) const {
    const sockaddr_un address = *UnixAddress(path_);
    return connect(client.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  }

  static bool IsOpen(const UniqueFd& client) {
    char byte = 0;
    return recv(client.get(), &byte, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN;
  }

  testing::TempDir dir_;
  const std::string path_ = dir_.At("s.sock");
  std::atomic<Peer> peer_ = Peer::kTool;
  std::atomic<int> judged_ = 0;
  Arrivals admitted_;
  Arrivals refused_;
  std::unique_ptr<SocketClaim> claim_;
  std::unique_ptr<ConnectionGate> gate_;
};

TEST_F(ConnectionGateTest, AnotherContainerdIsRefusedAllOthersAreAdmitted) {
  const UniqueFd tool = Connect();
  admitted_.Await(1);
  peer_ = Peer::kOurContainerd;
  const UniqueFd ours = Connect();
  admitted_.Await(2);
  peer_ = Peer::kOtherContainerd;
  const UniqueFd other = Connect();
  refused_.Await(1);
  EXPECT_EQ(admitted_.count(), 2u);
}

TEST_F(ConnectionGateTest, AnUnknownContainerdIsHeldUntilItIsKnown) {
  peer_ = Peer::kUnknownContainerd;
  const UniqueFd client = Connect();
  while (judged_ < 3) absl::SleepFor(absl::Milliseconds(10));
  EXPECT_EQ(admitted_.count() + refused_.count(), 0u);
  peer_ = Peer::kOurContainerd;
  admitted_.Await(1);
  EXPECT_TRUE(IsOpen(client));
}

TEST_F(ConnectionGateTest, AnUnknownContainerdThatIsAnotherIsRefused) {
  peer_ = Peer::kUnknownContainerd;
  const UniqueFd client = Connect();
  while (judged_ < 3) absl::SleepFor(absl::Milliseconds(10));
  peer_ = Peer::kOtherContainerd;
  refused_.Await(1);
  EXPECT_EQ(admitted_.count(), 0u);
}

TEST_F(ConnectionGateTest, OneThatStaysUnknownIsRefusedAndCutOffOnceItIsOurs) {
  peer_ = Peer::kUnknownContainerd;
  const UniqueFd client = Connect();
  refused_.Await(1);
  const int judged = judged_;
  while (judged_ < judged + 3) absl::SleepFor(absl::Milliseconds(10));
  EXPECT_TRUE(IsOpen(client));
  peer_ = Peer::kOurContainerd;
  char byte = 0;
  EXPECT_EQ(recv(client.get(), &byte, 1, 0), 0);
  const UniqueFd again = Connect();
  admitted_.Await(1);
  EXPECT_EQ(refused_.count(), 1u);
}

TEST_F(ConnectionGateTest, WithoutDescriptorsItWaitsAndGoesOn) {
  const UniqueFd client(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  rlimit before = {};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  // The next descriptor would be this one.
  const int next = dup(client.get());
  close(next);
  const rlimit none = {static_cast<rlim_t>(next), before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  ASSERT_EQ(ConnectBy(client), 0);
  absl::SleepFor(absl::Milliseconds(50));
  EXPECT_EQ(judged_, 0);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  admitted_.Await(1);
}

TEST_F(ConnectionGateTest, ClosedItAcceptsNoMore) {
  gate_.reset();
  const UniqueFd client(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(ConnectBy(client), -1);
  EXPECT_EQ(errno, ECONNREFUSED);
}

}  // namespace
}  // namespace sluice
