// What hostile layers aim at, and how to see that they missed.
#pragma once

#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "tests/testing/temp_dir.h"

namespace sluice::testing {

// A directory beside which things stand that no layer may touch: ../outside as seen from path(), and OutsidePath().
class GuardedRoot {
 public:
  GuardedRoot();

  const std::string& path() const { return path_; }
  int fd() const { return fd_.get(); }
  // Adds a failure to the running test if anything outside changed since construction, the directory above included.
  void ExpectNothingOutsideTouched() const;

 private:
  TempDir parent_;
  std::string path_;
  UniqueFd fd_;
  std::vector<std::string> before_;
};

// The absolute path of a directory that hostile layers aim at: it has "secret" (a file), "dir/inner" and is mode 0755.
const std::string& OutsidePath();

}  // namespace sluice::testing
