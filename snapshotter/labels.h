// The labels that mean something to the snapshot state. What the image's labels say of a layer is read by
// fill/layer_hints.
#pragma once

#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "snapshotter/snapshot.h"

namespace sluice {

// On Prepare: the chainID of the layer that the client wants; on a committed snapshot: what it holds. Exact spelling by
// containerd snapshots/snapshotter.go.
inline constexpr char kRefLabel[] = "containerd.io/snapshot.ref";

// Put on snapshots that were committed without containerd fetching the layer, as remote snapshotters do.
inline constexpr char kRemoteLabel[] = "containerd.io/snapshot/remote";
inline constexpr char kRemoteLabelValue[] = "remote snapshot";

// The image as it was pulled, where the client says so (containerd pkg/snapshotters). For log lines only.
inline constexpr char kImageRefLabel[] = "containerd.io/snapshot/cri.image-ref";

// The value of `label`, or "" without it; containerd does not store empty values either.
inline std::string LabelValue(const Labels& labels, const char* label) {
  const auto found = labels.find(label);
  return found == labels.end() ? std::string() : found->second;
}

// A value from outside as it may stand in a message: on one line, however long it is and whatever is in it.
inline std::string ShownValue(absl::string_view value) {
  constexpr size_t kMost = 256;
  return absl::StrCat(absl::CHexEscape(value.substr(0, kMost)), value.size() > kMost ? "..." : "");
}

}  // namespace sluice
