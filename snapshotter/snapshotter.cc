#include "snapshotter/snapshotter.h"

#include <sys/stat.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/errno_status.h"
#include "base/status_macros.h"
#include "glog/logging.h"
#include "snapshotter/filter.h"
#include "snapshotter/snapshot_errors.h"
#include "snapshotter/usage.h"

namespace sluice {
namespace {

constexpr absl::Duration kCleanupLimit = absl::Seconds(60);
// Counted in a millisecond.
constexpr int64_t kFewInodes = 500;

absl::StatusOr<SnapshotRow> Require(const MetadataReader& reader, absl::string_view operation,
                                    const std::string& snapshotter, const std::string& key) {
  ASSIGN_OR_RETURN(std::optional<SnapshotRow> row, reader.Snapshot(snapshotter, key));
  if (!row.has_value()) return SnapshotNotFoundError(operation, key);
  return *std::move(row);
}

absl::StatusOr<SnapshotInfo> InfoOf(const MetadataReader& reader, SnapshotRow row) {
  ASSIGN_OR_RETURN(Labels labels, reader.LabelsOf(row.id));
  return SnapshotInfo{std::move(row.key), std::move(row.parent_key), row.kind, row.created,
                      row.updated,        std::move(labels)};
}

// Nothing if it must be counted.
std::optional<Usage> KnownUsage(const SnapshotRow& row) {
  if (row.usage.has_value()) return row.usage;
  if (row.kind == SnapshotKind::kView || !row.directory_id.has_value()) return Usage{};
  return std::nullopt;
}

// `labels` changed as the field mask `paths` says.
absl::StatusOr<Labels> MaskedLabels(Labels current, const Labels& given, const std::vector<std::string>& paths) {
  if (paths.empty()) return given;
  for (const std::string& path : paths) {
    absl::string_view key = path;
    if (path == "labels") {
      current = given;
    } else if (absl::ConsumePrefix(&key, "labels.")) {
      const auto value = given.find(std::string(key));
      if (value == given.end()) {
        current.erase(std::string(key));
      } else {
        current[std::string(key)] = value->second;
      }
    } else {
      return ImmutableFieldError(path);
    }
  }
  return current;
}

}  // namespace

Snapshotter::Snapshotter(const SnapshotterParts& parts) : parts_(parts), index_off_(OverlayHasIndexOption()) {
  // What an earlier life has committed and not counted.
  const absl::Status status = parts_.metadata->Read([this](const MetadataReader& reader) -> absl::Status {
    ASSIGN_OR_RETURN(const std::vector<SnapshotRow> uncounted, reader.Uncounted());
    for (const SnapshotRow& row : uncounted) CountLater(row);
    return absl::OkStatus();
  });
  if (!status.ok()) LOG(WARNING) << "start: usage: " << status.message();
}

Snapshotter::~Snapshotter() = default;

absl::StatusOr<std::vector<Mount>> Snapshotter::View(const PrepareRequest& request) {
  return Create(SnapshotKind::kView, request);
}

absl::StatusOr<SnapshotRow> Snapshotter::NewRow(const MetadataReader& reader, SnapshotKind kind,
                                                const PrepareRequest& request) {
  const absl::string_view operation = kind == SnapshotKind::kView ? "view" : "prepare";
  SnapshotRow row;
  row.snapshotter = request.snapshotter;
  row.key = request.key;
  row.kind = kind;
  row.created = row.updated = parts_.now();
  if (!request.parent.empty()) {
    ASSIGN_OR_RETURN(const std::optional<SnapshotRow> parent, reader.Snapshot(request.snapshotter, request.parent));
    if (!parent.has_value()) return ParentNotFoundError(operation, request.parent);
    if (parent->kind != SnapshotKind::kCommitted) return ParentNotCommittedError(operation, request.parent);
    row.parent_id = parent->id;
  }
  // The key after the parent, as containerd does: of two reasons to refuse both give the same one.
  if (request.key.empty()) return EmptyKeyError(operation);
  ASSIGN_OR_RETURN(const std::optional<SnapshotRow> taken, reader.Snapshot(request.snapshotter, request.key));
  if (taken.has_value()) return KeyTakenError(operation, request.key);
  return row;
}

absl::StatusOr<std::vector<Mount>> Snapshotter::Create(SnapshotKind kind, const PrepareRequest& request) {
  SnapshotRow row;
  MountPlan plan;
  plan.kind = kind;
  const auto read = [&](const MetadataReader& reader) -> absl::Status {
    ASSIGN_OR_RETURN(row, NewRow(reader, kind, request));
    if (!row.parent_id.has_value()) return absl::OkStatus();
    ASSIGN_OR_RETURN(plan.parents, reader.ChainDirectories(*row.parent_id));
    return absl::OkStatus();
  };
  RETURN_IF_ERROR(ReadPlan("prepare", request.key, plan, read));
  // A view with parents has nothing of its own.
  if (kind == SnapshotKind::kActive || plan.parents.empty()) RETURN_IF_ERROR(Place(row, plan.parents));
  plan.directory = row.directory_id;

  // Asked again, since time has passed; the directory is there before its row.
  const absl::Status written = parts_.metadata->Write([&](MetadataWriter& writer) -> absl::Status {
    ASSIGN_OR_RETURN(const SnapshotRow again, NewRow(writer, kind, request));
    row.parent_id = again.parent_id;
    return writer.InsertSnapshot(row, request.labels).status();
  });
  if (!written.ok() && row.directory_id.has_value()) {
    parts_.tree->DiscardUnowned(*row.directory_id);
  }
  RETURN_IF_ERROR(written);
  return MountsOf(parts_.tree->layout(), plan, index_off_);
}

// Makes the row's own directory, with the owner of the topmost one below it.
absl::Status Snapshotter::Place(SnapshotRow& row, const std::vector<int64_t>& parents) {
  Owner owner;
  if (!parents.empty()) {
    ASSIGN_OR_RETURN(const UniqueFd parent, parts_.tree->OpenFs(parents.front()));
    struct stat info;
    if (fstat(parent.get(), &info) != 0) return ErrnoStatus(errno, "fstat", kFsName);
    owner = {info.st_uid, info.st_gid};
  }
  const bool active = row.kind == SnapshotKind::kActive;
  const bool roots = owner.uid == 0 && owner.gid == 0;
  if (parts_.spares != nullptr && active && roots) row.directory_id = parts_.spares->Take();
  if (row.directory_id.has_value()) return absl::OkStatus();
  ASSIGN_OR_RETURN(StagedDirectory staged, parts_.tree->Stage(active, owner));
  ASSIGN_OR_RETURN(const int64_t directory_id, parts_.metadata->NextDirectoryId());
  RETURN_IF_ERROR(parts_.tree->Publish(std::move(staged), directory_id));
  row.directory_id = directory_id;
  return absl::OkStatus();
}

absl::Status Snapshotter::ReadPlan(absl::string_view operation, const std::string& key, const MountPlan& plan,
                                   absl::FunctionRef<absl::Status(const MetadataReader&)> read) {
  RETURN_IF_ERROR(parts_.metadata->Read(read));
  const absl::Status there = CheckDirectories(operation, key, plan);
  // One may have been removed meanwhile, its row before its directory.
  if (!there.ok()) RETURN_IF_ERROR(parts_.metadata->Read(read));
  return there;
}

absl::Status Snapshotter::CheckDirectories(absl::string_view operation, const std::string& key,
                                           const MountPlan& plan) const {
  std::vector<int64_t> directories = plan.parents;
  if (plan.directory.has_value()) directories.push_back(*plan.directory);
  for (const int64_t directory : directories) {
    if (!parts_.tree->Exists(directory)) {
      return DirectoryMissingError(operation, key, parts_.tree->layout().SnapshotPath(directory));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<Mount>> Snapshotter::Mounts(const std::string& snapshotter, const std::string& key) {
  MountPlan plan;
  const auto read = [&](const MetadataReader& reader) -> absl::Status {
    ASSIGN_OR_RETURN(const SnapshotRow row, Require(reader, "mounts", snapshotter, key));
    if (row.kind == SnapshotKind::kCommitted) return CommittedHasNoMountsError(key);
    plan.kind = row.kind;
    plan.directory = row.directory_id;
    ASSIGN_OR_RETURN(plan.parents, reader.DirectoriesBelow(row));
    return absl::OkStatus();
  };
  RETURN_IF_ERROR(ReadPlan("mounts", key, plan, read));
  return MountsOf(parts_.tree->layout(), plan, index_off_);
}

absl::Status Snapshotter::Commit(const std::string& snapshotter, const std::string& name, const std::string& key,
                                 const Labels& labels) {
  // Before, so that the row needs no second transaction: who commits has ended writing.
  const std::optional<Usage> counted = CountIfSmall(snapshotter, key);
  SnapshotRow row;
  std::vector<int64_t> unused;
  const auto write = [&](MetadataWriter& writer) -> absl::Status {
    ASSIGN_OR_RETURN(row, Require(writer, "commit", snapshotter, key));
    if (name.empty()) return EmptyKeyError("commit");
    ASSIGN_OR_RETURN(const std::optional<SnapshotRow> taken, writer.Snapshot(snapshotter, name));
    if (taken.has_value()) return NameTakenError(name);
    if (row.kind != SnapshotKind::kActive) return CommitOfNonActiveError(key);
    MountPlan plan = {.kind = row.kind, .directory = row.directory_id, .parents = {}};
    if (row.adopted_id.has_value()) plan.parents.push_back(*row.adopted_id);
    RETURN_IF_ERROR(CheckDirectories("commit", key, plan));
    if (row.adopted_id.has_value()) {
      const int64_t own = row.directory_id.value_or(0);
      RETURN_IF_ERROR(SettleAdopted(writer, row));
      if (row.directory_id != own) unused.push_back(own);
    } else if (counted.has_value()) {
      row.usage = counted;
      RETURN_IF_ERROR(writer.SetUsage(row.id, *counted));
    }
    return writer.CommitSnapshot(row.id, name, labels, parts_.now());
  };
  RETURN_IF_ERROR(parts_.metadata->Write(write));
  DiscardUnused(unused);
  if (!row.usage.has_value()) CountLater(row);
  return absl::OkStatus();
}

// Where nothing was written, the layer is all that there is, and its directory becomes the snapshot's. Where something
// was, that lies over the layer, and nobody has proven what the two are together.
absl::Status Snapshotter::SettleAdopted(MetadataWriter& writer, SnapshotRow& row) {
  ASSIGN_OR_RETURN(const bool untouched, parts_.tree->AddsNothing(row.directory_id.value_or(0), *row.adopted_id));
  if (!untouched) {
    row.chain_id.reset();
    return writer.SetContent(row);
  }
  ASSIGN_OR_RETURN(const std::optional<LayerRecord> layer, writer.Layer(*row.adopted_id));
  if (layer.has_value()) {
    row.usage = Usage{layer->facts.usage_bytes, layer->facts.usage_inodes};
    RETURN_IF_ERROR(writer.SetUsage(row.id, *row.usage));
  }
  row.directory_id = std::exchange(row.adopted_id, std::nullopt);
  return writer.SetContent(row);
}

// Their rows are gone, so the answer is OK.
void Snapshotter::DiscardUnused(const std::vector<int64_t>& directories) {
  for (const int64_t directory : directories) parts_.tree->DiscardUnowned(directory);
}

absl::Status Snapshotter::Remove(const std::string& snapshotter, const std::string& key) {
  std::vector<int64_t> unused;
  const auto write = [&](MetadataWriter& writer) -> absl::Status {
    ASSIGN_OR_RETURN(const SnapshotRow row, Require(writer, "remove", snapshotter, key));
    ASSIGN_OR_RETURN(const bool has_children, writer.HasChildren(row.id));
    if (has_children) return RemoveWithChildrenError(key);
    RETURN_IF_ERROR(writer.DeleteSnapshot(row.id));
    for (const std::optional<int64_t>& directory : {row.directory_id, row.adopted_id}) {
      if (!directory.has_value()) continue;
      ASSIGN_OR_RETURN(const int64_t claims, writer.Claims(*directory));
      if (claims > 0) continue;
      unused.push_back(*directory);
      // Of no effect for a directory that is no layer's.
      RETURN_IF_ERROR(writer.DeleteLayer(*directory));
    }
    return absl::OkStatus();
  };
  RETURN_IF_ERROR(parts_.metadata->Write(write));
  DiscardUnused(unused);
  return absl::OkStatus();
}

absl::StatusOr<SnapshotInfo> Snapshotter::Stat(const std::string& snapshotter, const std::string& key) {
  SnapshotInfo info;
  RETURN_IF_ERROR(parts_.metadata->Read([&](const MetadataReader& reader) -> absl::Status {
    ASSIGN_OR_RETURN(SnapshotRow row, Require(reader, "stat", snapshotter, key));
    ASSIGN_OR_RETURN(info, InfoOf(reader, std::move(row)));
    return absl::OkStatus();
  }));
  return info;
}

absl::StatusOr<SnapshotInfo> Snapshotter::Update(const std::string& snapshotter, const std::string& key,
                                                 const Labels& labels, const std::vector<std::string>& paths) {
  SnapshotInfo info;
  const auto write = [&](MetadataWriter& writer) -> absl::Status {
    ASSIGN_OR_RETURN(SnapshotRow row, Require(writer, "update", snapshotter, key));
    ASSIGN_OR_RETURN(Labels current, writer.LabelsOf(row.id));
    ASSIGN_OR_RETURN(const Labels changed, MaskedLabels(std::move(current), labels, paths));
    RETURN_IF_ERROR(writer.ReplaceLabels(row.id, changed, parts_.now()));
    ASSIGN_OR_RETURN(row, Require(writer, "update", snapshotter, key));
    ASSIGN_OR_RETURN(info, InfoOf(writer, std::move(row)));
    return absl::OkStatus();
  };
  RETURN_IF_ERROR(parts_.metadata->Write(write));
  return info;
}

absl::StatusOr<std::vector<SnapshotInfo>> Snapshotter::List(const std::string& snapshotter,
                                                            const std::vector<std::string>& filters) {
  ASSIGN_OR_RETURN(const Filter filter, Filter::Parse(filters));
  std::vector<SnapshotInfo> infos;
  RETURN_IF_ERROR(parts_.metadata->Read([&](const MetadataReader& reader) -> absl::Status {
    if (const std::optional<Filter::Label> label = filter.RequiredLabel(); label.has_value()) {
      ASSIGN_OR_RETURN(infos, reader.ListByLabel(snapshotter, label->key, label->value));
    } else {
      ASSIGN_OR_RETURN(infos, reader.List(snapshotter));
    }
    return absl::OkStatus();
  }));
  std::erase_if(infos, [&filter](const SnapshotInfo& info) { return !filter.Matches(info); });
  return infos;
}

absl::StatusOr<Usage> Snapshotter::GetUsage(const std::string& snapshotter, const std::string& key,
                                            const Cancellation& cancellation) {
  ASSIGN_OR_RETURN(const SnapshotRow row, RowOf("usage", snapshotter, key));
  if (const std::optional<Usage> known = KnownUsage(row)) return *known;
  return Count(row, row.kind == SnapshotKind::kCommitted, &cancellation);
}

absl::StatusOr<std::optional<Usage>> Snapshotter::StoredUsage(const std::string& snapshotter, const std::string& key) {
  ASSIGN_OR_RETURN(const SnapshotRow row, RowOf("usage", snapshotter, key));
  return KnownUsage(row);
}

std::optional<Usage> Snapshotter::CountIfSmall(const std::string& snapshotter, const std::string& key) {
  const absl::StatusOr<SnapshotRow> row = RowOf("commit", snapshotter, key);
  if (!row.ok() || row->kind != SnapshotKind::kActive || row->adopted_id.has_value()) return std::nullopt;
  const absl::StatusOr<UniqueFd> fs = parts_.tree->OpenFs(row->directory_id.value_or(0));
  if (!fs.ok()) return std::nullopt;
  const absl::StatusOr<Usage> usage = DiskUsage(fs->get(), &stopping_, kFewInodes);
  return usage.ok() ? std::optional<Usage>(*usage) : std::nullopt;
}

absl::StatusOr<SnapshotRow> Snapshotter::RowOf(absl::string_view operation, const std::string& snapshotter,
                                               const std::string& key) {
  SnapshotRow row;
  RETURN_IF_ERROR(parts_.metadata->Read([&](const MetadataReader& reader) -> absl::Status {
    ASSIGN_OR_RETURN(row, Require(reader, operation, snapshotter, key));
    return absl::OkStatus();
  }));
  return row;
}

absl::StatusOr<Usage> Snapshotter::Count(const SnapshotRow& row, bool store, const Cancellation* cancellation) {
  ASSIGN_OR_RETURN(const UniqueFd fs, parts_.tree->OpenFs(row.directory_id.value_or(0)));
  ASSIGN_OR_RETURN(Usage usage, DiskUsage(fs.get(), cancellation));
  if (row.adopted_id.has_value()) {
    RETURN_IF_ERROR(parts_.metadata->Read([&](const MetadataReader& reader) -> absl::Status {
      ASSIGN_OR_RETURN(const std::optional<LayerRecord> layer, reader.Layer(*row.adopted_id));
      if (!layer.has_value()) return absl::OkStatus();
      usage.bytes += layer->facts.usage_bytes;
      usage.inodes += layer->facts.usage_inodes;
      return absl::OkStatus();
    }));
  }
  if (store) {
    RETURN_IF_ERROR(parts_.metadata->Write([&](MetadataWriter& writer) { return writer.SetUsage(row.id, usage); }));
  }
  return usage;
}

void Snapshotter::CountLater(const SnapshotRow& row) {
  parts_.walks->Submit([this, row] {
    if (stopping_.cancelled()) return;
    const absl::StatusOr<Usage> usage = Count(row, /*store=*/true, &stopping_);
    // NotFound: removed meanwhile, or missing and reported.
    if (!usage.ok() && !absl::IsNotFound(usage.status()) && !absl::IsCancelled(usage.status())) {
      LOG(WARNING) << "usage: " << parts_.tree->layout().FsPath(row.directory_id.value_or(0)) << ": "
                   << usage.status().message();
    }
  });
}

void Snapshotter::Cleanup(const Cancellation& cancellation) { parts_.janitor->Drain(kCleanupLimit, cancellation); }

void Snapshotter::Shutdown() {
  stopping_.Cancel();
  absl::flat_hash_set<std::shared_ptr<PendingPrepare>> calls;
  {
    const MutexLock lock(calls_mutex_);
    shut_down_ = true;
    calls.swap(calls_);
  }
  for (const std::shared_ptr<PendingPrepare>& call : calls) call->Cancel(ShuttingDownError());
}

}  // namespace sluice
