// containerd's Images service: names for what is in the content store.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "registry/descriptor.h"
#include "snapshotter/service/containerd/session.h"

namespace sluice {

// Makes the record `name`, or points the one that is there to `target`.
absl::Status PutImage(ContainerdSession& session, const std::string& name, const Descriptor& target);

// The record alone goes; garbage collection, which has ended when this returns, takes what nothing else refers to. OK,
// too, if there is none.
absl::Status RemoveImage(ContainerdSession& session, const std::string& name);

}  // namespace sluice
