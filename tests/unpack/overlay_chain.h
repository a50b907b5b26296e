// A chain of layer directories in overlay form. The tests of unpacking are linked with one of two: :overlay_chain has
// the unpacker alone, :applied_chain goes all the way that containerd takes, by Prepare, Apply and Commit.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "tests/testing/overlay_mount.h"
#include "unpack/layer.h"

namespace sluice::testing {

class OverlayChain {
 public:
  OverlayChain();
  ~OverlayChain();

  // Unpacks one more layer on top. What is not known of an applied layer is not filled in.
  absl::StatusOr<UnpackedLayer> Add(const LayerSource& source, const UnpackOptions& options = {});
  // The first `count` layers, base first, as the kernel merges them.
  absl::StatusOr<std::unique_ptr<OverlayMount>> Mount(size_t count) const;
  // The directory of one layer as it is on disk, whiteouts and all. 0 is the base.
  const std::string& directory(size_t layer) const;
  size_t size() const;
  // Adds a failure to the running test if a layer touched anything but its directory.
  void ExpectNothingOutsideTouched() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::testing
