#include "registry/client/docker_registry.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/unique_fd.h"

namespace sluice {
namespace {

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
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&name), size) != 0) std::abort();
  if (getsockname(fd.get(), reinterpret_cast<sockaddr*>(&name), &size) != 0) std::abort();
  return ntohs(name.sin_port);
}

bool Listens(int port) {
  const sockaddr_in name = Loopback(port);
  const UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  return connect(fd.get(), reinterpret_cast<const sockaddr*>(&name), sizeof(name)) == 0;
}

}  // namespace

DockerRegistry::DockerRegistry(const std::string& directory, const std::string& http, const std::string& rest) {
  const int port = FreePort();
  host_ = absl::StrCat("127.0.0.1:", port);
  access_log_ = absl::StrCat(directory, "/access-", port, ".log");
  const std::string config = absl::StrCat(directory, "/config-", port, ".yml");
  std::ofstream(config) << "version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: " << directory
                        << "/data}}\n"
                        << rest << "\nhttp:\n  addr: " << host_ << "\n  " << http << "\n";
  pid_ = fork();
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int log = open(access_log_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (log < 0 || dup2(log, STDOUT_FILENO) < 0) _exit(126);
    execlp("docker-registry", "docker-registry", "serve", config.c_str(), nullptr);
    _exit(127);
  }
  for (int i = 0; i < 200 && !Listens(port); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(50));
  if (Listens(port)) return;
  std::fprintf(stderr, "docker-registry does not start (apt-get install docker-registry)\n");
  std::abort();
}

DockerRegistry::~DockerRegistry() {
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

std::string DockerRegistry::HostsDirectory() const { return absl::StrReplaceAll(host_, {{":", "_"}}) + "_"; }

}  // namespace sluice
