#include "cmd/staging.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <random>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/errno_status.h"
#include "base/remove_tree.h"
#include "cmd/directory_names.h"

namespace sluice {
namespace {

constexpr char kPrefix[] = ".sluice-staged-";
constexpr size_t kRandomCharacters = 6;
constexpr int kMaxAttempts = 16;

std::string NewName() {
  constexpr absl::string_view kAlphabet = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  std::random_device random;
  std::uniform_int_distribution<size_t> index(0, kAlphabet.size() - 1);
  std::string name = kPrefix;
  for (size_t i = 0; i < kRandomCharacters; ++i) name += kAlphabet[index(random)];
  return name;
}

bool IsStillNamed(int parent_fd, const Staging& staging) {
  struct stat named = {};
  struct stat opened = {};
  return fstatat(parent_fd, staging.name.c_str(), &named, AT_SYMLINK_NOFOLLOW) == 0 &&
         fstat(staging.fd.get(), &opened) == 0 && named.st_dev == opened.st_dev && named.st_ino == opened.st_ino;
}

// `make` returns an open descriptor of a new entry, or -1 and errno.
template <typename Make>
absl::StatusOr<Staging> Stage(int parent_fd, absl::string_view operation, Make make) {
  for (int attempt = 1;; ++attempt) {
    Staging staging;
    staging.name = NewName();
    staging.fd.Reset(make(staging.name.c_str()));
    if (!staging.fd.valid()) {
      // ENOENT: between making and opening, somebody took it for abandoned; or the directory itself is gone.
      if ((errno == EEXIST || errno == ENOENT) && attempt < kMaxAttempts) continue;
      return ErrnoStatus(errno, operation, staging.name);
    }
    // The same, between opening and locking.
    const bool taken = flock(staging.fd.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    if (!taken && IsStillNamed(parent_fd, staging)) return staging;
  }
}

// True where others could give something of ours a name that marks it as abandoned.
bool OthersMayRenameIn(int directory_fd) {
  struct stat attributes = {};
  if (fstat(directory_fd, &attributes) != 0) return true;
  const bool of_others = attributes.st_uid != geteuid() && attributes.st_uid != 0;
  const bool open_to_others = (attributes.st_mode & (S_IWGRP | S_IWOTH)) != 0 && (attributes.st_mode & S_ISVTX) == 0;
  return of_others || open_to_others;
}

void RemoveIfAbandoned(int parent_fd, const std::string& name, const Cancellation* cancellation) {
  const UniqueFd fd(openat(parent_fd, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  struct stat attributes = {};
  if (!fd.valid() || fstat(fd.get(), &attributes) != 0 || attributes.st_uid != geteuid()) return;
  if (!S_ISDIR(attributes.st_mode) && !S_ISREG(attributes.st_mode)) return;
  if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) return;
  RemoveTreeAt(parent_fd, name, cancellation).IgnoreError();
}

}  // namespace

absl::StatusOr<Staging> StageDirectory(int parent_fd) {
  return Stage(parent_fd, "mkdir", [parent_fd](const char* name) {
    if (mkdirat(parent_fd, name, 0700) != 0) return -1;
    return openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  });
}

absl::StatusOr<Staging> StageFile(int parent_fd) {
  return Stage(parent_fd, "open", [parent_fd](const char* name) {
    return openat(parent_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  });
}

bool IsStagedName(absl::string_view name) {
  const absl::string_view random = absl::StartsWith(name, kPrefix) ? name.substr(sizeof(kPrefix) - 1) : "";
  return random.size() == kRandomCharacters &&
         std::all_of(random.begin(), random.end(), [](unsigned char c) { return absl::ascii_isalnum(c); });
}

void RemoveAbandoned(int parent_fd, const Cancellation* cancellation) {
  if (OthersMayRenameIn(parent_fd)) return;
  const absl::StatusOr<std::vector<std::string>> names = NamesIn(parent_fd, ".");
  if (!names.ok()) return;
  for (const std::string& name : *names) {
    if (IsStagedName(name)) RemoveIfAbandoned(parent_fd, name, cancellation);
  }
}

}  // namespace sluice
