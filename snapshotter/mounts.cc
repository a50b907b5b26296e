#include "snapshotter/mounts.h"

#include <unistd.h>

#include <string>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace sluice {
namespace {

Mount Bind(std::string source, bool writable) { return {"bind", std::move(source), {writable ? "rw" : "ro", "rbind"}}; }

}  // namespace

std::vector<int64_t> WithoutRepetitions(const std::vector<int64_t>& directories) {
  std::vector<int64_t> distinct;
  absl::flat_hash_set<int64_t> seen;
  for (const int64_t directory : directories) {
    if (seen.insert(directory).second) distinct.push_back(directory);
  }
  return distinct;
}

bool OverlayHasIndexOption() { return access("/sys/module/overlay/parameters/index", F_OK) == 0; }

std::vector<Mount> MountsOf(const PathLayout& layout, const MountPlan& plan, bool index_off) {
  const std::vector<int64_t> parents = WithoutRepetitions(plan.parents);
  const bool writable = plan.kind == SnapshotKind::kActive;
  if (parents.empty()) return {Bind(layout.FsPath(plan.directory.value_or(0)), writable)};
  // overlayfs refuses a single lower directory without an upper one.
  if (!writable && parents.size() == 1) return {Bind(layout.FsPath(parents.front()), writable)};

  Mount overlay{"overlay", "overlay", {}};
  if (index_off) overlay.options.push_back("index=off");
  if (writable) {
    overlay.options.push_back(absl::StrCat("workdir=", layout.WorkPath(plan.directory.value_or(0))));
    overlay.options.push_back(absl::StrCat("upperdir=", layout.FsPath(plan.directory.value_or(0))));
  }
  overlay.options.push_back(
      absl::StrCat("lowerdir=", absl::StrJoin(parents, ":", [&layout](std::string* out, int64_t directory) {
                     out->append(layout.FsPath(directory));
                   })));
  return {overlay};
}

}  // namespace sluice
