#include "registry/client/docker_credentials.h"

#include <pwd.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "registry/client/auth_file.h"
#include "registry/client/config_file.h"
#include "registry/client/credential_helper.h"

namespace sluice {
namespace {

constexpr int64_t kMaxFileBytes = int64_t{4} << 20;

std::string Variable(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::string HomeOfUser() {
  passwd entry = {};
  passwd* found = nullptr;
  std::string buffer(16 * 1024, '\0');
  if (::getpwuid_r(::getuid(), &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr) return "";
  return entry.pw_dir;
}

std::vector<std::string> FilesOf(const DockerCredentialOptions& options) {
  if (!options.registry_auth_file.empty()) return {options.registry_auth_file};
  std::vector<std::string> files;
  const auto add = [&files](const std::string& directory, const std::string& home, absl::string_view below_home,
                            absl::string_view name) {
    if (!directory.empty()) {
      files.push_back(absl::StrCat(directory, "/", name));
    } else if (!home.empty()) {
      files.push_back(absl::StrCat(home, below_home, "/", name));
    }
  };
  add(options.docker_config, options.home, "/.docker", "config.json");
  add(options.xdg_runtime_dir.empty() ? "" : options.xdg_runtime_dir + "/containers", options.containers_directory, "",
      "auth.json");
  add(options.xdg_config_home, options.home, "/.config", "containers/auth.json");
  return files;
}

class DockerCredentials : public CredentialSource {
 public:
  explicit DockerCredentials(const DockerCredentialOptions& options)
      : files_(FilesOf(options)), helper_{options.path, options.environment, options.helper_timeout} {}

  absl::StatusOr<std::optional<Credentials>> Find(absl::string_view host, absl::string_view repository,
                                                  const Cancellation* cancellation) const override {
    for (const std::string& file : files_) {
      auto credentials = FindIn(file, host, repository, cancellation);
      if (!credentials.ok()) return Annotate(credentials.status(), absl::StrCat("credentials for ", host));
      if (credentials->has_value()) return credentials;
    }
    return std::nullopt;
  }

 private:
  absl::StatusOr<std::optional<Credentials>> FindIn(const std::string& file, absl::string_view host,
                                                    absl::string_view repository,
                                                    const Cancellation* cancellation) const {
    absl::StatusOr<std::string> text = ReadConfigFile(file, kMaxFileBytes);
    if (absl::IsNotFound(text.status())) return std::nullopt;
    if (!text.ok()) return text.status();
    absl::StatusOr<AuthFileAnswer> answer = LookUpAuthFile(*text, host, repository);
    if (!answer.ok()) return Annotate(answer.status(), file);
    if (!answer->helper.empty()) {
      auto credentials = AskCredentialHelper(answer->helper, answer->helper_server, helper_, cancellation);
      if (!credentials.ok()) return Annotate(credentials.status(), file);
      return credentials;
    }
    if (answer->credentials.has_value()) answer->credentials->source = file;
    return std::move(answer->credentials);
  }

  const std::vector<std::string> files_;
  const CredentialHelperOptions helper_;
};

}  // namespace

DockerCredentialOptions DockerCredentialOptions::FromEnvironment() {
  DockerCredentialOptions options;
  for (char** variable = ::environ; variable != nullptr && *variable != nullptr; ++variable) {
    if (absl::string_view(*variable) != "HOME=") options.environment.push_back(*variable);
  }
  options.home = Variable("HOME");
  if (options.home.empty()) {
    options.home = HomeOfUser();
    if (!options.home.empty()) options.environment.push_back(absl::StrCat("HOME=", options.home));
  }
  options.docker_config = Variable("DOCKER_CONFIG");
  options.registry_auth_file = Variable("REGISTRY_AUTH_FILE");
  options.xdg_config_home = Variable("XDG_CONFIG_HOME");
  options.xdg_runtime_dir = Variable("XDG_RUNTIME_DIR");
  options.containers_directory = absl::StrCat("/run/containers/", ::getuid());
  options.path = Variable("PATH");
  return options;
}

std::unique_ptr<CredentialSource> MakeDockerCredentials(const DockerCredentialOptions& options) {
  return std::make_unique<DockerCredentials>(options);
}

}  // namespace sluice
