#include "registry/store/repository_tree.h"

#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "registry/reference.h"

namespace sluice {
namespace {

// More than a tick of any file system's clock; FAT's is 2 s.
constexpr time_t kSettledAfterSeconds = 3;

struct CloseDirectory {
  void operator()(DIR* directory) const { closedir(directory); }
};

bool IsDirectory(const std::string& parent, const dirent& entry) {
  if (entry.d_type != DT_UNKNOWN) return entry.d_type == DT_DIR;
  struct stat attributes = {};
  return lstat(absl::StrCat(parent, "/", entry.d_name).c_str(), &attributes) == 0 && S_ISDIR(attributes.st_mode);
}

}  // namespace

RepositoryTree::Directory RepositoryTree::Read(const std::string& path, const timespec& mtime) {
  Directory directory;
  directory.mtime = mtime;
  timespec now = {};
  clock_gettime(CLOCK_REALTIME, &now);
  directory.settled = mtime.tv_sec + kSettledAfterSeconds < now.tv_sec;
  const std::unique_ptr<DIR, CloseDirectory> entries(opendir(path.c_str()));
  if (entries == nullptr) return directory;
  while (const dirent* entry = readdir(entries.get())) {
    const std::string name = entry->d_name;
    if (!IsRepository(name) || !IsDirectory(path, *entry)) continue;
    if (name == "blobs") {
      directory.is_repository = true;
    } else {
      directory.children.push_back(name);
    }
  }
  std::sort(directory.children.begin(), directory.children.end());
  return directory;
}

std::vector<std::string> RepositoryTree::List() const {
  std::shared_ptr<const Directories> known;
  {
    MutexLock lock(mutex_);
    known = known_;
  }
  auto seen = std::make_shared<Directories>();
  std::vector<std::string> repositories;
  std::vector<std::string> pending = {""};
  while (!pending.empty() && seen->size() < kMaxDirectories) {
    const std::string name = std::move(pending.back());
    pending.pop_back();
    const std::string path = name.empty() ? root_ : absl::StrCat(root_, "/", name);
    struct stat attributes = {};
    const int status = name.empty() ? stat(path.c_str(), &attributes) : lstat(path.c_str(), &attributes);
    if (status != 0 || !S_ISDIR(attributes.st_mode)) continue;
    const auto before = known->find(name);
    const bool unchanged = before != known->end() && before->second.settled &&
                           before->second.mtime.tv_sec == attributes.st_mtim.tv_sec &&
                           before->second.mtime.tv_nsec == attributes.st_mtim.tv_nsec;
    const Directory& directory =
        seen->emplace(name, unchanged ? before->second : Read(path, attributes.st_mtim)).first->second;
    if (directory.is_repository && !name.empty()) repositories.push_back(name);
    for (auto child = directory.children.rbegin(); child != directory.children.rend(); ++child) {
      std::string below = absl::StrCat(name, name.empty() ? "" : "/", *child);
      if (IsRepository(below)) pending.push_back(std::move(below));  // no longer than a name can be
    }
  }
  MutexLock lock(mutex_);
  known_ = std::move(seen);
  return repositories;
}

}  // namespace sluice
