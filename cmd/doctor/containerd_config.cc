#include "cmd/doctor/containerd_config.h"

#include <glob.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <sstream>
#include <string_view>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/errno_status.h"
#include "base/status_macros.h"
#include "cmd/toml_document.h"
#include "toml++/toml.h"

namespace sluice {
namespace {

constexpr char kTransfer[] = "io.containerd.transfer.v1.local";
constexpr char kDiffService[] = "io.containerd.service.v1.diff-service";
constexpr char kCri1[] = "io.containerd.grpc.v1.cri";           // 1.x
constexpr char kCriImages[] = "io.containerd.cri.v1.images";    // 2.x
constexpr char kGrpcServer[] = "io.containerd.server.v1.grpc";  // from version 4 of the file on
constexpr char kCriRuntime[] = "io.containerd.cri.v1.runtime";

// The node at the end of `keys`; null where one of them is missing or no table.
const toml::node* At(const toml::table& table, std::initializer_list<std::string_view> keys) {
  const toml::table* inner = &table;
  const toml::node* node = nullptr;
  for (const std::string_view key : keys) {
    if (inner == nullptr) return nullptr;
    node = inner->get(key);
    if (node == nullptr) return nullptr;
    inner = node->as_table();
  }
  return node;
}

const toml::table* TableAt(const toml::table& table, std::initializer_list<std::string_view> keys) {
  const toml::node* node = At(table, keys);
  return node == nullptr ? nullptr : node->as_table();
}

void ReadText(const toml::table& table, std::initializer_list<std::string_view> keys, std::string& target) {
  const toml::node* node = At(table, keys);
  if (node != nullptr && node->is_string() && !node->as_string()->get().empty()) target = node->as_string()->get();
}

std::vector<std::string> TextsOf(const toml::node* node) {
  std::vector<std::string> texts;
  if (node == nullptr || !node->is_array()) return texts;
  for (const toml::node& element : *node->as_array()) {
    if (element.is_string()) texts.push_back(element.as_string()->get());
  }
  return texts;
}

std::string ShortType(const std::string& type) {
  if (type == "io.containerd.snapshotter.v1") return "snapshot";
  if (type == "io.containerd.differ.v1") return "diff";
  return type;
}

ProxyPlugin ReadProxy(std::string name, const toml::table& table) {
  ProxyPlugin proxy;
  proxy.name = std::move(name);
  ReadText(table, {"type"}, proxy.type);
  proxy.type = ShortType(proxy.type);
  ReadText(table, {"address"}, proxy.address);
  proxy.address = std::string(absl::StripPrefix(proxy.address, "unix://"));
  if (const toml::table* exports = TableAt(table, {"exports"}); exports != nullptr) {
    for (const auto& [key, value] : *exports) {
      if (value.is_string()) proxy.exports[std::string(key.str())] = value.as_string()->get();
    }
  }
  return proxy;
}

void ReadProxies(const toml::table& document, ContainerdConfig& config) {
  const toml::table* proxies = TableAt(document, {"proxy_plugins"});
  if (proxies == nullptr) return;
  for (const auto& [key, value] : *proxies) {
    if (!value.is_table()) continue;
    ProxyPlugin proxy = ReadProxy(std::string(key.str()), *value.as_table());
    std::erase_if(config.proxies, [&proxy](const ProxyPlugin& earlier) { return earlier.name == proxy.name; });
    config.proxies.push_back(std::move(proxy));
  }
}

void ReadUnpack(const toml::table& document, ContainerdConfig& config) {
  const toml::node* entries = At(document, {"plugins", kTransfer, "unpack_config"});
  if (entries == nullptr || !entries->is_array()) return;
  config.unpack.emplace();
  for (const toml::node& element : *entries->as_array()) {
    if (!element.is_table()) continue;
    UnpackConfiguration entry;
    ReadText(*element.as_table(), {"platform"}, entry.platform);
    ReadText(*element.as_table(), {"snapshotter"}, entry.snapshotter);
    ReadText(*element.as_table(), {"differ"}, entry.differ);
    config.unpack->push_back(std::move(entry));
  }
}

void ReadRuntimes(const toml::table* runtimes, ContainerdConfig& config) {
  if (runtimes == nullptr) return;
  for (const auto& [key, value] : *runtimes) {
    std::string snapshotter;
    if (value.is_table()) ReadText(*value.as_table(), {"snapshotter"}, snapshotter);
    if (!snapshotter.empty()) config.cri.runtime_snapshotters.push_back(snapshotter);
  }
}

void ReadCriImages(const toml::table& table, ContainerdConfig& config) {
  ReadText(table, {"snapshotter"}, config.cri.snapshotter);
  const toml::node* disabled = At(table, {"disable_snapshot_annotations"});
  if (disabled != nullptr && disabled->is_boolean()) {
    config.cri.disable_snapshot_annotations = disabled->as_boolean()->get();
  }
}

void ReadCri(const toml::table& document, ContainerdConfig& config) {
  const toml::table* v1 = TableAt(document, {"plugins", kCri1});
  const toml::table* images = TableAt(document, {"plugins", kCriImages});
  const toml::table* runtime = TableAt(document, {"plugins", kCriRuntime});
  config.cri.written = config.cri.written || v1 != nullptr || images != nullptr || runtime != nullptr;
  if (v1 != nullptr) {
    if (const toml::table* settings = TableAt(*v1, {"containerd"}); settings != nullptr)
      ReadCriImages(*settings, config);
    ReadRuntimes(TableAt(*v1, {"containerd", "runtimes"}), config);
    ReadText(*v1, {"registry", "config_path"}, config.cri.hosts_dir);
  }
  if (images != nullptr) {
    ReadCriImages(*images, config);
    ReadText(*images, {"registry", "config_path"}, config.cri.hosts_dir);
  }
  if (runtime != nullptr) ReadRuntimes(TableAt(*runtime, {"containerd", "runtimes"}), config);
  for (const std::string& plugin : TextsOf(document.get("disabled_plugins"))) {
    if (plugin == "cri" || plugin == kCri1 || plugin == kCriImages) config.cri.disabled = true;
  }
}

void Read(const toml::table& document, ContainerdConfig& config) {
  ReadText(document, {"root"}, config.root);
  ReadText(document, {"grpc", "address"}, config.address);
  ReadText(document, {"plugins", kGrpcServer, "address"}, config.address);
  config.address = std::string(absl::StripPrefix(config.address, "unix://"));
  ReadProxies(document, config);
  ReadUnpack(document, config);
  if (const toml::node* order = At(document, {"plugins", kDiffService, "default"}); order != nullptr) {
    config.diff_order = TextsOf(order);
  }
  ReadCri(document, config);
}

// The files that `pattern` of `directory` stands for, in order.
std::vector<std::string> FilesOf(const std::string& pattern, const std::string& directory) {
  const std::string absolute = absl::StartsWith(pattern, "/") ? pattern : absl::StrCat(directory, "/", pattern);
  glob_t found = {};
  const absl::Cleanup free_found = [&found] { globfree(&found); };
  if (glob(absolute.c_str(), 0, nullptr, &found) != 0) return {};
  return {found.gl_pathv, found.gl_pathv + found.gl_pathc};
}

// Reads `path` and the files that it imports, each once.
absl::Status Load(const std::string& path, std::vector<std::string>& seen, ContainerdConfig& config) {
  if (absl::c_linear_search(seen, path)) return absl::OkStatus();
  seen.push_back(path);
  struct stat attributes = {};
  if (stat(path.c_str(), &attributes) != 0) return ErrnoStatus(errno, "stat", path);
  std::ifstream file(path);
  if (!file.is_open()) return ErrnoStatus(errno, "open", path);
  std::ostringstream text;
  text << file.rdbuf();
  config.changed_at = std::max(config.changed_at, absl::TimeFromTimespec(attributes.st_mtim));
  const absl::StatusOr<toml::table> document = ParseToml(text.str());
  if (!document.ok()) return absl::InvalidArgumentError(absl::StrCat(path, ":", document.status().message()));
  Read(*document, config);
  for (const std::string& pattern : TextsOf(document->get("imports"))) {
    for (const std::string& imported : FilesOf(pattern, std::filesystem::path(path).parent_path())) {
      RETURN_IF_ERROR(Load(imported, seen, config));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ParseContainerdConfig(absl::string_view text, ContainerdConfig& config) {
  ASSIGN_OR_RETURN(const toml::table document, ParseToml(text));
  Read(document, config);
  return absl::OkStatus();
}

absl::StatusOr<ContainerdConfig> LoadContainerdConfig(const std::string& path) {
  ContainerdConfig config;
  config.path = path;
  config.changed_at = absl::InfinitePast();
  std::vector<std::string> seen;
  const absl::Status loaded = Load(path, seen, config);
  // containerd runs without a file; one that it imports must be there.
  if (!loaded.ok() && !(ErrnoOf(loaded) == ENOENT && seen.size() == 1)) return loaded;
  return config;
}

}  // namespace sluice
