// The values that snapshots are described by: containerd's snapshots API without its wire types (containerd
// snapshots/snapshotter.go).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace sluice {

// The numbers are stored in the database.
enum class SnapshotKind { kView = 1, kActive = 2, kCommitted = 3 };

// As containerd writes it (snapshots/snapshotter.go, Kind.String, in lower case).
inline absl::string_view KindName(SnapshotKind kind) {
  switch (kind) {
    case SnapshotKind::kView:
      return "view";
    case SnapshotKind::kActive:
      return "active";
    case SnapshotKind::kCommitted:
      return "committed";
  }
  return "";
}

using Labels = std::map<std::string, std::string>;

// containerd's metadata layer makes every key "<namespace>/<sequence>/<the client's key>" (containerd
// metadata/snapshot.go, createKey).
inline std::string NamespaceOfKey(const std::string& key) { return key.substr(0, key.find('/')); }

struct SnapshotInfo {
  std::string name;    // the key of an active snapshot or a view, the name of a committed one
  std::string parent;  // the name of a committed snapshot; empty: none
  SnapshotKind kind = SnapshotKind::kActive;
  absl::Time created;
  absl::Time updated;
  Labels labels;

  bool operator==(const SnapshotInfo&) const = default;
};

// What a snapshot's own directory takes, parents excluded.
struct Usage {
  int64_t bytes = 0;   // allocated: st_blocks * 512
  int64_t inodes = 0;  // distinct ones, directories included

  bool operator==(const Usage&) const = default;
};

// One mount(2), to be made by whoever asked for it, in its own mount namespace.
struct Mount {
  std::string type;
  std::string source;
  std::vector<std::string> options;
  std::string target = {};  // below where the mounts before it are; none of ours has one

  bool operator==(const Mount&) const = default;
};

}  // namespace sluice
