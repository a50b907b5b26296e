#include "cmd/program.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "base/unique_fd.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace sluice {
namespace {

using ::sluice::testing::StatusIs;
using ::sluice::testing::TempDir;

ProgramCall Shell(const std::string& script) { return {.argv = {"/bin/sh", "-c", script}}; }

std::string Read(const std::string& path) {
  std::stringstream content;
  content << std::ifstream(path).rdbuf();
  return content.str();
}

TEST(FindProgramTest, LooksWhereAnOrdinaryUsersPathDoesNotLead) {
  const std::string path = std::getenv("PATH");
  ASSERT_EQ(setenv("PATH", "/nowhere", 1), 0);
  ASSERT_OK_AND_ASSIGN(const std::string program, FindProgram("mkfs.ext4", "e2fsprogs"));
  EXPECT_EQ(program, "/usr/sbin/mkfs.ext4");
  ASSERT_EQ(setenv("PATH", path.c_str(), 1), 0);
}

TEST(FindProgramTest, NamesThePackage) {
  EXPECT_THAT(FindProgram("mkfs.nothing", "no-utils"),
              StatusIs(absl::StatusCode::kNotFound, "mkfs.nothing not found: apt-get install no-utils"));
}

TEST(RunProgramTest, ItsEndIsOurs) {
  const Cancellation cancellation;
  EXPECT_OK(RunProgram(Shell("exit 0"), cancellation));
  EXPECT_THAT(RunProgram(Shell("exit 3"), cancellation), StatusIs(absl::StatusCode::kUnknown, "sh: exit status 3"));
  EXPECT_THAT(RunProgram(Shell("kill -9 $$"), cancellation),
              StatusIs(absl::StatusCode::kUnknown, "sh: killed by signal 9"));
  EXPECT_THAT(RunProgram({.argv = {"/nowhere/prog"}}, cancellation), StatusIs(absl::StatusCode::kUnknown, "prog: "));
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1) << "no child is left";
  EXPECT_EQ(errno, ECHILD);
}

TEST(RunProgramTest, ItsOutputGoesWhereItIsAskedTo) {
  const TempDir dir;
  const UniqueFd output(open(dir.At("out").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  ProgramCall call = Shell("echo here; echo there >&2");
  call.output_fd = output.get();
  EXPECT_OK(RunProgram(call, Cancellation()));
  EXPECT_EQ(Read(dir.At("out")), "here\n");
}

TEST(RunProgramTest, TheErrorIsTheEndOfWhatItSaidInOneLine) {
  const Cancellation cancellation;
  const absl::Status status = RunProgram(
      Shell("echo out; for i in $(seq 5000); do echo line $i >&2; done; printf 'a\\rb\\n\\033[\\n\\n' >&2; exit 1"),
      cancellation);
  EXPECT_EQ(std::string(status.message()), "sh: a; b; \\x1b[");
}

TEST(RunProgramTest, ArgumentsAndEnvironmentAreWhatTheyAre) {
  const TempDir dir;
  const Cancellation cancellation;
  ASSERT_EQ(setenv("REPLACED", "old", 1), 0);
  ProgramCall call = Shell("cat >in; printf '%s|' \"$@\" \"$ADDED\" \"$REPLACED\" >out");
  call.argv.insert(call.argv.end(), {"name", "a b", "$(touch evil)", "'"});
  call.environment = {{"ADDED", "new; x"}, {"REPLACED", "newer"}};
  call.directory_fd = dir.fd();
  ASSERT_OK(RunProgram(call, cancellation));
  EXPECT_EQ(Read(dir.At("out")), "a b|$(touch evil)|'|new; x|newer|");
  EXPECT_EQ(Read(dir.At("in")), "");
  EXPECT_FALSE(std::filesystem::exists(dir.At("evil")));
}

// Until the script is there and waits.
void AwaitFile(const std::string& path) {
  while (!std::filesystem::exists(path)) std::this_thread::yield();
}

TEST(RunProgramTest, IsInterruptedWithAllThatItHasStarted) {
  const TempDir dir;
  Cancellation cancellation;
  std::thread canceller([&] {
    AwaitFile(dir.At("started"));
    cancellation.Cancel();
  });
  ProgramCall call = Shell("trap 'touch trapped; exit 1' INT; sh -c 'echo $$ >started; exec sleep 1000'");
  call.directory_fd = dir.fd();
  EXPECT_THAT(RunProgram(call, cancellation), StatusIs(absl::StatusCode::kCancelled));
  canceller.join();
  EXPECT_TRUE(std::filesystem::exists(dir.At("trapped")));
  EXPECT_EQ(::kill(std::stoi(Read(dir.At("started"))), 0), -1) << "sleep lives on";
}

TEST(RunProgramTest, IsKilledIfItDoesNotEnd) {
  const TempDir dir;
  Cancellation cancellation;
  std::thread canceller([&] {
    AwaitFile(dir.At("started"));
    cancellation.Cancel();
  });
  ProgramCall call = Shell("trap '' INT; touch started; while :; do sleep 0.1; done");
  call.directory_fd = dir.fd();
  EXPECT_THAT(RunProgram(call, cancellation), StatusIs(absl::StatusCode::kCancelled));
  canceller.join();
}

// Whose pipe it inherits.
TEST(RunProgramTest, ADaemonThatItLeavesIsNotWaitedFor) {
  const TempDir dir;
  const Cancellation cancellation;
  ProgramCall call = Shell("setsid sleep 1000 & echo $! >daemon");
  call.directory_fd = dir.fd();
  EXPECT_OK(RunProgram(call, cancellation));
  EXPECT_EQ(::kill(std::stoi(Read(dir.At("daemon"))), SIGKILL), 0);
}

TEST(RunProgramTest, DoesNotOutliveUs) {
  const TempDir dir;
  const pid_t parent = ::fork();
  if (parent == 0) {
    const Cancellation cancellation;
    ProgramCall call = Shell("echo $$ >pid; mv pid started; exec sleep 1000");
    call.directory_fd = dir.fd();
    RunProgram(call, cancellation).IgnoreError();
    ::_exit(0);
  }
  AwaitFile(dir.At("started"));
  const pid_t child = std::stoi(Read(dir.At("started")));
  ::kill(parent, SIGKILL);
  ::waitpid(parent, nullptr, 0);
  while (::kill(child, 0) == 0) std::this_thread::yield();
  EXPECT_EQ(errno, ESRCH);
}

}  // namespace
}  // namespace sluice
