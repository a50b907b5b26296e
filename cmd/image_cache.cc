#include "cmd/image_cache.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "base/errno_status.h"
#include "base/status_macros.h"

namespace sluice {
namespace {

std::string Variable(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

absl::StatusOr<std::string> DefaultPath() {
  if (geteuid() == 0) return absl::StrCat(kDefaultRoot, "/cache");
  // XDG Base Directory Specification: a relative path is to be ignored.
  const std::string cache_home = Variable("XDG_CACHE_HOME");
  if (!cache_home.empty() && cache_home[0] == '/') return absl::StrCat(cache_home, "/sluice");
  const std::string home = Variable("HOME");
  if (home.empty() || home[0] != '/') return absl::NotFoundError("cache: neither XDG_CACHE_HOME nor HOME is set");
  return absl::StrCat(home, "/.cache/sluice");
}

}  // namespace

absl::StatusOr<std::unique_ptr<BlobCache>> OpenCache(const std::string& path, const Config& config) {
  std::string directory = path;
  if (directory.empty()) {
    ASSIGN_OR_RETURN(directory, DefaultPath());
  }
  const std::string parent = std::filesystem::path(directory).parent_path();
  std::error_code error;
  if (!parent.empty()) std::filesystem::create_directories(parent, error);
  if (error) return Annotate(ErrnoStatus(error.value(), "mkdir", parent), "cache");
  absl::StatusOr<std::unique_ptr<BlobCache>> cache =
      BlobCache::Open(directory, {.max_bytes = config.cache.max_bytes,
                                  .min_free_bytes = config.cache.min_free,
                                  .min_free_inodes = config.cache.min_free_inodes});
  if (!cache.ok()) return Annotate(cache.status(), "cache");
  return cache;
}

}  // namespace sluice
