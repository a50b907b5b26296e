#include "cmd/doctor/store_probe.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "base/errno_status.h"
#include "base/status_macros.h"
#include "registry/store/repository_tree.h"

namespace sluice {
namespace {

// Whether the directory has any entry.
absl::StatusOr<bool> IsEmpty(const std::string& path) {
  DIR* const stream = opendir(path.c_str());
  if (stream == nullptr) return ErrnoStatus(errno, "opendir", path);
  const absl::Cleanup close_stream = [stream] { closedir(stream); };
  while (const dirent* entry = readdir(stream)) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") return false;
  }
  return true;
}

absl::Status MustHave(const std::string& path, const char* member) {
  const std::string full = absl::StrCat(path, "/", member);
  if (access(full.c_str(), R_OK) == 0) return absl::OkStatus();
  if (errno == EACCES) return ErrnoStatus(errno, "access", full);
  return absl::FailedPreconditionError(absl::StrCat("has no ", member));
}

}  // namespace

absl::Status ProbeStore(StoreKind kind, const std::string& path) {
  struct stat attributes = {};
  if (stat(path.c_str(), &attributes) != 0) return ErrnoStatus(errno, "stat", path);
  if (!S_ISDIR(attributes.st_mode)) return absl::FailedPreconditionError("is no directory");
  ASSIGN_OR_RETURN(const bool is_empty, IsEmpty(path));
  if (is_empty) return absl::OkStatus();
  switch (kind) {
    case StoreKind::kOciLayout:
      RETURN_IF_ERROR(MustHave(path, "oci-layout"));
      return MustHave(path, "index.json");
    case StoreKind::kDistribution:
      return MustHave(path, "docker/registry/v2");
    case StoreKind::kZot:
      break;
  }
  for (const std::string& name : RepositoryTree(path).List()) {
    if (MustHave(absl::StrCat(path, "/", name), "index.json").ok()) return absl::OkStatus();
  }
  return absl::FailedPreconditionError("has no repository (a directory with blobs/ and index.json)");
}

}  // namespace sluice
