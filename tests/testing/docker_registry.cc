#include "tests/testing/docker_registry.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "base/unique_fd.h"

namespace sluice::testing {
namespace {

[[noreturn]] void Die(absl::string_view text) {
  std::cerr << "DockerRegistry: " << text << std::endl;
  std::abort();
}

std::string ReadLog(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

sockaddr_in Loopback(int port) {
  sockaddr_in name = {};
  name.sin_family = AF_INET;
  name.sin_port = htons(static_cast<uint16_t>(port));
  name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return name;
}

int FreePort() {
  sockaddr_in name = Loopback(0);
  socklen_t size = sizeof(name);
  const UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&name), size) != 0) Die("no free port");
  if (getsockname(fd.get(), reinterpret_cast<sockaddr*>(&name), &size) != 0) Die("no free port");
  return ntohs(name.sin_port);
}

bool Listens(int port) {
  const sockaddr_in name = Loopback(port);
  const UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  return connect(fd.get(), reinterpret_cast<const sockaddr*>(&name), sizeof(name)) == 0;
}

}  // namespace

DockerRegistry::DockerRegistry(const std::string& directory, const std::string& http, const std::string& rest)
    : port_(FreePort()),
      storage_(absl::StrCat(directory, "/data")),
      config_path_(absl::StrCat(directory, "/config-", port_, ".yml")),
      access_log_(absl::StrCat(directory, "/access-", port_, ".log")) {
  std::ofstream(config_path_) << "version: 0.1\nlog: {level: error}\nstorage:\n"
                              << "  filesystem: {rootdirectory: " << storage_ << "}\n  delete: {enabled: true}\n"
                              << rest << "\nhttp:\n  addr: " << host() << "\n  " << http << "\n";
  const std::string log_path = absl::StrCat(directory, "/log-", port_);
  pid_ = fork();
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(open(access_log_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644), STDOUT_FILENO);
    // It logs every blob that a client asks for before it pushes it.
    dup2(open(log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644), STDERR_FILENO);
    execlp("docker-registry", "docker-registry", "serve", config_path_.c_str(), nullptr);
    _exit(127);
  }
  for (int tries = 600; !Listens(port_); --tries) {
    int status = 0;
    if (tries == 0 || pid_ < 0 || waitpid(pid_, &status, WNOHANG) == pid_)
      Die(absl::StrCat("docker-registry does not start: ", ReadLog(log_path)));
    const timespec pause = {0, 50'000'000};
    nanosleep(&pause, nullptr);
  }
}

DockerRegistry::~DockerRegistry() {
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

std::string DockerRegistry::host() const { return absl::StrCat("127.0.0.1:", port_); }

std::string DockerRegistry::HostsDirectory() const { return absl::StrCat("127.0.0.1_", port_, "_"); }

void DockerRegistry::CollectGarbage() const {
  RunCommand(absl::StrCat("docker-registry garbage-collect ", config_path_, " >/dev/null"));
}

void RunCommand(const std::string& command) {
  if (std::system(command.c_str()) != 0) Die(absl::StrCat("failed: ", command));
}

}  // namespace sluice::testing
