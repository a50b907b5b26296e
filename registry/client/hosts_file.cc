#include "registry/client/hosts_file.h"

#include <algorithm>
#include <filesystem>
#include <limits>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "base/status_macros.h"
#include "base/toml_depth.h"
#include "toml++/toml.h"

namespace sluice {
namespace {

absl::Status ErrorAt(const toml::source_region& source, absl::string_view key, absl::string_view cause) {
  return absl::InvalidArgumentError(absl::StrCat(source.begin.line, ": ", key, ": ", cause));
}

// Debian's toml++ is built to throw. What it says of the cause may quote the line, which may hold a password.
absl::StatusOr<toml::table> ParseToml(absl::string_view text) {
  // toml++ skips it, go-toml does not.
  if (absl::StartsWith(text, "\xEF\xBB\xBF")) return absl::InvalidArgumentError("1: begins with a byte order mark");
  RETURN_IF_ERROR(CheckTomlDepth(text));
  try {
    return toml::parse(std::string_view(text.data(), text.size()));
  } catch (const toml::parse_error& error) {
    return absl::InvalidArgumentError(
        absl::StrCat(error.source().begin.line, ": not TOML, from column ", error.source().begin.column));
  }
}

std::string Lower(const toml::key& key) {
  return absl::AsciiStrToLower(absl::string_view(key.str().data(), key.str().size()));
}

absl::Status ReadText(const std::string& key, const toml::node& node, std::string& target) {
  if (!node.is_string()) return ErrorAt(node.source(), key, "must be a string");
  target = node.as_string()->get();
  return absl::OkStatus();
}

// The fields of one table. go-toml finds a key in any case ("Server", "CA"); keys that it doesn't know it skips.
class FieldReader {
 public:
  explicit FieldReader(const std::string& directory) : directory_(directory) {}

  absl::Status Read(const toml::table& table) {
    for (const auto& [key, node] : table) RETURN_IF_ERROR(ReadField(Lower(key), node));
    return absl::OkStatus();
  }

  // What was read, at `url`, which is written at `source` as the value of `key`; "" if it isn't.
  absl::StatusOr<HostsFileEntry> EntryFor(absl::string_view url, const toml::source_region& source,
                                          absl::string_view key) && {
    if (!url.empty()) {
      absl::StatusOr<HostUrl> parsed = ParseHostUrl(url, override_path_);
      if (!parsed.ok()) return ErrorAt(source, key, parsed.status().message());
      entry_.url = *std::move(parsed);
    }
    return std::move(entry_);
  }

 private:
  absl::Status ReadField(const std::string& key, const toml::node& node) {
    if (key == "override_path") return ReadBool(key, node, override_path_);
    if (key == "skip_verify") return ReadBool(key, node, entry_.skip_verify.emplace());
    if (key == "capabilities") return ReadCapabilities(key, node);
    if (key == "ca") return ReadCa(key, node);
    if (key == "client") return ReadClients(key, node);
    if (key == "header") return ReadHeaders(key, node);
    if (key == "dial_timeout") return ReadDialTimeout(key, node);
    return absl::OkStatus();
  }

  static absl::Status ReadBool(const std::string& key, const toml::node& node, bool& target) {
    if (!node.is_boolean()) return ErrorAt(node.source(), key, "must be true or false");
    target = node.as_boolean()->get();
    return absl::OkStatus();
  }

  // A list of strings; or, if `or_one`, one string alone.
  static absl::Status ReadTexts(const std::string& key, const toml::node& node, bool or_one,
                                std::vector<std::string>& target) {
    const char* const expected = or_one ? "must be a string or a list of strings" : "must be a list of strings";
    if (or_one && node.is_string()) {
      target.push_back(node.as_string()->get());
      return absl::OkStatus();
    }
    if (!node.is_array()) return ErrorAt(node.source(), key, expected);
    for (const toml::node& element : *node.as_array()) {
      if (!element.is_string()) return ErrorAt(element.source(), key, expected);
      target.push_back(element.as_string()->get());
    }
    return absl::OkStatus();
  }

  // Cleaned by name, as Go's filepath.Join does it, not by what links say.
  std::string AbsolutePath(const std::string& path) const {
    return absl::StartsWith(path, "/") ? path : (std::filesystem::path(directory_) / path).lexically_normal().string();
  }

  absl::Status ReadCapabilities(const std::string& key, const toml::node& node) {
    std::vector<std::string> capabilities;
    RETURN_IF_ERROR(ReadTexts(key, node, /*or_one=*/false, capabilities));
    if (capabilities.empty()) return absl::OkStatus();  // as if the key were not there: all of them
    entry_.can_pull = entry_.can_resolve = false;
    for (const std::string& capability : capabilities) {
      const std::string name = absl::AsciiStrToLower(capability);
      if (name == "pull") {
        entry_.can_pull = true;
      } else if (name == "resolve") {
        entry_.can_resolve = true;
      } else if (name != "push" && name != "referrers") {
        return ErrorAt(node.source(), key, "knows pull, resolve, push and referrers only");
      }
    }
    return absl::OkStatus();
  }

  absl::Status ReadCa(const std::string& key, const toml::node& node) {
    std::vector<std::string>& files = entry_.ca_files.emplace();
    RETURN_IF_ERROR(ReadTexts(key, node, /*or_one=*/true, files));
    for (std::string& file : files) file = AbsolutePath(file);
    return absl::OkStatus();
  }

  absl::Status ReadClients(const std::string& key, const toml::node& node) {
    const char* const expected = "must be a string, a list of strings or a list of [certificate, key]";
    if (node.is_string()) {
      entry_.clients = {{AbsolutePath(node.as_string()->get()), ""}};
      return absl::OkStatus();
    }
    if (!node.is_array()) return ErrorAt(node.source(), key, expected);
    for (const toml::node& element : *node.as_array()) {
      if (element.is_string()) {
        entry_.clients.push_back({AbsolutePath(element.as_string()->get()), ""});
        continue;
      }
      std::vector<std::string> pair;
      RETURN_IF_ERROR(ReadTexts(key, element, /*or_one=*/false, pair));
      if (pair.size() != 2) return ErrorAt(element.source(), key, expected);
      entry_.clients.push_back({AbsolutePath(pair[0]), AbsolutePath(pair[1])});
    }
    return absl::OkStatus();
  }

  absl::Status ReadHeaders(const std::string& key, const toml::node& node) {
    if (!node.is_table()) return ErrorAt(node.source(), key, "must be a table");
    for (const auto& [name, value] : *node.as_table()) {
      std::vector<std::string> values;
      RETURN_IF_ERROR(ReadTexts(key, value, /*or_one=*/true, values));
      for (std::string& text : values) entry_.headers.emplace_back(std::string(name.str()), std::move(text));
    }
    return absl::OkStatus();
  }

  // As Go's time.ParseDuration: "1.5s", "1m30s", "0"; no "inf".
  absl::Status ReadDialTimeout(const std::string& key, const toml::node& node) {
    std::string text;
    RETURN_IF_ERROR(ReadText(key, node, text));
    if (text.empty()) return absl::OkStatus();
    const std::string ascii = absl::StrReplaceAll(text, {{"\u00B5s", "us"}, {"\u03BCs", "us"}});
    absl::Duration duration;
    if (absl::StrContains(text, "inf") || !absl::ParseDuration(ascii, &duration) ||
        absl::AbsDuration(duration) > absl::Nanoseconds(std::numeric_limits<int64_t>::max())) {
      return ErrorAt(node.source(), key, "must be a time like \"1.5s\"");
    }
    // 0 is no limit; less, or a part of a millisecond, is over at once.
    const auto milliseconds = absl::ToChronoMilliseconds(absl::Ceil(duration, absl::Milliseconds(1)));
    entry_.dial_timeout =
        duration == absl::ZeroDuration() ? milliseconds : std::max(milliseconds, std::chrono::milliseconds(1));
    return absl::OkStatus();
  }

  const std::string& directory_;
  HostsFileEntry entry_;
  bool override_path_ = false;
};

// toml++ keeps keys sorted; a key remembers where it was first written, be it [host."a"] or [host."a".header].
absl::Status ReadHosts(const toml::node& node, const std::string& directory, std::vector<HostsFileEntry>& entries) {
  if (!node.is_table()) return ErrorAt(node.source(), "host", "must be a table");
  std::vector<std::pair<const toml::key*, const toml::node*>> hosts;
  for (const auto& [key, host] : *node.as_table()) hosts.emplace_back(&key, &host);
  std::sort(hosts.begin(), hosts.end(),
            [](const auto& a, const auto& b) { return a.first->source().begin < b.first->source().begin; });
  for (const auto& [key, host] : hosts) {
    if (!host->is_table()) return ErrorAt(host->source(), "host", "must be a table of tables");
    const absl::string_view url(key->str().data(), key->str().size());
    FieldReader reader(directory);
    RETURN_IF_ERROR(reader.Read(*host->as_table()));
    ASSIGN_OR_RETURN(HostsFileEntry entry, std::move(reader).EntryFor(url, key->source(), "host"));
    entries.push_back(std::move(entry));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<HostsFileEntry>> ParseHostsFile(absl::string_view text, const std::string& directory) {
  ASSIGN_OR_RETURN(const toml::table document, ParseToml(text));
  std::vector<HostsFileEntry> entries;
  // Only in lower case: containerd lists the hosts by itself.
  if (const toml::node* hosts = document.get("host"); hosts != nullptr) {
    RETURN_IF_ERROR(ReadHosts(*hosts, directory, entries));
  }
  std::string server;
  toml::source_region server_source;
  for (const auto& [key, node] : document) {
    if (Lower(key) != "server") continue;
    RETURN_IF_ERROR(ReadText("server", node, server));
    server_source = node.source();
  }
  FieldReader reader(directory);
  RETURN_IF_ERROR(reader.Read(document));
  ASSIGN_OR_RETURN(HostsFileEntry root, std::move(reader).EntryFor(server, server_source, "server"));
  entries.push_back(std::move(root));
  return entries;
}

}  // namespace sluice
