// A containerd of a test's own: root, state, socket and configuration in a temporary directory. The host's is neither
// seen nor touched, and no container is run.
#pragma once

#include <sys/types.h>

#include <string>

#include "absl/strings/string_view.h"
#include "tests/testing/temp_dir.h"

namespace sluice::testing {

// Needs root and /usr/bin/containerd; what it can't start ends the test program with a message. One thread at a time.
class PrivateContainerd {
 public:
  // Serves when the constructor returns. `config` is appended to the configuration file, e.g. a [proxy_plugins.x]
  // table. In memory it writes thousands of documents in seconds: on a disk each of them waits for three syncs.
  explicit PrivateContainerd(absl::string_view config = "", TempDir::Place place = TempDir::Place::kDisk);
  ~PrivateContainerd();
  PrivateContainerd(const PrivateContainerd&) = delete;
  PrivateContainerd& operator=(const PrivateContainerd&) = delete;

  const std::string& socket_path() const { return socket_path_; }

  void Stop();
  // After Stop(): the same containerd again.
  void Start();

 private:
  TempDir directory_;
  const std::string socket_path_;
  const std::string config_path_;
  pid_t pid_ = -1;
};

}  // namespace sluice::testing
