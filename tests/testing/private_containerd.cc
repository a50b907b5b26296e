#include "tests/testing/private_containerd.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>

#include "absl/strings/str_cat.h"
#include "base/unique_fd.h"

namespace sluice::testing {
namespace {

constexpr char kProgram[] = "/usr/bin/containerd";
constexpr int kStartSeconds = 30;

[[noreturn]] void Die(absl::string_view text, const std::string& log_path) {
  std::cerr << "PrivateContainerd: " << std::string(text) << "\n" << std::ifstream(log_path).rdbuf() << std::endl;
  std::abort();
}

bool Answers(const std::string& socket_path) {
  const UniqueFd client(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  struct sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, socket_path.c_str(), sizeof(address.sun_path) - 1);
  return connect(client.get(), reinterpret_cast<struct sockaddr*>(&address), sizeof(address)) == 0;
}

}  // namespace

PrivateContainerd::PrivateContainerd(absl::string_view config, TempDir::Place place)
    : directory_(place), socket_path_(directory_.At("c.sock")), config_path_(directory_.At("config.toml")) {
  // cri wants a CNI, opt writes to /opt, the others probe the host's disks.
  std::ofstream(config_path_) << absl::StrCat(
      "version = 2\nroot = \"", directory_.At("root"), "\"\nstate = \"", directory_.At("state"),
      "\"\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\", \"io.containerd.internal.v1.opt\", "
      "\"io.containerd.snapshotter.v1.aufs\", \"io.containerd.snapshotter.v1.btrfs\", "
      "\"io.containerd.snapshotter.v1.devmapper\", \"io.containerd.snapshotter.v1.zfs\", "
      "\"io.containerd.internal.v1.tracing\", \"io.containerd.tracing.processor.v1.otlp\"]\n[grpc]\n  address = \"",
      socket_path_, "\"\n[ttrpc]\n  address = \"", directory_.At("t.sock"), "\"\n", config, "\n");
  Start();
}

PrivateContainerd::~PrivateContainerd() { Stop(); }

void PrivateContainerd::Start() {
  const std::string log_path = directory_.At("containerd.log");
  pid_ = fork();
  if (pid_ == 0) {
    // Also when the test is killed.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int log = open(log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    execl(kProgram, kProgram, "--config", config_path_.c_str(), static_cast<char*>(nullptr));
    _exit(127);
  }
  for (int tries = kStartSeconds * 20; !Answers(socket_path_); --tries) {
    int status = 0;
    if (pid_ < 0 || waitpid(pid_, &status, WNOHANG) == pid_) Die(absl::StrCat(kProgram, " does not start"), log_path);
    if (tries == 0) Die(absl::StrCat(kProgram, " does not serve"), log_path);
    const struct timespec pause = {0, 50'000'000};
    nanosleep(&pause, nullptr);
  }
}

void PrivateContainerd::Stop() {
  if (pid_ < 0) return;
  kill(pid_, SIGTERM);
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

}  // namespace sluice::testing
