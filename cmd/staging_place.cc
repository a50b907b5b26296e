#include "cmd/staging_place.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "base/errno_status.h"
#include "base/remove_tree.h"
#include "base/status_macros.h"

namespace sluice {
namespace {

constexpr absl::string_view kPrefix = ".sluice-";
constexpr size_t kRandomCharacters = 6;
constexpr int kAttempts = 100;
constexpr int kOpenFlags = O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;

std::string NewName() {
  constexpr absl::string_view kCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
  std::random_device random;
  std::uniform_int_distribution<size_t> index(0, kCharacters.size() - 1);
  std::string name(kPrefix);
  for (size_t i = 0; i < kRandomCharacters; ++i) name += kCharacters[index(random)];
  return name;
}

bool IsStagingName(absl::string_view name) {
  if (!absl::StartsWith(name, kPrefix) || name.size() != kPrefix.size() + kRandomCharacters) return false;
  for (const char c : name.substr(kPrefix.size())) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c))) return false;
  }
  return true;
}

// A file system that has no locks has none that others hold.
bool Lock(int fd) { return ::flock(fd, LOCK_EX | LOCK_NB) == 0 || errno == ENOLCK || errno == ENOTSUP; }

bool IsStillAt(int parent, const std::string& name, int fd) {
  struct stat here = {};
  struct stat there = {};
  return ::fstat(fd, &here) == 0 && ::fstatat(parent, name.c_str(), &there, AT_SYMLINK_NOFOLLOW) == 0 &&
         here.st_ino == there.st_ino && here.st_dev == there.st_dev;
}

std::vector<std::string> StagingNamesIn(int parent) {
  std::vector<std::string> names;
  const int fd = ::openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return names;
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::fdopendir(fd), &::closedir);
  if (directory == nullptr) return names;
  while (const dirent* const entry = ::readdir(directory.get())) {
    if (IsStagingName(entry->d_name)) names.emplace_back(entry->d_name);
  }
  return names;
}

// What can't be removed is left to the next one: it is not what we were asked to do.
void RemoveLeftOver(int parent, const std::string& name) {
  const UniqueFd fd(::openat(parent, name.c_str(), O_RDONLY | kOpenFlags));
  struct stat attributes = {};
  if (!fd.valid() || ::fstat(fd.get(), &attributes) != 0 || attributes.st_uid != ::geteuid()) return;
  if (!S_ISDIR(attributes.st_mode) && !S_ISREG(attributes.st_mode)) return;
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0 || !IsStillAt(parent, name, fd.get())) return;
  RemoveTreeAt(parent, name).IgnoreError();
}

// Invalid with errno.
UniqueFd Make(int parent, const std::string& name, StagingPlace::Kind kind) {
  if (kind == StagingPlace::Kind::kFile) {
    return UniqueFd(::openat(parent, name.c_str(), O_RDWR | O_CREAT | O_EXCL | kOpenFlags, 0600));
  }
  if (::mkdirat(parent, name.c_str(), 0700) != 0) return UniqueFd();
  return UniqueFd(::openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | kOpenFlags));
}

}  // namespace

absl::StatusOr<StagingPlace> MakeStagingPlace(int parent, const std::string& path, StagingPlace::Kind kind) {
  for (const std::string& name : StagingNamesIn(parent)) RemoveLeftOver(parent, name);
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    StagingPlace place;
    place.name = NewName();
    place.fd = Make(parent, place.name, kind);
    if (!place.fd.valid() && errno != EEXIST && errno != ENOENT) return ErrnoStatus(errno, "make", path);
    // Somebody may have taken it for a left-over before it was locked.
    if (place.fd.valid() && Lock(place.fd.get()) && IsStillAt(parent, place.name, place.fd.get())) return place;
  }
  return absl::UnavailableError(path + ": no name is free for what is to be made");
}

}  // namespace sluice
