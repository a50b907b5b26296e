#include "snapshotter/service/peer_screen.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "base/unique_fd.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/temp_dir.h"

namespace sluice {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// A process that runs `program`, a copy of sleep(1), for as long as the object lives.
class Process {
 public:
  explicit Process(const std::string& program) : pid_(fork()) {
    if (pid_ == 0) {
      execl(program.c_str(), program.c_str(), "60", nullptr);
      _exit(127);
    }
    // It is what it runs only after exec.
    while (std::filesystem::read_symlink("/proc/" + std::to_string(pid_) + "/exe") !=
           std::filesystem::canonical(program)) {
      usleep(1000);
    }
  }
  ~Process() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  pid_t pid() const { return pid_; }

 private:
  const pid_t pid_;
};

class PeerScreenTest : public ::testing::Test {
 protected:
  // The test listens at the address.
  void Listen() {
    listening_.Reset(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    address_.copy(address.sun_path, address_.size());
    ASSERT_EQ(bind(listening_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
    ASSERT_EQ(listen(listening_.get(), 4), 0);
  }
  // A program by this name in a directory of its own.
  std::string ProgramNamed(const std::string& name) {
    const std::string path = dir_.MakeDirectory("of-" + name) + "/" + name;
    std::filesystem::copy_file(std::filesystem::canonical("/bin/sleep"), path);
    return path;
  }

  testing::TempDir dir_;
  const std::string address_ = dir_.At("containerd.sock");
  const PeerScreen screen_ = PeerScreen(address_);
  UniqueFd listening_;
};

TEST_F(PeerScreenTest, WhatIsNoContainerdIsATool) {
  Listen();
  EXPECT_EQ(screen_.Judge(getpid()), Peer::kTool);
  EXPECT_EQ(screen_.Judge(Process(ProgramNamed("sluicectl")).pid()), Peer::kTool);
  EXPECT_EQ(screen_.Judge(Process(ProgramNamed("containerd-shim")).pid()), Peer::kTool);
  EXPECT_EQ(screen_.Judge(Process(ProgramNamed("mycontainerd")).pid()), Peer::kTool);
}

TEST_F(PeerScreenTest, OfAnotherPidNamespaceOrGoneNothingIsKnown) {
  Listen();
  EXPECT_EQ(screen_.Judge(0), Peer::kTool);
  pid_t gone = 0;
  {
    const Process containerd(ProgramNamed("containerd"));
    gone = containerd.pid();
  }
  EXPECT_EQ(screen_.Judge(gone), Peer::kTool);
}

TEST_F(PeerScreenTest, AContainerdThatDoesNotListenAtTheAddressIsAnother) {
  const std::string program = ProgramNamed("containerd");
  const Process containerd(program);
  EXPECT_EQ(screen_.Judge(containerd.pid()), Peer::kUnknownContainerd);
  Listen();
  EXPECT_EQ(screen_.Judge(containerd.pid()), Peer::kOtherContainerd);
  // Replaced by an upgrade while it runs.
  std::filesystem::remove(program);
  EXPECT_EQ(screen_.Judge(containerd.pid()), Peer::kOtherContainerd);
  listening_.Reset();
  EXPECT_EQ(screen_.Judge(containerd.pid()), Peer::kUnknownContainerd);
}

TEST_F(PeerScreenTest, TheRefusalNamesBothAndTheMend) {
  EXPECT_THAT(screen_.Refusal("/run/our.sock"),
              AllOf(HasSubstr("/run/our.sock"), HasSubstr(address_), HasSubstr("[containerd] address")));
}

}  // namespace
}  // namespace sluice
