#include "snapshotter/snapshot_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "base/errno_status.h"
#include "base/remove_tree.h"
#include "base/status_macros.h"
#include "glog/logging.h"

namespace sluice {
namespace {

constexpr mode_t kPrivate = 0700;
constexpr mode_t kFsMode = 0755;
constexpr mode_t kWorkMode = 0711;
constexpr int kNameAttempts = 16;

absl::StatusOr<uint64_t> Random() {
  uint64_t random = 0;
  if (getrandom(&random, sizeof(random), 0) != sizeof(random)) return ErrnoStatus(errno, "getrandom", "");
  return random;
}

absl::StatusOr<UniqueFd> OpenDirectory(int parent_fd, const std::string& name, int flags = O_RDONLY) {
  UniqueFd fd(openat(parent_fd, name.c_str(), flags | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd.valid()) return ErrnoStatus(errno, "openat", name);
  return fd;
}

// The mode is exact whatever the umask is.
absl::StatusOr<UniqueFd> MakeDirectory(int parent_fd, const std::string& name, mode_t mode) {
  if (mkdirat(parent_fd, name.c_str(), kPrivate) != 0) return ErrnoStatus(errno, "mkdirat", name);
  absl::StatusOr<UniqueFd> fd = OpenDirectory(parent_fd, name);
  if (fd.ok() && fchmod(fd->get(), mode) != 0) fd = ErrnoStatus(errno, "fchmod", name);
  // Nobody else knows of it; where descriptors have run out, removing takes none.
  if (!fd.ok()) unlinkat(parent_fd, name.c_str(), AT_REMOVEDIR);
  return fd;
}

// What is in a snapshot's directory; its fs/.
absl::StatusOr<UniqueFd> FurnishDirectory(int directory_fd, bool work) {
  ASSIGN_OR_RETURN(UniqueFd fs, MakeDirectory(directory_fd, kFsName, kFsMode));
  if (work) RETURN_IF_ERROR(MakeDirectory(directory_fd, kWorkName, kWorkMode).status());
  return fs;
}

absl::StatusOr<UniqueFd> MakeOrOpenDirectory(int parent_fd, const std::string& name) {
  absl::StatusOr<UniqueFd> made = MakeDirectory(parent_fd, name, kPrivate);
  if (!absl::IsAlreadyExists(made.status())) return made;
  return OpenDirectory(parent_fd, name);
}

// Every missing directory of the path is made 0755, the last one 0700.
absl::StatusOr<UniqueFd> MakeRoot(const std::string& path) {
  for (size_t slash = path.find('/', 1); slash != std::string::npos; slash = path.find('/', slash + 1)) {
    const std::string above = path.substr(0, slash);
    if (mkdir(above.c_str(), kFsMode) != 0 && errno != EEXIST) return ErrnoStatus(errno, "mkdir", above);
  }
  if (mkdir(path.c_str(), kPrivate) != 0 && errno != EEXIST) return ErrnoStatus(errno, "mkdir", path);
  UniqueFd root(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root.valid()) return ErrnoStatus(errno, "open", path);
  if (fchmod(root.get(), kPrivate) != 0) return ErrnoStatus(errno, "fchmod", path);
  return root;
}

absl::StatusOr<std::vector<std::string>> NamesIn(int directory_fd, size_t most = SIZE_MAX) {
  ASSIGN_OR_RETURN(UniqueFd fd, OpenDirectory(directory_fd, "."));
  DIR* const stream = fdopendir(fd.get());
  if (stream == nullptr) return ErrnoStatus(errno, "fdopendir", ".");
  [[maybe_unused]] const int owned_by_stream = fd.Release();
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = names.size() < most ? readdir(stream) : nullptr) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
    errno = 0;
  }
  const int error = errno;
  closedir(stream);
  if (error != 0) return ErrnoStatus(error, "readdir", ".");
  return names;
}

// Extended attributes that somebody has set: not overlayfs for its own use, nor a security module by itself.
absl::StatusOr<bool> HasAttributesOfItsOwn(int fd) {
  const ssize_t size = flistxattr(fd, nullptr, 0);
  std::string names(static_cast<size_t>(std::max<ssize_t>(size, 0)), '\0');
  const ssize_t length = size > 0 ? flistxattr(fd, names.data(), names.size()) : size;
  if (length < 0 && errno == ENOTSUP) return false;
  if (length < 0) return ErrnoStatus(errno, "flistxattr", kFsName);
  names.resize(static_cast<size_t>(length));
  for (const absl::string_view name : absl::StrSplit(names, '\0', absl::SkipEmpty())) {
    if (!absl::StartsWith(name, "trusted.overlay.") && name != "security.selinux") return true;
  }
  return false;
}

}  // namespace

StagedDirectory::StagedDirectory(StagedDirectory&& other) noexcept
    : tree_(other.tree_), name_(std::exchange(other.name_, {})), fs_(std::move(other.fs_)) {}

StagedDirectory::~StagedDirectory() {
  if (name_.empty()) return;
  const absl::Status status = tree_->MoveToTrash(tree_->root_.get(), name_);
  if (!status.ok()) tree_->Strand(tree_->root_.get(), name_, status);
  if (tree_->discard_listener_ != nullptr) tree_->discard_listener_();
}

absl::StatusOr<std::unique_ptr<SnapshotTree>> SnapshotTree::Open(PathLayout layout) {
  auto tree = std::unique_ptr<SnapshotTree>(new SnapshotTree(std::move(layout)));
  if (absl::Status status = tree->MakeDirectories(); !status.ok()) {
    return Annotate(status, absl::StrCat("root: ", tree->layout_.root()));
  }
  return tree;
}

absl::Status SnapshotTree::MakeDirectories() {
  ASSIGN_OR_RETURN(root_, MakeRoot(layout_.root()));
  RETURN_IF_ERROR(TakeLock());
  ASSIGN_OR_RETURN(snapshots_, MakeOrOpenDirectory(root_.get(), kSnapshotsName));
  ASSIGN_OR_RETURN(spare_, MakeOrOpenDirectory(root_.get(), kSpareName));
  ASSIGN_OR_RETURN(trash_, MakeOrOpenDirectory(root_.get(), kTrashName));
  return absl::OkStatus();
}

absl::Status SnapshotTree::TakeLock() {
  lock_.Reset(openat(root_.get(), kLockName, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!lock_.valid()) return ErrnoStatus(errno, "openat", kLockName);
  if (flock(lock_.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return absl::FailedPreconditionError("is in use by another containerd-sluice-grpc");
    return ErrnoStatus(errno, "flock", kLockName);
  }
  return absl::OkStatus();
}

absl::StatusOr<StagedDirectory> SnapshotTree::Stage(bool work, Owner owner) {
  for (int attempt = 0; attempt < kNameAttempts; ++attempt) {
    ASSIGN_OR_RETURN(const uint64_t random, Random());
    const std::string name = StagingName(random);
    absl::StatusOr<UniqueFd> directory = MakeDirectory(root_.get(), name, kPrivate);
    if (absl::IsAlreadyExists(directory.status())) continue;
    if (!directory.ok()) return directory.status();

    StagedDirectory staged(*this, name);
    ASSIGN_OR_RETURN(staged.fs_, FurnishDirectory(directory->get(), work));
    if (fchown(staged.fs_.get(), owner.uid, owner.gid) != 0) return ErrnoStatus(errno, "fchown", kFsName);
    if (fsync(directory->get()) != 0) return ErrnoStatus(errno, "fsync", name);
    return staged;
  }
  return absl::UnavailableError("stage: no free name");
}

absl::Status SnapshotTree::Publish(StagedDirectory staged, int64_t directory_id) {
  const std::string name = SnapshotDirectoryName(directory_id);
  if (renameat2(root_.get(), staged.name_.c_str(), snapshots_.get(), name.c_str(), RENAME_NOREPLACE) != 0) {
    return ErrnoStatus(errno, "renameat2", name);
  }
  staged.name_.clear();
  if (fsync(snapshots_.get()) != 0) {
    const absl::Status status = ErrnoStatus(errno, "fsync", kSnapshotsName);
    DiscardUnowned(directory_id);
    return status;
  }
  return absl::OkStatus();
}

absl::Status SnapshotTree::MakeSpares(const std::vector<int64_t>& ids) {
  absl::Status status = TryMakeSpares(ids);
  if (status.ok()) return status;
  for (const int64_t id : ids) {
    const absl::Status undo = MoveToTrash(spare_.get(), SnapshotDirectoryName(id));
    if (!undo.ok()) LOG(ERROR) << "discard: " << kSpareName << "/" << id << ": " << undo.message();
  }
  return status;
}

absl::Status SnapshotTree::TryMakeSpares(const std::vector<int64_t>& ids) {
  for (const int64_t id : ids) {
    ASSIGN_OR_RETURN(const UniqueFd made, MakeDirectory(spare_.get(), SnapshotDirectoryName(id), kPrivate));
    RETURN_IF_ERROR(FurnishDirectory(made.get(), /*work=*/true).status());
  }
  // Once all are there: the first sync writes most of them. Opened again, since descriptors may be few.
  for (const int64_t id : ids) {
    ASSIGN_OR_RETURN(const UniqueFd made, OpenDirectory(spare_.get(), SnapshotDirectoryName(id)));
    if (fsync(made.get()) != 0) return ErrnoStatus(errno, "fsync", SnapshotDirectoryName(id));
  }
  return fsync(spare_.get()) == 0 ? absl::OkStatus() : ErrnoStatus(errno, "fsync", kSpareName);
}

absl::Status SnapshotTree::PublishSpare(int64_t id) {
  const std::string name = SnapshotDirectoryName(id);
  if (renameat2(spare_.get(), name.c_str(), snapshots_.get(), name.c_str(), RENAME_NOREPLACE) == 0) {
    return absl::OkStatus();
  }
  return ErrnoStatus(errno, "renameat2", name);
}

absl::Status SnapshotTree::SettleSpares(const absl::flat_hash_set<int64_t>& named) {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, NamesIn(spare_.get()));
  bool published = false;
  for (const std::string& name : names) {
    const std::optional<int64_t> id = ParseSnapshotDirectoryName(name);
    if (id.has_value() && named.contains(*id) && !Exists(*id)) {
      RETURN_IF_ERROR(PublishSpare(*id));
      published = true;
    } else {
      RETURN_IF_ERROR(MoveToTrash(spare_.get(), name));
    }
  }
  if (published && fsync(snapshots_.get()) != 0) return ErrnoStatus(errno, "fsync", kSnapshotsName);
  return absl::OkStatus();
}

absl::Status SnapshotTree::ReplaceEmptyFs(StagedDirectory staged, int64_t directory_id) {
  const std::string name = SnapshotDirectoryName(directory_id);
  ASSIGN_OR_RETURN(const UniqueFd source, OpenDirectory(root_.get(), staged.name_));
  ASSIGN_OR_RETURN(const UniqueFd target, OpenDirectory(snapshots_.get(), name));
  if (renameat2(source.get(), kFsName, target.get(), kFsName, 0) != 0) {
    if (errno != ENOTEMPTY && errno != EEXIST) return ErrnoStatus(errno, "renameat2", name);
    return absl::FailedPreconditionError(absl::StrCat(layout_.FsPath(directory_id), ": is not empty"));
  }
  // The shell; if it is not empty, it goes to the trash with the object.
  if (unlinkat(root_.get(), staged.name_.c_str(), AT_REMOVEDIR) == 0) staged.name_.clear();
  if (fsync(target.get()) != 0) return ErrnoStatus(errno, "fsync", name);
  return absl::OkStatus();
}

absl::StatusOr<UniqueFd> SnapshotTree::OpenFs(int64_t directory_id) const {
  return OpenDirectory(snapshots_.get(), absl::StrCat(SnapshotDirectoryName(directory_id), "/", kFsName), O_PATH);
}

bool SnapshotTree::Exists(int64_t directory_id) const {
  struct stat info;
  const std::string name = absl::StrCat(SnapshotDirectoryName(directory_id), "/", kFsName);
  return fstatat(snapshots_.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(info.st_mode);
}

absl::StatusOr<bool> SnapshotTree::IsEmpty(int64_t directory_id) const {
  ASSIGN_OR_RETURN(const UniqueFd fs, OpenFs(directory_id));
  ASSIGN_OR_RETURN(const std::vector<std::string> names, NamesIn(fs.get(), /*most=*/1));
  return names.empty();
}

absl::StatusOr<bool> SnapshotTree::AddsNothing(int64_t upper_id, int64_t lower_id) const {
  ASSIGN_OR_RETURN(const bool empty, IsEmpty(upper_id));
  if (!empty) return false;
  ASSIGN_OR_RETURN(const UniqueFd lower_fs, OpenFs(lower_id));
  ASSIGN_OR_RETURN(const UniqueFd upper_path, OpenFs(upper_id));
  ASSIGN_OR_RETURN(const UniqueFd upper_fs, OpenDirectory(upper_path.get(), "."));
  struct stat upper;
  struct stat lower;
  if (fstat(upper_fs.get(), &upper) != 0 || fstat(lower_fs.get(), &lower) != 0) {
    return ErrnoStatus(errno, "fstat", kFsName);
  }
  if (upper.st_mode != lower.st_mode || upper.st_uid != lower.st_uid || upper.st_gid != lower.st_gid) return false;
  ASSIGN_OR_RETURN(const bool attributes, HasAttributesOfItsOwn(upper_fs.get()));
  return !attributes;
}

absl::Status SnapshotTree::MoveToTrash(int parent_fd, const std::string& name) {
  ASSIGN_OR_RETURN(const uint64_t random, Random());
  const std::string target = TrashName(name, random);
  if (renameat2(parent_fd, name.c_str(), trash_.get(), target.c_str(), RENAME_NOREPLACE) != 0 && errno != ENOENT) {
    return ErrnoStatus(errno, "renameat2", name);
  }
  return absl::OkStatus();
}

absl::Status SnapshotTree::Discard(int64_t directory_id) {
  return Annotate(MoveToTrash(snapshots_.get(), SnapshotDirectoryName(directory_id)),
                  absl::StrCat("discard: ", layout_.SnapshotPath(directory_id)));
}

void SnapshotTree::DiscardUnowned(int64_t directory_id) {
  const std::string name = SnapshotDirectoryName(directory_id);
  const absl::Status status = MoveToTrash(snapshots_.get(), name);
  if (!status.ok()) Strand(snapshots_.get(), name, status);
}

void SnapshotTree::Strand(int parent_fd, const std::string& name, const absl::Status& why) {
  LOG(ERROR) << "discard: " << name << ": " << why.message();
  const MutexLock lock(stranded_mutex_);
  stranded_.emplace_back(parent_fd, name);
}

absl::Status SnapshotTree::DeleteStranded(const Cancellation* cancellation) {
  std::vector<std::pair<int, std::string>> stranded;
  {
    const MutexLock lock(stranded_mutex_);
    stranded.swap(stranded_);
  }
  absl::Status first;
  for (auto& [parent_fd, name] : stranded) {
    const absl::Status status = RemoveTreeAt(parent_fd, name, cancellation);
    if (status.ok()) continue;
    first.Update(Annotate(status, absl::StrCat(layout_.root(), ": ", name)));
    const MutexLock lock(stranded_mutex_);
    stranded_.emplace_back(parent_fd, std::move(name));
  }
  return first;
}

absl::Status SnapshotTree::DiscardStaged() {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, NamesIn(root_.get()));
  for (const std::string& name : names) {
    if (IsStagingName(name)) RETURN_IF_ERROR(MoveToTrash(root_.get(), name));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<int64_t>> SnapshotTree::Published() const {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, NamesIn(snapshots_.get()));
  std::vector<int64_t> ids;
  for (const std::string& name : names) {
    if (const std::optional<int64_t> id = ParseSnapshotDirectoryName(name); id.has_value()) ids.push_back(*id);
  }
  return ids;
}

absl::Status SnapshotTree::DiscardForeign() {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, NamesIn(snapshots_.get()));
  for (const std::string& name : names) {
    if (!ParseSnapshotDirectoryName(name).has_value()) RETURN_IF_ERROR(MoveToTrash(snapshots_.get(), name));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> SnapshotTree::TrashNames() const { return NamesIn(trash_.get()); }

absl::Status SnapshotTree::DeleteTrash(const std::string& name, const Cancellation* cancellation) {
  return Annotate(RemoveTreeAt(trash_.get(), name, cancellation),
                  absl::StrCat(layout_.root(), "/", kTrashName, "/", name));
}

}  // namespace sluice
