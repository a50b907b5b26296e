// sluicectl with a registry, and interrupted: by signals, on a terminal.
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/unique_fd.h"
#include "cmd/sluicectl_fixture.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "registry/client/fake_http_server.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::NamesIn;
using testing::Outcome;
using testing::Process;
using testing::Program;
using testing::Read;
using testing::Sluicectl;

// A registry that serves image_ and, if told so, hangs in the middle of its last layer.
class SluicectlRegistryTest : public testing::SluicectlFixture {
 protected:
  SluicectlRegistryTest() {
    Put(absl::StrCat("manifests/1"), image_.manifest_json);
    for (const auto& layer : image_.layers) PutBlob(layer.digest);
    PutBlob(image_.config);
  }
  void Put(const std::string& path, const std::string& body) { bodies_["/v2/app/" + path] = body; }
  void PutBlob(const Digest& digest) { Put("blobs/" + digest.ToString(), Read(layout_.BlobPath(digest))); }
  std::string Ref() const { return server_->host() + "/app:1"; }

  void Serve(const std::string& hang_in = "") {
    server_ = std::make_unique<FakeHttpServer>(
        "127.0.0.1", [this, hang_in](const std::string& head, const FakeHttpServer::Connection& c) {
          const std::vector<std::string> words = absl::StrSplit(head, ' ');
          const std::string answer = HttpAnswer(200, bodies_[words[1]]);
          if (hang_in.empty() || !absl::StrContains(head, hang_in)) {
            c.Send(answer);
            return;
          }
          c.Send(answer.substr(0, answer.size() / 2));
          hangs_ = true;
          c.AwaitClose();
        });
  }
  void AwaitHang() const {
    for (int i = 0; i < 1000 && !hangs_; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    ASSERT_TRUE(hangs_);
  }

  std::map<std::string, std::string> bodies_;
  std::atomic<bool> hangs_ = false;
  std::unique_ptr<FakeHttpServer> server_;
};

TEST_F(SluicectlRegistryTest, UnpacksFromARegistry) {
  Serve();
  const Outcome outcome = Sluicectl({"unpack", Ref(), work_.At("root")});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  ExpectTree(work_.At("root"));
}

TEST_F(SluicectlRegistryTest, AnUnreachableRegistryIsOneLine) {
  Serve();
  const std::string reference = Ref();
  server_.reset();
  ExpectFailure(7, {"unpack", reference, work_.At("root")}, "Connection refused");
  ExpectFailure(7, {"inspect", reference}, "Connection refused");
}

TEST_F(SluicectlRegistryTest, SignalsCleanUp) {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    for (const bool in_place : {false, true}) {
      hangs_ = false;
      Serve(image_.layers[2].digest.Hex());
      if (in_place) work_.MakeDirectory("root");
      Process process({"unpack", Ref(), work_.At("root"), "--metadata", work_.At("m.json")});
      AwaitHang();
      process.Signal(signal);
      process.Signal(signal);  // an impatient person changes nothing
      const auto start = std::chrono::steady_clock::now();
      const Outcome outcome = process.Wait();
      EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(2));
      EXPECT_EQ(outcome.code, 128 + signal) << outcome.err;
      EXPECT_THAT(outcome.err, HasSubstr("cancelled"));
      EXPECT_EQ(NamesIn(work_.path()).size(), in_place ? 1u : 0u) << absl::StrJoin(NamesIn(work_.path()), " ");
      if (!in_place) continue;
      EXPECT_THAT(NamesIn(work_.At("root")), IsEmpty());
      std::filesystem::remove(work_.At("root"));
    }
  }
}

// Else what is said on stderr would be sent to the registry, or written into a file.
TEST_F(SluicectlRegistryTest, AClosedDescriptorIsNotTheNextFileOrConnection) {
  Serve(image_.layers[2].digest.Hex());
  const std::string reference = Ref(), directory = work_.At("root");
  const pid_t pid = fork();
  if (pid == 0) {
    for (const int fd : {STDOUT_FILENO, STDERR_FILENO}) close(fd);
    execl(Program().c_str(), "sluicectl", "unpack", reference.c_str(), directory.c_str(), nullptr);
    _exit(127);
  }
  AwaitHang();
  for (const int fd : {STDOUT_FILENO, STDERR_FILENO}) {
    EXPECT_EQ(std::filesystem::read_symlink(absl::StrCat("/proc/", pid, "/fd/", fd)), "/dev/null") << fd;
  }
  kill(pid, SIGTERM);
  int status = 0;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_EQ(WEXITSTATUS(status), 128 + SIGTERM);
}

TEST_F(SluicectlRegistryTest, OnATerminalABarIsShownAndTakenAway) {
  Serve(image_.layers[2].digest.Hex());
  winsize size = {};
  size.ws_col = 100;
  size.ws_row = 24;
  int terminal = -1;
  const std::vector<std::string> arguments = {Program(), "unpack", Ref(), work_.At("root")};
  const pid_t pid = forkpty(&terminal, nullptr, nullptr, &size);
  if (pid == 0) {
    setenv("TERM", "xterm", 1);
    execl(Program().c_str(), arguments[0].c_str(), arguments[1].c_str(), arguments[2].c_str(), arguments[3].c_str(),
          nullptr);
    _exit(127);
  }
  const UniqueFd fd(terminal);
  std::string shown;
  const auto read_more = [&] {
    char buffer[4096];
    const ssize_t count = read(fd.get(), buffer, sizeof(buffer));
    if (count > 0) shown.append(buffer, static_cast<size_t>(count));
    return count > 0;
  };
  while (!absl::StrContains(shown, "B/s") && read_more()) {
  }
  EXPECT_THAT(shown, HasSubstr("%  "));
  // Ctrl-C, as the terminal sends it.
  ASSERT_EQ(write(fd.get(), "\x03", 1), 1);
  while (read_more()) {
  }
  int status = 0;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_EQ(WEXITSTATUS(status), 130);
  EXPECT_THAT(shown, HasSubstr("\r\x1b[Ksluicectl: "));
  EXPECT_THAT(NamesIn(work_.path()), IsEmpty());
}

}  // namespace
}  // namespace sluice
