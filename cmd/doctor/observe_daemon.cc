#include <fcntl.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/errno_status.h"
#include "base/unique_fd.h"
#include "cmd/admin_client.h"
#include "cmd/doctor/observe.h"
#include "cmd/doctor/store_probe.h"
#include "snapshotter/root_probe.h"

namespace sluice {
namespace {

// What BlobCache takes where the configuration does not say.
constexpr int64_t kUsualCacheLimit = int64_t{20} << 30;
constexpr size_t kMaxContextBytes = 4096;

void AskDaemon(const Cancellation& cancellation, NodeFacts& facts) {
  AdminClient client(facts.address, cancellation);
  const absl::StatusOr<admin_v1::StatusResponse> status = client.Status();
  facts.daemon_status = status.status();
  if (!status.ok()) return;
  DaemonFacts daemon;
  daemon.version = status->version();
  daemon.root = status->root();
  daemon.containerd_uuid = status->containerd().uuid();
  daemon.refusal = status->containerd().refusal();
  daemon.cache_bytes = status->cache().bytes();
  facts.cache_limit = status->cache().max_bytes();
  facts.root = daemon.root;
  facts.daemon = std::move(daemon);
}

// The nearest directory that is there: it is on the file system that the root will be on.
std::string NearestDirectory(const std::string& path) {
  std::filesystem::path directory = path;
  std::error_code error;
  while (!std::filesystem::is_directory(directory, error) && directory.has_relative_path()) {
    directory = directory.parent_path();
  }
  return directory;
}

void LookAtRoot(NodeFacts& facts) {
  const std::string directory = NearestDirectory(facts.root);
  struct statvfs room = {};
  if (statvfs(directory.c_str(), &room) == 0) {
    const int64_t block = static_cast<int64_t>(room.f_frsize);
    facts.free_bytes = static_cast<int64_t>(room.f_bavail) * block;
    if (facts.cache_limit == 0) facts.cache_limit = facts.config.cache.max_bytes;
    if (facts.cache_limit == 0) {
      facts.cache_limit = std::min(kUsualCacheLimit, static_cast<int64_t>(room.f_blocks) * block / 10);
    }
  }
  if (geteuid() != 0) {
    facts.root_status = absl::PermissionDeniedError("only root can try it");
    return;
  }
  const UniqueFd fd(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) {
    facts.root_status = ErrnoStatus(errno, "open", directory);
    return;
  }
  const absl::StatusOr<RootProbeReport> report = ProbeRoot(fd.get(), directory);
  facts.root_status = report.status();
  if (report.ok()) facts.root_warnings = report->warnings;
}

// Without libselinux: the kernel's own files say it.
void LookAtSelinux(NodeFacts& facts) {
  std::ifstream file("/sys/fs/selinux/enforce");
  char enforces = 0;
  if (!file.get(enforces)) return;
  facts.selinux.mode = enforces == '1' ? SelinuxMode::kEnforcing : SelinuxMode::kPermissive;
  char context[kMaxContextBytes];
  const ssize_t size = getxattr(facts.root.c_str(), "security.selinux", context, sizeof(context));
  // The kernel counts the end of the string.
  if (size > 0) facts.selinux.root_context = std::string(context, strnlen(context, static_cast<size_t>(size)));
}

}  // namespace

void ObserveDaemon(const ObserveOptions& options, const Cancellation& cancellation, NodeFacts& facts) {
  facts.config_path = options.config_path;
  absl::StatusOr<Config> config = LoadConfig(options.config_path);
  facts.config_status = config.status();
  if (config.ok()) facts.config = *std::move(config);
  facts.address = options.address;
  facts.socket = ProbeSocket(facts.address);
  facts.root = kDefaultRoot;
  AskDaemon(cancellation, facts);
  LookAtRoot(facts);
  LookAtSelinux(facts);
  for (const StoreConfig& store : facts.config.stores) {
    facts.stores.push_back({std::string(StoreKindName(store.kind)), store.path, ProbeStore(store.kind, store.path)});
  }
}

}  // namespace sluice
