// The layers below the one that is being settled: looked up alike in both forms, hidden in different ways.
#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "unpack/merged_view.h"

namespace sluice {

class LayersBelow {
 public:
  virtual ~LayersBelow() = default;

  virtual const MergedView& view() const = 0;
  // Whether a directory that only whiteouts are in must be made in the layer to hold them.
  virtual bool marks_are_entries() const = 0;
  // Hides `name` in `directory`, which is there below; in the layer nothing has that name.
  virtual absl::Status HideName(absl::string_view directory, absl::string_view name) = 0;
  // Hides everything in `directory`, a directory below and in the layer.
  virtual absl::Status HideContent(absl::string_view directory) = 0;
};

}  // namespace sluice
