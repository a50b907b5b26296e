// Who may stop the unpacking of a layer: the caller, and unpack/ itself when another layer of the same tree has failed.
#pragma once

#include "absl/status/status.h"
#include "base/cancellation.h"

namespace sluice {

// A value of two borrowed flags, each may be null. Thread-safe.
class Interruption {
 public:
  Interruption() = default;
  explicit Interruption(const Cancellation* caller, const Cancellation* sibling = nullptr)
      : caller_(caller), sibling_(sibling) {}

  bool requested() const {
    return (caller_ != nullptr && caller_->cancelled()) || (sibling_ != nullptr && sibling_->cancelled());
  }
  absl::Status Check() const { return requested() ? absl::CancelledError("cancelled") : absl::OkStatus(); }

 private:
  const Cancellation* caller_ = nullptr;
  const Cancellation* sibling_ = nullptr;
};

}  // namespace sluice
