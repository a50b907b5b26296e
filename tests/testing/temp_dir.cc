#include "tests/testing/temp_dir.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <iostream>

#include "absl/strings/str_cat.h"
#include "base/remove_tree.h"

namespace sluice::testing {
namespace {

[[noreturn]] void Die(absl::string_view operation, absl::string_view path) {
  std::cerr << "temporary directory: " << operation << "(" << path << "): " << std::strerror(errno) << std::endl;
  std::abort();
}

}  // namespace

TempDir::TempDir(Place place) : path_(place == Place::kMemory ? "/dev/shm/sluice-XXXXXX" : "/tmp/sluice-XXXXXX") {
  if (::mkdtemp(path_.data()) == nullptr) Die("mkdtemp", path_);
  if (::chmod(path_.c_str(), 0755) != 0) Die("chmod", path_);
  fd_.Reset(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd_.valid()) Die("open", path_);
}

TempDir::~TempDir() {
  const absl::Status removed = RemoveTree(path_);
  if (!removed.ok()) std::cerr << "temporary directory: " << removed.message() << std::endl;
}

std::string TempDir::At(absl::string_view name) const { return absl::StrCat(path_, "/", name); }

std::string TempDir::MakeDirectory(absl::string_view name) const {
  std::string path = At(name);
  if (::mkdir(path.c_str(), 0755) != 0) Die("mkdir", path);
  if (::chmod(path.c_str(), 0755) != 0) Die("chmod", path);
  return path;
}

}  // namespace sluice::testing
