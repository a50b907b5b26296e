// The daemon itself: its configuration, socket, root, stores and cache.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "cmd/doctor/check.h"
#include "cmd/terminal.h"

namespace sluice {
namespace {

constexpr char kStart[] = "systemctl start containerd-sluice-grpc";
constexpr char kRestart[] = "systemctl restart containerd-sluice-grpc";
constexpr char kAsRoot[] = "sudo sluicectl doctor";

void CheckConfig(const NodeFacts& facts, Findings& findings) {
  if (facts.config_status.ok()) return findings.Ok("config", facts.config_path);
  findings.Fail("config", std::string(facts.config_status.message()),
                absl::StrCat("sluicectl config check ", facts.config_path));
}

void CheckSocket(const NodeFacts& facts, Findings& findings) {
  const std::string& path = facts.address;
  switch (facts.socket.state) {
    case SocketState::kServed:
      break;
    case SocketState::kMissing:
      return findings.Fail("socket", absl::StrCat(path, ": no socket there: the daemon does not run"), kStart);
    case SocketState::kStale:
      return findings.Fail("socket", absl::StrCat(path, ": refused: nobody listens there, the daemon was killed"),
                           kStart);
    case SocketState::kNoAccess:
      return findings.Fail("socket", absl::StrCat(path, ": permission denied: it is root's"), kAsRoot);
    case SocketState::kNoSocket:
      return findings.Fail("socket", absl::StrCat(path, ": is no socket"), absl::StrCat("rm -r ", path, "\n", kStart));
  }
  if (facts.daemon.has_value()) {
    return findings.Ok("socket", absl::StrCat(path, ": containerd-sluice-grpc ", facts.daemon->version));
  }
  findings.Fail("socket", std::string(facts.daemon_status.message()), kRestart);
}

void CheckRoot(const NodeFacts& facts, Findings& findings) {
  if (absl::IsPermissionDenied(facts.root_status)) {
    return findings.Warn("root", std::string(facts.root_status.message()), kAsRoot);
  }
  if (!facts.root_status.ok()) {
    return findings.Fail("root", std::string(facts.root_status.message()),
                         "containerd-sluice-grpc --root DIRECTORY, on ext4, xfs or btrfs of this host");
  }
  if (facts.root_warnings.empty()) findings.Ok("root", absl::StrCat(facts.root, ": can hold layers"));
  for (const std::string& warning : facts.root_warnings) {
    findings.Warn("root", warning,
                  absl::StrCat("mount -o remount,dev,suid,exec $(findmnt -nT ", facts.root, " -o TARGET)"));
  }
}

// Layers are unpacked in the root and renamed to where they stay; a file has the type of the directory that it was made
// in. So the root itself must have a type that containers may read and, through overlayfs, write.
void CheckSelinux(const NodeFacts& facts, Findings& findings) {
  const SelinuxFacts& selinux = facts.selinux;
  if (selinux.mode == SelinuxMode::kNone) return;
  const std::vector<std::string> parts = absl::StrSplit(selinux.root_context, ':');
  const std::string type = parts.size() > 2 ? parts[2] : "no type";
  const std::string seen = absl::StrCat(facts.root, ": ", type);
  if (type == "container_file_t") return findings.Ok("selinux", seen);
  const std::string mend =
      absl::StrCat("semanage fcontext -a -t container_file_t '", facts.root, "(/.*)?'\nrestorecon -R ", facts.root);
  if (selinux.mode == SelinuxMode::kEnforcing) {
    findings.Fail("selinux", absl::StrCat(seen, ": SELinux keeps containers from their own files"), mend);
  } else {
    findings.Warn("selinux", absl::StrCat(seen, ": once SELinux enforces, containers can't read their own files"),
                  mend);
  }
}

void CheckStores(const NodeFacts& facts, Findings& findings) {
  for (const StoreFacts& store : facts.stores) {
    const std::string seen = absl::StrCat(store.kind, " ", store.path);
    if (store.status.ok()) {
      findings.Ok("store", seen);
    } else if (absl::IsPermissionDenied(store.status)) {
      findings.Fail("store", absl::StrCat(seen, ": ", store.status.message()),
                    absl::StrCat("sudo ls -ld ", store.path));
    } else {
      findings.Fail("store", absl::StrCat(seen, ": ", store.status.message()),
                    InDaemonConfig(facts,
                                   "[[store]]\nkind = \"oci-layout\"  # or zot, distribution: whoever writes it\n"
                                   "path = \"DIRECTORY\"      # where that program keeps its blobs"));
    }
  }
}

void CheckCache(const NodeFacts& facts, Findings& findings) {
  if (facts.cache_limit == 0) return;
  const int64_t used = facts.daemon.has_value() ? facts.daemon->cache_bytes : 0;
  const int64_t room = std::max<int64_t>(0, facts.free_bytes - facts.config.cache.min_free) + used;
  const std::string seen = absl::StrCat("may hold ", FormatBytes(facts.cache_limit), ", has ", FormatBytes(used), ", ",
                                        FormatBytes(facts.free_bytes), " are free");
  if (facts.cache_limit <= room) return findings.Ok("cache", seen);
  const int64_t gib = room >> 30;
  // 0 would be the default.
  const std::string size = gib > 0 ? absl::StrCat(gib, "GiB") : absl::StrCat(std::max<int64_t>(1, room >> 20), "MiB");
  findings.Warn("cache", absl::StrCat(seen, ": more than there is room for"),
                InDaemonConfig(facts, absl::StrCat("[cache]\nmax_bytes = \"", size, "\"")));
}

constexpr Check kChecks[] = {
    {"config", CheckConfig},   {"socket", CheckSocket}, {"root", CheckRoot},
    {"selinux", CheckSelinux}, {"store", CheckStores},  {"cache", CheckCache},
};

}  // namespace

absl::Span<const Check> DaemonChecks() { return kChecks; }

}  // namespace sluice
