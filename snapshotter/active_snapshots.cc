#include "snapshotter/active_snapshots.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "base/errno_status.h"
#include "base/status_macros.h"
#include "snapshotter/mounts.h"
#include "snapshotter/path_layout.h"
#include "snapshotter/snapshot_errors.h"

namespace sluice {
namespace {

constexpr char kUpperOption[] = "upperdir=";

absl::Status NotOursError() {
  return absl::UnimplementedError("apply: the mounts are not those of an active snapshot of this daemon");
}

absl::Status NoLongerActiveError(const std::string& key) {
  return absl::FailedPreconditionError(absl::StrCat("apply: snapshot ", key, ": was committed or removed meanwhile"));
}

absl::Status NotEmptyError(const std::string& key) {
  return absl::FailedPreconditionError(absl::StrCat("apply: snapshot ", key, ": is not empty"));
}

}  // namespace

ActiveSnapshots::ActiveSnapshots(SnapshotTree& tree, MetadataStore& metadata)
    : tree_(tree), metadata_(metadata), index_off_(OverlayHasIndexOption()) {}

// The path is only read: what is opened in the end is the directory of the row that has this number.
std::optional<int64_t> ActiveSnapshots::OwnDirectory(const std::vector<Mount>& mounts) const {
  if (mounts.size() != 1) return std::nullopt;
  const Mount& mount = mounts.front();
  if (mount.type == "bind") return tree_.layout().ParseFsPath(mount.source);
  if (mount.type != "overlay") return std::nullopt;
  for (absl::string_view option : mount.options) {
    if (absl::ConsumePrefix(&option, kUpperOption)) return tree_.layout().ParseFsPath(option);
  }
  return std::nullopt;
}

bool ActiveSnapshots::MayOwn(const std::vector<Mount>& mounts) const { return OwnDirectory(mounts).has_value(); }

absl::StatusOr<ActiveSnapshot> ActiveSnapshots::Find(const std::vector<Mount>& mounts) {
  const std::optional<int64_t> directory_id = OwnDirectory(mounts);
  if (!directory_id.has_value()) return NotOursError();
  ActiveSnapshot found;
  found.directory_id = *directory_id;
  MountPlan plan = {.kind = SnapshotKind::kActive, .directory = directory_id, .parents = {}};
  RETURN_IF_ERROR(metadata_.Read([&](const MetadataReader& reader) -> absl::Status {
    ASSIGN_OR_RETURN(const std::optional<SnapshotRow> row, reader.ActiveWithDirectory(*directory_id));
    if (!row.has_value()) return NotOursError();
    found.key = row->key;
    ASSIGN_OR_RETURN(plan.parents, reader.DirectoriesBelow(*row));
    if (row->adopted_id.has_value()) {
      ASSIGN_OR_RETURN(found.adopted, reader.Layer(*row->adopted_id));
    }
    if (!row->parent_id.has_value()) return absl::OkStatus();
    ASSIGN_OR_RETURN(const std::vector<int64_t> directories, reader.ChainDirectories(*row->parent_id));
    found.below = WithoutRepetitions(directories);
    found.has_parent = true;
    ASSIGN_OR_RETURN(const std::optional<SnapshotRow> parent, reader.Snapshot(row->snapshotter, row->parent_key));
    if (parent.has_value()) found.parent_chain_id = parent->chain_id;
    return absl::OkStatus();
  }));
  if (mounts == MountsOf(tree_.layout(), plan, index_off_)) return found;
  plan.parents = found.below;
  if (mounts == MountsOf(tree_.layout(), plan, index_off_)) return found;
  return NotOursError();
}

absl::StatusOr<bool> ActiveSnapshots::IsEmpty(const ActiveSnapshot& snapshot) const {
  absl::StatusOr<bool> empty = tree_.IsEmpty(snapshot.directory_id);
  if (!absl::IsNotFound(empty.status())) return empty;
  return DirectoryMissingError("apply", snapshot.key, tree_.layout().SnapshotPath(snapshot.directory_id));
}

absl::StatusOr<std::vector<UniqueFd>> ActiveSnapshots::OpenBelow(const ActiveSnapshot& snapshot) const {
  std::vector<UniqueFd> fds;
  fds.reserve(snapshot.below.size());
  for (const int64_t directory_id : snapshot.below) {
    absl::StatusOr<UniqueFd> fd = tree_.OpenFs(directory_id);
    if (absl::IsNotFound(fd.status())) {
      return DirectoryMissingError("apply", snapshot.key, tree_.layout().SnapshotPath(directory_id));
    }
    RETURN_IF_ERROR(fd.status());
    fds.push_back(*std::move(fd));
  }
  return fds;
}

absl::Status ActiveSnapshots::Fill(const ActiveSnapshot& snapshot, StagedDirectory staged) {
  RETURN_IF_ERROR(TakeOverAttributes(snapshot, staged));
  // In a transaction, so that no Commit or Remove comes between look and rename.
  return metadata_.Write([&](MetadataWriter& writer) -> absl::Status {
    ASSIGN_OR_RETURN(const std::optional<SnapshotRow> row, writer.ActiveWithDirectory(snapshot.directory_id));
    if (!row.has_value()) return NoLongerActiveError(snapshot.key);
    if (row->adopted_id.has_value()) return NotEmptyError(snapshot.key);
    return Annotate(tree_.ReplaceEmptyFs(std::move(staged), snapshot.directory_id),
                    absl::StrCat("apply: snapshot ", snapshot.key));
  });
}

absl::StatusOr<bool> ActiveSnapshots::Adopt(const ActiveSnapshot& snapshot, const LayerRecord& layer,
                                            const std::optional<Digest>& chain_id) {
  bool claimed = false;
  RETURN_IF_ERROR(metadata_.Write([&](MetadataWriter& writer) -> absl::Status {
    ASSIGN_OR_RETURN(std::optional<SnapshotRow> row, writer.ActiveWithDirectory(snapshot.directory_id));
    if (!row.has_value()) return NoLongerActiveError(snapshot.key);
    ASSIGN_OR_RETURN(const bool empty, IsEmpty(snapshot));
    if (!empty || row->adopted_id.has_value()) return NotEmptyError(snapshot.key);
    ASSIGN_OR_RETURN(const std::optional<LayerRecord> present, writer.Layer(layer.id));
    if (!present.has_value()) return absl::OkStatus();
    claimed = true;
    row->adopted_id = layer.id;
    row->chain_id = chain_id;
    return writer.SetContent(*row);
  }));
  return claimed;
}

// A layer says nothing of the root: that of a snapshot is as its parents' (see Snapshotter::Place).
absl::Status ActiveSnapshots::TakeOverAttributes(const ActiveSnapshot& snapshot, const StagedDirectory& staged) const {
  ASSIGN_OR_RETURN(const UniqueFd own, tree_.OpenFs(snapshot.directory_id));
  struct stat info;
  if (fstat(own.get(), &info) != 0) return ErrnoStatus(errno, "fstat", kFsName);
  if (fchown(staged.fs_fd(), info.st_uid, info.st_gid) != 0) return ErrnoStatus(errno, "fchown", kFsName);
  if (fchmod(staged.fs_fd(), info.st_mode & 07777) != 0) return ErrnoStatus(errno, "fchmod", kFsName);
  return absl::OkStatus();
}

}  // namespace sluice
