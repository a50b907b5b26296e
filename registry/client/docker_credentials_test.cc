#include "registry/client/docker_credentials.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace sluice {
namespace {

using testing::StatusIs;
using testing::TempDir;

class DockerCredentialsTest : public ::testing::Test {
 protected:
  DockerCredentialsTest() {
    options_.home = dir_.At("home");
    options_.containers_directory = dir_.At("run/containers/0");
    options_.path = dir_.At("bin");
    options_.environment = {"PATH=/usr/bin:/bin", "DIR=" + dir_.path()};
  }

  void Write(const std::string& path, const std::string& text, mode_t mode = 0600) const {
    std::filesystem::create_directories(std::filesystem::path(dir_.At(path)).parent_path());
    std::ofstream(dir_.At(path)) << text;
    ASSERT_EQ(::chmod(dir_.At(path).c_str(), mode), 0);
  }
  // A file with one user for `host`.
  void WriteUser(const std::string& path, const std::string& user, const std::string& host = "reg.x") const {
    Write(path, absl::StrCat(R"({"auths": {")", host, R"(": {"auth": ")", absl::Base64Escape(user + ":p"), R"("}}})"));
  }

  absl::StatusOr<std::optional<Credentials>> Find(const std::string& host = "reg.x",
                                                  const std::string& repository = "a/b") const {
    return MakeDockerCredentials(options_)->Find(host, repository, nullptr);
  }
  // The user and where it is from, below the test's directory; "" for none.
  std::string User(const std::string& host = "reg.x", const std::string& repository = "a/b") const {
    const auto found = Find(host, repository);
    EXPECT_OK(found);
    if (!found.ok() || !found->has_value()) return "";
    return absl::StrCat((*found)->username, " ", absl::StripPrefix((*found)->source, dir_.path() + "/"));
  }

  const TempDir dir_;
  DockerCredentialOptions options_;
};

TEST_F(DockerCredentialsTest, NoFilesNoCredentials) {
  EXPECT_EQ(User(), "");
  EXPECT_FALSE(MakeDockerCredentials({})->Find("reg.x", "a", nullptr).value().has_value());
}

// Each file in turn, and then the one before it, which wins.
TEST_F(DockerCredentialsTest, FilesHaveAnOrder) {
  WriteUser("home/.config/containers/auth.json", "config");
  EXPECT_EQ(User(), "config home/.config/containers/auth.json");
  options_.xdg_config_home = dir_.At("xdg-config");
  EXPECT_EQ(User(), "");
  WriteUser("xdg-config/containers/auth.json", "xdg-config");
  EXPECT_EQ(User(), "xdg-config xdg-config/containers/auth.json");

  WriteUser("run/containers/0/auth.json", "run");
  EXPECT_EQ(User(), "run run/containers/0/auth.json");
  options_.xdg_runtime_dir = dir_.At("xdg-run");
  EXPECT_EQ(User(), "xdg-config xdg-config/containers/auth.json");
  WriteUser("xdg-run/containers/auth.json", "xdg-run");
  EXPECT_EQ(User(), "xdg-run xdg-run/containers/auth.json");

  WriteUser("home/.docker/config.json", "docker");
  EXPECT_EQ(User(), "docker home/.docker/config.json");
  options_.docker_config = dir_.At("docker");
  EXPECT_EQ(User(), "xdg-run xdg-run/containers/auth.json");
  WriteUser("docker/config.json", "docker-config");
  EXPECT_EQ(User(), "docker-config docker/config.json");

  options_.registry_auth_file = dir_.At("auth");
  EXPECT_EQ(User(), "");
  WriteUser("auth", "only");
  EXPECT_EQ(User(), "only auth");
}

TEST_F(DockerCredentialsTest, AFileWithoutAnAnswerLeavesItToTheNext) {
  WriteUser("home/.docker/config.json", "docker", "other.x");
  WriteUser("run/containers/0/auth.json", "run", "reg.x/a");
  EXPECT_EQ(User("other.x"), "docker home/.docker/config.json");
  EXPECT_EQ(User("reg.x"), "run run/containers/0/auth.json");
  EXPECT_EQ(User("reg.x", "c"), "");
}

TEST_F(DockerCredentialsTest, FilesAreReadAnew) {
  const auto source = MakeDockerCredentials(options_);
  EXPECT_FALSE(source->Find("reg.x", "a", nullptr).value().has_value());
  WriteUser("home/.docker/config.json", "first");
  EXPECT_EQ(source->Find("reg.x", "a", nullptr).value()->username, "first");
  WriteUser("home/.docker/config.json", "other");
  EXPECT_EQ(source->Find("reg.x", "a", nullptr).value()->username, "other");
  std::filesystem::remove(dir_.At("home/.docker/config.json"));
  EXPECT_FALSE(source->Find("reg.x", "a", nullptr).value().has_value());
}

TEST_F(DockerCredentialsTest, HelpersAreAsked) {
  Write("bin/docker-credential-t",
        "#!/bin/sh\necho \"{\\\"Username\\\": \\\"u@$(cat)\\\", \\\"Secret\\\": \\\"p\\\"}\"\n", 0755);
  Write("bin/docker-credential-none", "#!/bin/sh\necho credentials not found in native keychain; exit 1\n", 0755);
  Write("home/.docker/config.json",
        R"({"credHelpers": {"none.x": "none"}, "credsStore": "t", "auths": {"none.x": {"auth": "dTpw"}}})");
  WriteUser("run/containers/0/auth.json", "run", "none.x");
  EXPECT_EQ(User("reg.x:5000"), "u@reg.x:5000 docker-credential-t");
  EXPECT_EQ(User("docker.io"), "u@https://index.docker.io/v1/ docker-credential-t");
  // What it doesn't know may be in the next file, but not in this one.
  EXPECT_EQ(User("none.x"), "run run/containers/0/auth.json");
}

TEST_F(DockerCredentialsTest, ErrorsNameTheFileAndTheHelper) {
  Write("home/.docker/config.json", "SECRET");
  WriteUser("run/containers/0/auth.json", "run");
  const std::string file = dir_.At("home/.docker/config.json");
  EXPECT_THAT(Find(), StatusIs(absl::StatusCode::kInvalidArgument, "credentials for reg.x: " + file + ": not JSON"));
  Write("home/.docker/config.json", R"({"credsStore": "gone"})");
  EXPECT_THAT(Find(), StatusIs(absl::StatusCode::kUnavailable,
                               "credentials for reg.x: " + file + ": docker-credential-gone: not found in PATH"));
  Write("home/.docker/config.json", std::string((4 << 20) + 1, ' '));
  EXPECT_THAT(Find(), StatusIs(absl::StatusCode::kInvalidArgument, file + ": larger than 4194304 bytes"));
  std::filesystem::remove(file);
  ASSERT_EQ(::mkfifo(file.c_str(), 0600), 0);
  EXPECT_THAT(Find(), StatusIs(absl::StatusCode::kFailedPrecondition, file + ": not a regular file"));
}

TEST_F(DockerCredentialsTest, CancellationReachesTheHelper) {
  Write("bin/docker-credential-t", "#!/bin/sh\nsleep 1000\n", 0755);
  Write("home/.docker/config.json", R"({"credsStore": "t"})");
  Cancellation cancellation;
  cancellation.Cancel();
  EXPECT_THAT(MakeDockerCredentials(options_)->Find("reg.x", "a", &cancellation),
              StatusIs(absl::StatusCode::kCancelled));
  options_.helper_timeout = std::chrono::milliseconds(50);
  EXPECT_THAT(Find(), StatusIs(absl::StatusCode::kUnavailable, "no answer within 50 ms"));
}

// Wherever a secret can stand, and whatever is broken around it.
TEST_F(DockerCredentialsTest, NoSecretIsInAnError) {
  Write("bin/docker-credential-fails", "#!/bin/sh\necho SECRET; echo SECRET >&2; exit 1\n", 0755);
  Write("bin/docker-credential-garbage", "#!/bin/sh\necho '{\"Secret\": \"SECRET\"'\n", 0755);
  Write("bin/docker-credential-type", "#!/bin/sh\necho '{\"Secret\": [\"SECRET\"]}'\n", 0755);
  Write("bin/docker-credential-hangs", "#!/bin/sh\necho '{\"Secret\": \"SECRET\"'; sleep 1000\n", 0755);
  Write("bin/docker-credential-floods", "#!/bin/sh\nexec yes SECRET\n", 0755);
  options_.helper_timeout = std::chrono::seconds(1);
  for (const char* text :
       {"SECRET", R"({"auths": {"reg.x": {"auth": "SECRET!"}}})", R"({"auths": {"reg.x": {"auth": "U0VDUkVU"}}})",
        R"({"auths": {"reg.x": {"password": ["SECRET"]}}})", R"({"auths": {"reg.x": "SECRET"}})",
        R"({"auths": {"reg.x": {"registrytoken": {"SECRET": "SECRET"}}}})", R"({"auths": ["SECRET"]})",
        R"({"auths": {"reg.x": {"auth": "SECRET)", R"({"credsStore": "fails"})", R"({"credsStore": "garbage"})",
        R"({"credsStore": "type"})", R"({"credsStore": "hangs"})", R"({"credsStore": "floods"})",
        R"({"credHelpers": {"reg.x": "S E C R E T SECRET"}})"}) {
    Write("home/.docker/config.json", text);
    const auto found = Find();
    EXPECT_FALSE(found.ok()) << text;
    EXPECT_FALSE(absl::StrContains(found.status().ToString(), "SECRET")) << found.status();
    EXPECT_FALSE(absl::StrContains(found.status().ToString(), "U0VDUkVU")) << found.status();
  }
}

TEST(DockerCredentialOptionsTest, AreTheProcesss) {
  for (const char* name : {"DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "PATH"}) {
    ::setenv(name, absl::StrCat("/", name).c_str(), 1);
  }
  ::setenv("HOME", "/my/home", 1);
  const DockerCredentialOptions options = DockerCredentialOptions::FromEnvironment();
  EXPECT_EQ(options.home, "/my/home");
  EXPECT_EQ(options.docker_config, "/DOCKER_CONFIG");
  EXPECT_EQ(options.registry_auth_file, "/REGISTRY_AUTH_FILE");
  EXPECT_EQ(options.xdg_config_home, "/XDG_CONFIG_HOME");
  EXPECT_EQ(options.xdg_runtime_dir, "/XDG_RUNTIME_DIR");
  EXPECT_EQ(options.path, "/PATH");
  EXPECT_EQ(options.containers_directory, absl::StrCat("/run/containers/", ::getuid()));
  EXPECT_THAT(options.environment, ::testing::Contains("XDG_CONFIG_HOME=/XDG_CONFIG_HOME"));
  EXPECT_THAT(options.environment, ::testing::Contains("HOME=/my/home"));
}

// As a service without User= has it.
TEST(DockerCredentialOptionsTest, HomeComesFromThePasswordDatabaseWhereThereIsNone) {
  for (const bool set : {false, true}) {
    ::unsetenv("HOME");
    if (set) ::setenv("HOME", "", 1);
    const DockerCredentialOptions options = DockerCredentialOptions::FromEnvironment();
    ASSERT_FALSE(options.home.empty());
    EXPECT_EQ(options.home[0], '/');
    EXPECT_THAT(options.environment, ::testing::Contains("HOME=" + options.home));
    EXPECT_THAT(options.environment, ::testing::Not(::testing::Contains("HOME=")));
  }
}

}  // namespace
}  // namespace sluice
