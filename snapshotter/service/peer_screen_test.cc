#include "snapshotter/service/peer_screen.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <utility>

#include "base/unique_fd.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/unix_listener.h"

namespace sluice {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// A process that runs `program`, a copy of sleep(1), for as long as the object lives, and listens at `address`, if
// there is one.
class Process {
 public:
  explicit Process(const std::string& program, const std::string& address = "") : pid_(fork()) {
    if (pid_ == 0) {
      // The kernel remembers who called listen(); the descriptor lives through exec.
      if (!address.empty() && testing::ListenAt(address).Release() < 0) _exit(126);
      execl(program.c_str(), program.c_str(), "60", nullptr);
      _exit(127);
    }
    // It is what it runs only after exec.
    while (std::filesystem::read_symlink("/proc/" + std::to_string(pid_) + "/exe") !=
           std::filesystem::canonical(program)) {
      usleep(1000);
    }
  }
  ~Process() { End(); }
  void End() {
    if (std::exchange(ended_, true)) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  pid_t pid() const { return pid_; }

 private:
  const pid_t pid_;
  bool ended_ = false;
};

class PeerScreenTest : public ::testing::Test {
 protected:
  // A program by this name in a directory of its own.
  std::string ProgramNamed(const std::string& name) {
    const std::string path = dir_.MakeDirectory("of-" + name) + "/" + name;
    std::filesystem::copy_file(std::filesystem::canonical("/bin/sleep"), path);
    return path;
  }

  testing::TempDir dir_;
  const std::string address_ = dir_.At("containerd.sock");
  const PeerScreen screen_ = PeerScreen(address_);
};

TEST_F(PeerScreenTest, WhatIsNoContainerdIsATool) {
  EXPECT_EQ(screen_.Judge(getpid()), Peer::kTool);
  EXPECT_EQ(screen_.Judge(Process(ProgramNamed("sluicectl")).pid()), Peer::kTool);
  EXPECT_EQ(screen_.Judge(Process(ProgramNamed("containerd-shim")).pid()), Peer::kTool);
  EXPECT_EQ(screen_.Judge(Process(ProgramNamed("mycontainerd")).pid()), Peer::kTool);
}

TEST_F(PeerScreenTest, OfAnotherPidNamespaceOrGoneNothingIsKnown) {
  EXPECT_EQ(screen_.Judge(0), Peer::kTool);
  Process containerd(ProgramNamed("containerd"));
  EXPECT_EQ(screen_.Judge(containerd.pid()), Peer::kUnknownContainerd);
  containerd.End();
  EXPECT_EQ(screen_.Judge(containerd.pid()), Peer::kTool);
}

TEST_F(PeerScreenTest, TheContainerdThatListensAtTheAddressIsOurs) {
  const std::string program = ProgramNamed("containerd");
  const Process other(program);
  EXPECT_EQ(screen_.Judge(other.pid()), Peer::kUnknownContainerd);
  Process ours(program, address_);
  EXPECT_EQ(screen_.Judge(ours.pid()), Peer::kOurContainerd);
  EXPECT_EQ(screen_.Judge(other.pid()), Peer::kOtherContainerd);
  // Replaced by an upgrade while both run.
  std::filesystem::remove(program);
  EXPECT_EQ(screen_.Judge(ours.pid()), Peer::kOurContainerd);
  EXPECT_EQ(screen_.Judge(other.pid()), Peer::kOtherContainerd);
  ours.End();
  EXPECT_EQ(screen_.Judge(other.pid()), Peer::kUnknownContainerd);
}

TEST_F(PeerScreenTest, WhereAnotherProgramMadeTheSocketNothingCanBeCompared) {
  const UniqueFd listening = testing::ListenAt(address_);
  EXPECT_EQ(screen_.Judge(Process(ProgramNamed("containerd")).pid()), Peer::kOurContainerd);
}

TEST_F(PeerScreenTest, TheRefusalNamesBothAndTheMend) {
  EXPECT_THAT(screen_.Refusal("/run/our.sock"),
              AllOf(HasSubstr("/run/our.sock"), HasSubstr(address_), HasSubstr("[containerd] address")));
}

}  // namespace
}  // namespace sluice
