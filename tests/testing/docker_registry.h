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
  // `directory` exists. Serves when the constructor returns; deletion is enabled.
  explicit DockerRegistry(const std::string& directory);
  ~DockerRegistry();
  DockerRegistry(const DockerRegistry&) = delete;
  DockerRegistry& operator=(const DockerRegistry&) = delete;

  std::string host() const;  // "127.0.0.1:<port>"
  // Its storage's root directory, which holds docker/registry/v2.
  const std::string& storage() const { return storage_; }

  // `docker-registry garbage-collect`, beside the running one.
  void CollectGarbage() const;

 private:
  const std::string storage_;
  const std::string config_path_;
  int port_ = 0;
  pid_t pid_ = -1;
};

// Runs `command` in a shell; one that fails ends the test program with a message.
void RunCommand(const std::string& command);

}  // namespace sluice::testing
