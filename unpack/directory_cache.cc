#include "unpack/directory_cache.h"

#include <fcntl.h>

#include <cerrno>
#include <utility>

#include "base/errno_status.h"
#include "base/status_macros.h"
#include "unpack/entry_name.h"

namespace sluice {

absl::StatusOr<OpenDirectory*> DirectoryCache::Open(absl::string_view path) {
  if (!entries_.empty() && entries_.front().path == path) return &entries_.front();
  if (const auto found = by_path_.find(path); found != by_path_.end()) {
    entries_.splice(entries_.begin(), entries_, found->second);
    return &entries_.front();
  }
  OpenDirectory directory;
  directory.fd = OpenUncached(path);
  if (!directory.fd.valid()) {
    const int error = errno;
    if (error == ENOENT || error == ENOTDIR || error == ELOOP) return nullptr;
    return ErrnoStatus(error, "openat2", PrintableName(path));
  }
  struct stat attributes {};
  if (::fstat(directory.fd.get(), &attributes) != 0) return ErrnoStatus(errno, "fstat", PrintableName(path));
  directory.path = std::string(path);
  directory.times = {attributes.st_atim, attributes.st_mtim};
  directory.counted_blocks = attributes.st_blocks;
  return Insert(std::move(directory));
}

UniqueFd DirectoryCache::OpenUncached(absl::string_view path) const {
  constexpr int kFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  const auto [parent, name] = SplitPath(path);
  const auto above = by_path_.find(parent);
  if (above == by_path_.end() || name.empty()) return root_.Open(path, kFlags);
  return UniqueFd(::openat(above->second->fd.get(), std::string(name).c_str(), kFlags));
}

absl::StatusOr<OpenDirectory*> DirectoryCache::Add(absl::string_view path, UniqueFd fd,
                                                   const std::array<timespec, 2>& times) {
  return Insert({.path = std::string(path), .fd = std::move(fd), .times = times, .counted_blocks = 0});
}

absl::StatusOr<OpenDirectory*> DirectoryCache::Insert(OpenDirectory directory) {
  if (entries_.size() >= kCapacity) {
    RETURN_IF_ERROR(LetGo(entries_.back()));
    by_path_.erase(entries_.back().path);
    entries_.pop_back();
  }
  entries_.push_front(std::move(directory));
  by_path_[entries_.front().path] = entries_.begin();
  return &entries_.front();
}

absl::Status DirectoryCache::Flush() {
  for (OpenDirectory& directory : entries_) RETURN_IF_ERROR(LetGo(directory));
  by_path_.clear();
  entries_.clear();
  return absl::OkStatus();
}

absl::Status DirectoryCache::LetGo(OpenDirectory& directory) {
  struct stat attributes {};
  if (::fstat(directory.fd.get(), &attributes) != 0) return ErrnoStatus(errno, "fstat", PrintableName(directory.path));
  blocks_ += attributes.st_blocks - std::exchange(directory.counted_blocks, attributes.st_blocks);
  if (::futimens(directory.fd.get(), directory.times.data()) != 0) {
    return ErrnoStatus(errno, "futimens", PrintableName(directory.path));
  }
  return absl::OkStatus();
}

}  // namespace sluice
