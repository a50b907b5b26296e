// Debian's docker-registry on a loopback port of its own, with its storage in a directory of the test's.
#pragma once

#include <sys/types.h>

#include <string>

#include "absl/strings/string_view.h"

namespace sluice::testing {

// What it can't start or run ends the test program with a message. Ends with the test program, however that ends. One
// thread at a time.
class DockerRegistry {
 public:
  // Serves the tree in `directory`/data, which several may share; `directory` exists. Deletion is enabled. `http` is
  // what stands below "http:" in its configuration beside the address, `rest` any other section, as YAML in flow style,
  // one per line. Serves when the constructor returns.
  explicit DockerRegistry(const std::string& directory, const std::string& http = "", const std::string& rest = "");
  ~DockerRegistry();
  DockerRegistry(const DockerRegistry&) = delete;
  DockerRegistry& operator=(const DockerRegistry&) = delete;

  std::string host() const;  // "127.0.0.1:<port>"
  // "127.0.0.1_<port>_": its directory below containerd's certs.d.
  std::string HostsDirectory() const;
  // Its storage's root directory, which holds docker/registry/v2.
  const std::string& storage() const { return storage_; }
  // The file with a line for each request, such as «… "GET /v2/a/app/manifests/1 HTTP/2.0" 200 …».
  const std::string& access_log() const { return access_log_; }

  // `docker-registry garbage-collect`, beside the running one.
  void CollectGarbage() const;

 private:
  const int port_;
  const std::string storage_;
  const std::string config_path_;
  const std::string access_log_;
  pid_t pid_ = -1;
};

// Runs `command` in a shell; one that fails ends the test program with a message.
void RunCommand(const std::string& command);

}  // namespace sluice::testing
