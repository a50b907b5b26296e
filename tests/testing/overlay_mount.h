// A read-only view of layer directories, mounted by the kernel, as containerd mounts a View.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "tests/testing/temp_dir.h"

namespace sluice::testing {

// Unmounted by the destructor. The first Create() moves the calling thread to a mount namespace of its own, with
// everything in it private: nothing propagates to the host, and nothing stays when the test is killed. So call it from
// the main thread before others start. Needs root. One thread at a time.
class OverlayMount {
 public:
  // `lower_directories`: absolute paths without ':' and ',', topmost first. A single one becomes a bind mount, as
  // overlayfs wants at least two. Errors: what mount(2) says, with the options.
  static absl::StatusOr<std::unique_ptr<OverlayMount>> Create(absl::Span<const std::string> lower_directories);
  ~OverlayMount();
  OverlayMount(const OverlayMount&) = delete;
  OverlayMount& operator=(const OverlayMount&) = delete;

  // Where it is mounted.
  const std::string& path() const { return target_.path(); }

 private:
  OverlayMount() = default;

  TempDir target_;
  bool mounted_ = false;
};

}  // namespace sluice::testing
