#include "registry/client/hosts_config_corpus.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "tests/testing/temp_dir.h"

namespace sluice::testing {
namespace {

std::string Read(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

// Made once, by openssl.
const std::vector<std::pair<std::string, std::string>>& Pem() {
  static const auto* const pem = [] {
    const TempDir dir;
    const std::string command = absl::StrCat(
        "set -e; cd ", dir.path(), "; exec 2>/dev/null; openssl ecparam -genkey -noout -name prime256v1 -out key; ",
        "openssl ecparam -genkey -noout -name prime256v1 -out other; openssl req -x509 -key key -days 2 -subj /CN=x "
        "-out cert");
    if (std::system(command.c_str()) != 0) std::abort();
    return new std::vector<std::pair<std::string, std::string>>{{"<certificate>", Read(dir.At("cert"))},
                                                                {"<key>", Read(dir.At("key"))},
                                                                {"<other key>", Read(dir.At("other"))}};
  }();
  return *pem;
}

void Append(std::string& line, bool condition, absl::string_view word) {
  if (condition) absl::StrAppend(&line, " ", word);
}

}  // namespace

std::string WriteHostsDirectory(const HostsCase& hosts_case, const std::string& directory) {
  const std::string hosts_dir = absl::StrCat(directory, "/", hosts_case.name);
  for (const auto& [name, text] : hosts_case.files) {
    const std::filesystem::path path = absl::StrCat(hosts_dir, "/", name);
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << absl::StrReplaceAll(text, Pem());
  }
  return hosts_dir;
}

std::string Describe(const ConfiguredEndpoint& endpoint, absl::string_view hosts_dir) {
  const std::string prefix = absl::StrCat(hosts_dir, "/");
  std::string line = endpoint.base;
  Append(line, endpoint.is_mirror, "mirror");
  Append(line, endpoint.is_implied, "implied");
  Append(line, !endpoint.can_pull, "no-pull");
  Append(line, !endpoint.can_resolve, "no-resolve");
  Append(line, endpoint.plain_http_fallback, "fallback");
  Append(line, endpoint.skip_verify, "unverified");
  for (const std::string& file : endpoint.ca_files) absl::StrAppend(&line, " ca=", absl::StripPrefix(file, prefix));
  for (const auto& client : endpoint.clients) {
    absl::StrAppend(&line, " client=", absl::StripPrefix(client.certificate, prefix));
    if (!client.key.empty()) absl::StrAppend(&line, "+", absl::StripPrefix(client.key, prefix));
  }
  for (const auto& [name, value] : endpoint.headers) absl::StrAppend(&line, " header=", name, ":", value);
  const auto dial_timeout = endpoint.dial_timeout.count();
  if (dial_timeout != 30'000) absl::StrAppend(&line, " dial=", dial_timeout);
  return line;
}

std::string DescribeForPeer(const ConfiguredEndpoint& endpoint) {
  std::string line = endpoint.base;
  if (endpoint.plain_http_fallback) line = absl::StrCat("http", absl::StripPrefix(line, "https"));
  Append(line, !endpoint.can_pull, "no-pull");
  Append(line, !endpoint.can_resolve, "no-resolve");
  Append(line, endpoint.skip_verify, "unverified");
  Append(line, !endpoint.ca_files.empty(), "ca");
  if (!endpoint.clients.empty()) absl::StrAppend(&line, " clients=", endpoint.clients.size());
  for (const auto& [name, value] : endpoint.headers) absl::StrAppend(&line, " header=", name, ":", value);
  return line;
}

}  // namespace sluice::testing
