// A snapshot's directories → the mounts that containerd's own overlay snapshotter would give (containerd
// snapshots/overlay/overlay.go, mounts).
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "snapshotter/path_layout.h"
#include "snapshotter/snapshot.h"

namespace sluice {

struct MountPlan {
  SnapshotKind kind = SnapshotKind::kActive;  // kView or kActive
  std::optional<int64_t> directory;           // the snapshot's own; a view with parents has none
  // Those of the chain below, topmost first. A directory may occur more than once, since layers of equal content share
  // theirs; the kernel refuses such a list (ELOOP), so it is mounted once, at its topmost place.
  std::vector<int64_t> parents;
};

// Whether the kernel's overlayfs knows the option "index". It may then be on by default, and would refuse to mount a
// directory that another mount uses as upper.
bool OverlayHasIndexOption();

// `index_off`: OverlayHasIndexOption().
std::vector<Mount> MountsOf(const PathLayout& layout, const MountPlan& plan, bool index_off);

// `directories` without those that came before.
std::vector<int64_t> WithoutRepetitions(const std::vector<int64_t>& directories);

}  // namespace sluice
