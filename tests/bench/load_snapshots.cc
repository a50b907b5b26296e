// load_snapshots ROOT COUNT: the state of a daemon with COUNT committed snapshots, in one transaction: chains of ten,
// each with two labels and a directory. The daemon must not run. tests/conformance/rpc_bench_load_test.go makes the
// same of containerd's overlay snapshotter.
#include <sys/stat.h>

#include <cerrno>
#include <cstdlib>
#include <iostream>
#include <optional>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "base/errno_status.h"
#include "base/status_macros.h"
#include "snapshotter/containerd_labels.h"
#include "snapshotter/metadata/metadata_store.h"
#include "snapshotter/snapshot_tree.h"

namespace sluice {
namespace {

constexpr int64_t kChain = 10;
constexpr mode_t kMode = 0755;

absl::Status MakeDirectory(const std::string& path) {
  return mkdir(path.c_str(), kMode) == 0 ? absl::OkStatus() : ErrnoStatus(errno, "mkdir", path);
}

absl::Status LoadSnapshots(const std::string& root, int64_t count) {
  ASSIGN_OR_RETURN(PathLayout layout, PathLayout::ForRoot(root));
  ASSIGN_OR_RETURN(const std::unique_ptr<SnapshotTree> tree, SnapshotTree::Open(layout));
  ASSIGN_OR_RETURN(const std::unique_ptr<MetadataStore> metadata, MetadataStore::Open(layout.DatabasePath()));
  int64_t first_id = 0;
  for (int64_t i = 0; i < count; ++i) {
    ASSIGN_OR_RETURN(const int64_t id, metadata->NextDirectoryId());
    if (i == 0) first_id = id;
    RETURN_IF_ERROR(MakeDirectory(layout.SnapshotPath(id)));
    RETURN_IF_ERROR(MakeDirectory(layout.FsPath(id)));
  }
  return metadata->Write([&](MetadataWriter& writer) -> absl::Status {
    std::optional<int64_t> parent;
    for (int64_t i = 0; i < count; ++i) {
      SnapshotRow row;
      row.snapshotter = "sluice";
      row.key = absl::StrFormat("default/%d/sha256:%064d", i, i);
      row.kind = SnapshotKind::kCommitted;
      if (i % kChain != 0) row.parent_id = parent;
      row.directory_id = first_id + i;
      row.created = row.updated = absl::Now();
      row.usage = Usage{4096, 1};
      ASSIGN_OR_RETURN(parent, writer.InsertSnapshot(row, {{kRefLabel, absl::StrFormat("sha256:%064d", i)},
                                                           {"bench.owner", absl::StrCat(i)}}));
    }
    return absl::OkStatus();
  });
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) {
  int64_t count = 0;
  if (argc != 3 || !absl::SimpleAtoi(argv[2], &count) || count < 0) {
    std::cerr << "usage: load_snapshots ROOT COUNT" << std::endl;
    return EXIT_FAILURE;
  }
  const absl::Status status = sluice::LoadSnapshots(argv[1], count);
  if (status.ok()) return EXIT_SUCCESS;
  std::cerr << "load_snapshots: " << status.message() << std::endl;
  return EXIT_FAILURE;
}
