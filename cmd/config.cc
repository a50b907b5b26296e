#include "cmd/config.h"

#include <cerrno>
#include <fstream>
#include <functional>
#include <limits>
#include <map>
#include <sstream>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/errno_status.h"
#include "base/status_macros.h"
#include "cmd/toml_document.h"
#include "toml++/toml.h"

namespace sluice {
namespace {

std::string Line(const toml::node& node) { return absl::StrCat(node.source().begin.line); }

absl::Status ErrorAt(const toml::node& node, absl::string_view key, absl::string_view cause) {
  return absl::InvalidArgumentError(absl::StrCat(Line(node), ": ", key, ": ", cause));
}

using Reader = std::function<absl::Status(const std::string& key, const toml::node& node)>;

Reader Text(std::string& target, bool absolute_path = false) {
  return [&target, absolute_path](const std::string& key, const toml::node& node) -> absl::Status {
    const toml::value<std::string>* text = node.as_string();
    if (text == nullptr) return ErrorAt(node, key, "must be a string");
    if (absolute_path && !absl::StartsWith(text->get(), "/")) return ErrorAt(node, key, "must be an absolute path");
    target = text->get();
    return absl::OkStatus();
  };
}

Reader Path(std::string& target) { return Text(target, /*absolute_path=*/true); }

Reader Listen(std::optional<ListenAddress>& target) {
  return [&target](const std::string& key, const toml::node& node) -> absl::Status {
    std::string text;
    RETURN_IF_ERROR(Text(text)(key, node));
    if (text.empty()) return absl::OkStatus();
    absl::StatusOr<ListenAddress> address = ParseListenAddress(text);
    if (!address.ok()) return ErrorAt(node, key, address.status().message());
    target = *std::move(address);
    return absl::OkStatus();
  };
}

Reader Texts(std::vector<std::string>& target) {
  return [&target](const std::string& key, const toml::node& node) -> absl::Status {
    const toml::array* array = node.as_array();
    if (array == nullptr) return ErrorAt(node, key, "must be a list of strings");
    for (const toml::node& element : *array) {
      if (!element.is_string()) return ErrorAt(element, key, "must be a list of strings");
      target.push_back(element.as_string()->get());
    }
    return absl::OkStatus();
  };
}

Reader Number(int64_t& target, int64_t min, int64_t max) {
  return [&target, min, max](const std::string& key, const toml::node& node) -> absl::Status {
    const toml::value<int64_t>* number = node.as_integer();
    if (number == nullptr || number->get() < min || number->get() > max) {
      return ErrorAt(node, key, absl::StrCat("must be a number from ", min, " to ", max));
    }
    target = number->get();
    return absl::OkStatus();
  };
}

Reader Bytes(int64_t& target) {
  return [&target](const std::string& key, const toml::node& node) -> absl::Status {
    if (node.is_integer() && node.as_integer()->get() >= 0) {
      target = node.as_integer()->get();
      return absl::OkStatus();
    }
    if (!node.is_string()) return ErrorAt(node, key, "must be a size like \"20GiB\"");
    absl::StatusOr<int64_t> bytes = ParseByteSize(node.as_string()->get());
    if (!bytes.ok()) return ErrorAt(node, key, bytes.status().message());
    target = *bytes;
    return absl::OkStatus();
  };
}

Reader Flag(bool& target) {
  return [&target](const std::string& key, const toml::node& node) -> absl::Status {
    const toml::value<bool>* flag = node.as_boolean();
    if (flag == nullptr) return ErrorAt(node, key, "must be true or false");
    target = flag->get();
    return absl::OkStatus();
  };
}

// One of `choices`; `target` becomes true for the second.
Reader Choice(bool& target, std::pair<std::string, std::string> choices) {
  return [&target, choices = std::move(choices)](const std::string& key, const toml::node& node) -> absl::Status {
    const std::string text = node.is_string() ? node.as_string()->get() : "";
    if (text != choices.first && text != choices.second) {
      return ErrorAt(node, key, absl::StrCat("must be \"", choices.first, "\" or \"", choices.second, "\""));
    }
    target = text == choices.second;
    return absl::OkStatus();
  };
}

// Every key of `node`, a table, by its reader. `prefix` is "registry." and the like, for messages.
absl::Status ReadTable(const toml::node& node, const std::string& prefix,
                       const std::map<std::string, Reader>& readers) {
  const toml::table* table = node.as_table();
  if (table == nullptr) return ErrorAt(node, prefix.substr(0, prefix.size() - 1), "must be a table");
  for (const auto& [key, value] : *table) {
    const std::string name(key.str());
    const auto reader = readers.find(name);
    if (reader == readers.end()) {
      std::vector<std::string> known;
      for (const auto& [known_name, unused] : readers) known.push_back(known_name);
      return absl::InvalidArgumentError(absl::StrCat(key.source().begin.line, ": unknown key \"", prefix,
                                                     absl::Utf8SafeCHexEscape(name),
                                                     "\"; known here: ", absl::StrJoin(known, ", ")));
    }
    RETURN_IF_ERROR(reader->second(prefix + name, value));
  }
  return absl::OkStatus();
}

Reader Table(std::map<std::string, Reader> readers) {
  return [readers = std::move(readers)](const std::string& key, const toml::node& node) {
    return ReadTable(node, key + ".", readers);
  };
}

absl::StatusOr<StoreKind> ParseStoreKind(absl::string_view text) {
  for (const StoreKind kind : {StoreKind::kOciLayout, StoreKind::kZot, StoreKind::kDistribution}) {
    if (text == StoreKindName(kind)) return kind;
  }
  return absl::InvalidArgumentError("must be \"oci-layout\", \"zot\" or \"distribution\"");
}

absl::Status ReadStore(const std::string& key, const toml::node& node, std::vector<StoreConfig>& stores) {
  StoreConfig store;
  std::string kind;
  RETURN_IF_ERROR(ReadTable(node, key + ".",
                            {{"kind", Text(kind)},
                             {"path", Path(store.path)},
                             {"registries", Texts(store.registries)},
                             {"require_link", Flag(store.require_link)}}));
  const absl::StatusOr<StoreKind> parsed = ParseStoreKind(kind);
  if (!parsed.ok()) return ErrorAt(node, key + ".kind", parsed.status().message());
  store.kind = *parsed;
  if (store.path.empty()) return ErrorAt(node, key + ".path", "is missing");
  if (store.require_link && store.kind == StoreKind::kOciLayout) {
    return ErrorAt(node, key + ".require_link", "an oci-layout has no repositories that could link anything");
  }
  if (store.require_link && store.registries.empty()) {
    return ErrorAt(node, key + ".require_link", "needs registries: whose repositories count");
  }
  stores.push_back(std::move(store));
  return absl::OkStatus();
}

Reader Strategies(PolicyConfig& policy) {
  return [&policy](const std::string& key, const toml::node& node) -> absl::Status {
    std::vector<std::string> names;
    RETURN_IF_ERROR(Texts(names)(key, node));
    policy.layout = policy.stream = policy.cached = false;
    for (const std::string& name : names) {
      bool* const allowed = name == "layout"   ? &policy.layout
                            : name == "stream" ? &policy.stream
                            : name == "cached" ? &policy.cached
                                               : nullptr;
      if (allowed == nullptr) return ErrorAt(node, key, R"(must be a list of "layout", "stream" and "cached")");
      *allowed = true;
    }
    return absl::OkStatus();
  };
}

absl::Status ReadPolicy(const std::string& key, const toml::node& node, std::vector<PolicyConfig>& policies) {
  PolicyConfig policy;
  RETURN_IF_ERROR(ReadTable(node, key + ".",
                            {{"hosts", Texts(policy.hosts)},
                             {"strategies", Strategies(policy)},
                             {"max_downloads", Number(policy.max_downloads, 0, 1024)},
                             {"max_bytes_per_second", Bytes(policy.max_bytes_per_second)}}));
  if (policy.hosts.empty()) return ErrorAt(node, key + ".hosts", "is missing");
  policies.push_back(std::move(policy));
  return absl::OkStatus();
}

// [[name]], as often as you like; `read` is given each.
template <typename Element>
Reader Tables(std::vector<Element>& elements,
              absl::Status (*read)(const std::string& key, const toml::node& node, std::vector<Element>& elements)) {
  return [&elements, read](const std::string& key, const toml::node& node) -> absl::Status {
    if (!node.is_array_of_tables()) return ErrorAt(node, key, absl::StrCat("must be written [[", key, "]]"));
    for (const toml::node& element : *node.as_array()) RETURN_IF_ERROR(read(key, element, elements));
    return absl::OkStatus();
  };
}

absl::StatusOr<Config> Parse(absl::string_view text) {
  ASSIGN_OR_RETURN(const toml::table document, ParseToml(text));
  Config config;
  RETURN_IF_ERROR(ReadTable(
      document, "",
      {{"store", Tables(config.stores, &ReadStore)},
       {"registry", Table({{"local_registries", Texts(config.registry.local_registries)},
                           {"hosts_dir", Path(config.registry.hosts_dir)},
                           {"plain_http_credentials", Texts(config.registry.plain_http_credentials)},
                           {"docker_config", Path(config.registry.docker_config)},
                           {"max_downloads", Number(config.registry.max_downloads, 1, 1024)},
                           {"policy", Tables(config.registry.policies, &ReadPolicy)}})},
       {"containerd", Table({{"address", Path(config.containerd.address)},
                             {"content", Choice(config.containerd.backfill_content, {"none", "backfill"})}})},
       {"unpack", Table({{"workers", Number(config.unpack.workers, 0, 1024)},
                         {"sync", Choice(config.unpack.sync_on_commit, {"background", "commit"})}})},
       {"cache",
        Table({{"max_bytes", Bytes(config.cache.max_bytes)},
               {"min_free", Bytes(config.cache.min_free)},
               {"min_free_inodes", Number(config.cache.min_free_inodes, 0, std::numeric_limits<int64_t>::max())}})},
       {"metrics", Table({{"address", Listen(config.metrics.address)}})}}));
  return config;
}

}  // namespace

absl::string_view StoreKindName(StoreKind kind) {
  switch (kind) {
    case StoreKind::kOciLayout:
      break;
    case StoreKind::kZot:
      return "zot";
    case StoreKind::kDistribution:
      return "distribution";
  }
  return "oci-layout";
}

absl::StatusOr<int64_t> ParseByteSize(absl::string_view text) {
  static const auto* const kUnits = new std::map<std::string, int64_t>{
      {"", 1},          {"B", 1},         {"KB", 1000},     {"MB", 1000'000},         {"GB", 1000'000'000},
      {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TB", 1000'000'000'000}, {"TiB", int64_t{1} << 40}};
  size_t digits = 0;
  while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9') ++digits;
  int64_t number = 0;
  const auto unit = kUnits->find(std::string(text.substr(digits)));
  if (digits == 0 || !absl::SimpleAtoi(text.substr(0, digits), &number) || unit == kUnits->end()) {
    return absl::InvalidArgumentError("must be a size like \"20GiB\"");
  }
  if (number > std::numeric_limits<int64_t>::max() / unit->second) {
    return absl::InvalidArgumentError("is too large a size");
  }
  return number * unit->second;
}

absl::StatusOr<Config> ParseConfig(absl::string_view text, const std::string& name) {
  absl::StatusOr<Config> config = Parse(text);
  if (config.ok()) return config;
  return absl::InvalidArgumentError(absl::StrCat("config: ", name, ":", config.status().message()));
}

absl::StatusOr<Config> LoadConfig(const std::string& path) {
  errno = 0;
  std::ifstream file(path);
  if (!file.is_open()) {
    if (errno == ENOENT && path == kDefaultConfigPath) return Config{};
    return Annotate(ErrnoStatus(errno, "open", path), "config");
  }
  std::ostringstream text;
  // By operator<<, which catches what the stream's iterators throw, such as EISDIR. It fails if there is nothing to
  // copy.
  if (file.peek() != std::ifstream::traits_type::eof()) text << file.rdbuf();
  if (file.bad() || text.fail()) return absl::UnavailableError(absl::StrCat("config: ", path, ": can't be read"));
  return ParseConfig(text.str(), path);
}

}  // namespace sluice
