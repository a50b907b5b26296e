#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "base/unique_fd.h"
#include "cmd/doctor/observe.h"
#include "cmd/program.h"
#include "containerd/services/introspection/v1/introspection.grpc.pb.h"
#include "containerd/services/version/v1/version.grpc.pb.h"
#include "snapshotter/service/containerd/connection.h"
#include "snapshotter/service/containerd/identity.h"

namespace sluice {
namespace {

namespace introspection_v1 = containerd::services::introspection::v1;
namespace version_v1 = containerd::services::version::v1;

constexpr char kUsualConfig[] = "/etc/containerd/config.toml";
constexpr absl::Duration kCallLimit = absl::Seconds(3);
constexpr size_t kMostConfigBytes = 4 << 20;
// Where containerd is, by distribution: its own, k3s and RKE2, microk8s, k0s, Docker's.
constexpr const char* kUsualAddresses[] = {
    "/run/containerd/containerd.sock",
    "/run/k3s/containerd/containerd.sock",
    "/var/snap/microk8s/common/run/containerd.sock",
    "/run/k0s/containerd.sock",
    "/run/docker/containerd/containerd.sock",
};

// Without symbolic links, as far as it exists: /var/run is /run.
std::string Canonical(const std::string& path) {
  std::error_code error;
  const std::filesystem::path canonical = std::filesystem::weakly_canonical(path, error);
  return error ? path : canonical.string();
}

// Of the process: "/proc/<pid>/<name>".
std::string ReadProcess(pid_t pid, const char* name) {
  std::ostringstream content;
  content << std::ifstream(absl::StrCat("/proc/", pid, "/", name)).rdbuf();
  return content.str();
}

// The value of a flag on its command line, by the flag's long and short name; "" without it.
std::string FlagOf(pid_t pid, const std::string& name, const std::string& short_name) {
  const std::vector<std::string> arguments = absl::StrSplit(ReadProcess(pid, "cmdline"), '\0');
  for (size_t i = 0; i < arguments.size(); ++i) {
    for (const std::string& flag : {"--" + name, "-" + name, "-" + short_name}) {
      if (arguments[i] == flag && i + 1 < arguments.size()) return arguments[i + 1];
      absl::string_view value = arguments[i];
      if (absl::ConsumePrefix(&value, absl::StrCat(flag, "="))) return std::string(value);
    }
  }
  return "";
}

std::string ConfigOf(pid_t pid) { return pid > 0 ? FlagOf(pid, "config", "c") : ""; }

// No earlier than the process began: its 22nd field is in clock ticks since boot (proc(5)), rounded down, and counted
// after the name, which may hold blanks.
std::optional<absl::Time> StartOf(pid_t pid) {
  const std::string stat = ReadProcess(pid, "stat");
  const size_t name_end = stat.rfind(')');
  if (name_end == std::string::npos) return std::nullopt;
  const std::vector<std::string> fields = absl::StrSplit(stat.substr(name_end + 1), ' ', absl::SkipEmpty());
  int64_t ticks = 0;
  timespec since_boot = {};
  if (fields.size() < 20 || !absl::SimpleAtoi(fields[19], &ticks) || clock_gettime(CLOCK_BOOTTIME, &since_boot) != 0) {
    return std::nullopt;
  }
  const absl::Duration age = absl::DurationFromTimespec(since_boot) -
                             absl::Seconds(static_cast<double>(ticks + 1) / static_cast<double>(sysconf(_SC_CLK_TCK)));
  return absl::Now() - age;
}

std::string NotServed(SocketState state) {
  switch (state) {
    case SocketState::kServed:
      break;
    case SocketState::kMissing:
      return "no socket there";
    case SocketState::kStale:
      return "refused: nobody listens there";
    case SocketState::kNoAccess:
      return "permission denied";
    case SocketState::kNoSocket:
      return "is no socket";
  }
  return "";
}

absl::Status AskVersion(const std::shared_ptr<grpc::Channel>& channel, ContainerdFacts& containerd) {
  grpc::ClientContext context;
  PrepareCall(context, "default", absl::Now() + kCallLimit);
  context.set_wait_for_ready(true);
  version_v1::VersionResponse response;
  RETURN_IF_ERROR(FromGrpcStatus(
      version_v1::Version::NewStub(channel)->Version(&context, google::protobuf::Empty(), &response), "version"));
  containerd.version_text = response.version();
  containerd.version = ParseContainerdVersion(response.version());
  return absl::OkStatus();
}

absl::Status AskPlugins(const std::shared_ptr<grpc::Channel>& channel, ContainerdFacts& containerd) {
  grpc::ClientContext context;
  PrepareCall(context, "default", absl::Now() + kCallLimit);
  context.set_wait_for_ready(true);
  introspection_v1::PluginsResponse response;
  RETURN_IF_ERROR(FromGrpcStatus(introspection_v1::Introspection::NewStub(channel)->Plugins(
                                     &context, introspection_v1::PluginsRequest(), &response),
                                 "list plugins"));
  for (const introspection_v1::Plugin& plugin : response.plugins()) {
    containerd.plugins.push_back(
        {plugin.type(), plugin.id(), {plugin.exports().begin(), plugin.exports().end()}, plugin.init_err().message()});
  }
  return absl::OkStatus();
}

void AskContainerd(ContainerdFacts& containerd) {
  containerd.socket = ProbeSocket(containerd.address);
  if (containerd.socket.state != SocketState::kServed) {
    containerd.answers = absl::UnavailableError(NotServed(containerd.socket.state));
    for (const char* address : kUsualAddresses) {
      if (ProbeSocket(address).state == SocketState::kServed) containerd.others.push_back(address);
    }
    return;
  }
  const std::shared_ptr<grpc::Channel> channel = OpenContainerdChannel(containerd.address);
  containerd.answers = AskVersion(channel, containerd);
  if (containerd.answers.ok()) containerd.answers = AskPlugins(channel, containerd);
  if (!containerd.answers.ok()) return;
  containerd.uuid = ReadContainerdUuid(channel, absl::Now() + kCallLimit).value_or("");
  if (containerd.socket.server > 0) containerd.started = StartOf(containerd.socket.server);
}

// A program that is containerd and nothing else beside: k3s, say, is many.
bool IsContainerd(pid_t pid) {
  std::error_code error;
  const std::filesystem::path program = std::filesystem::read_symlink(absl::StrCat("/proc/", pid, "/exe"), error);
  return !error && program.filename() == "containerd";
}

// The whole of it, defaults included, as the running program understands `path`.
absl::StatusOr<std::string> DumpConfig(pid_t pid, const std::string& path, const Cancellation& cancellation) {
  const UniqueFd output(memfd_create("containerd-config", MFD_CLOEXEC));
  ProgramCall call;
  call.argv = {absl::StrCat("/proc/", pid, "/exe"), "--config", path, "config", "dump"};
  call.output_fd = output.get();
  RETURN_IF_ERROR(RunProgram(call, cancellation));
  std::string text(kMostConfigBytes, '\0');
  const ssize_t size = pread(output.get(), text.data(), text.size(), 0);
  text.resize(static_cast<size_t>(std::max<ssize_t>(0, size)));
  return text;
}

void ReadConfig(const std::string& path, const Cancellation& cancellation, NodeFacts& facts) {
  absl::StatusOr<ContainerdConfig> config = LoadContainerdConfig(path);
  facts.containerd_config_status = config.status();
  facts.containerd_config.path = path;
  if (!config.ok()) return;
  const ContainerdFacts& containerd = facts.containerd;
  // 2.x rewrites sections of earlier versions and has defaults that no file shows.
  if (containerd.version.has_value() && *containerd.version >= kSinceTransferPull &&
      IsContainerd(containerd.socket.server)) {
    const absl::StatusOr<std::string> dump = DumpConfig(containerd.socket.server, path, cancellation);
    ContainerdConfig effective = *config;
    if (dump.ok() && ParseContainerdConfig(*dump, effective).ok()) config = std::move(effective);
  }
  // The command line has the last word.
  const std::string flag = FlagOf(containerd.socket.server, "address", "a");
  if (!flag.empty() && ConfigOf(containerd.socket.server) == path) config->address = flag;
  facts.containerd_config = *std::move(config);
  for (ProxyPlugin& proxy : facts.containerd_config.proxies) {
    proxy.address = Canonical(proxy.address);
    const std::string usual = absl::StrCat(facts.containerd_config.root, "/io.containerd.snapshotter.v1.", proxy.name);
    if (access(usual.c_str(), F_OK) == 0) facts.usual_roots.insert(usual);
  }
  facts.containerd_config.address = Canonical(facts.containerd_config.address);
}

}  // namespace

void ObserveContainerd(const ObserveOptions& options, const Cancellation& cancellation, NodeFacts& facts) {
  facts.address = Canonical(facts.address);
  facts.configured_containerd = Canonical(facts.config.containerd.address);
  ContainerdFacts& containerd = facts.containerd;
  containerd.address = options.containerd_address;
  if (containerd.address.empty() && !options.containerd_config.empty()) {
    containerd.address = LoadContainerdConfig(options.containerd_config).value_or(ContainerdConfig()).address;
  }
  if (containerd.address.empty()) containerd.address = facts.config.containerd.address;
  containerd.address = Canonical(containerd.address);
  AskContainerd(containerd);
  std::string path = options.containerd_config;
  if (path.empty()) path = ConfigOf(containerd.socket.server);
  ReadConfig(path.empty() ? kUsualConfig : path, cancellation, facts);
}

NodeFacts ObserveNode(const ObserveOptions& options, const Cancellation& cancellation) {
  NodeFacts facts;
  ObserveDaemon(options, cancellation, facts);
  ObserveContainerd(options, cancellation, facts);
  ObserveRegistries(facts);
  ObserveImages(facts);
  return facts;
}

}  // namespace sluice
