// The real sluicectl, run as people run it: what it leaves on the disk, what it says, and its exit code.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/oci_layout_builder.h"
#include "tests/testing/ordinary_user.h"
#include "tests/testing/tar_builder.h"
#include "tests/testing/temp_dir.h"

namespace sluice::testing {

// Relative to the test's runfiles, where Bazel starts it; absolute, because some tests change directory.
inline const std::string& Program() {
  static const std::string program = std::filesystem::absolute("cmd/sluicectl");
  return program;
}

struct Outcome {
  int code = -1;  // as a shell gives it: 128 + signal for a death by signal
  std::string out;
  std::string err;
  int64_t peak_bytes = 0;  // of its memory
};

inline std::string Read(const std::string& path) {
  std::stringstream content;
  content << std::ifstream(path).rdbuf();
  return content.str();
}

inline std::vector<std::string> NamesIn(const std::string& directory) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) names.push_back(entry.path().filename());
  return names;
}

enum class User { kRoot, kOrdinary };

// A run of sluicectl with its output in two files.
class Process {
 public:
  explicit Process(const std::vector<std::string>& arguments, User user = User::kRoot) {
    std::vector<char*> argv = {const_cast<char*>(Program().c_str())};
    for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    pid_ = fork();
    if (pid_ != 0) return;
    const int out = open(files_.At("out").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    const int err = open(files_.At("err").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (dup2(out, STDOUT_FILENO) < 0 || dup2(err, STDERR_FILENO) < 0) _exit(126);
    // The way to the program may be root's alone.
    const int program = open(argv[0], O_PATH | O_CLOEXEC);
    if (user == User::kOrdinary && !OrdinaryUser::BecomeForGood()) _exit(126);
    fexecve(program, argv.data(), environ);
    _exit(127);
  }
  ~Process() {
    if (pid_ > 0) kill(pid_, SIGKILL);
    if (pid_ > 0) waitpid(pid_, nullptr, 0);
  }

  void Signal(int signal) const { kill(pid_, signal); }
  Outcome Wait() {
    int status = 0;
    rusage usage = {};
    wait4(pid_, &status, 0, &usage);
    pid_ = -1;
    const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return {code, Read(files_.At("out")), Read(files_.At("err")), int64_t{usage.ru_maxrss} << 10};
  }

 private:
  TempDir files_;
  pid_t pid_ = -1;
};

inline Outcome Sluicectl(const std::vector<std::string>& arguments, User user = User::kRoot) {
  return Process(arguments, user).Wait();
}

class SluicectlFixture : public ::testing::Test {
 protected:
  SluicectlFixture() {
    ImageSpec spec;
    spec.layers = {
        {.tar = TarBuilder().Directory("etc").File("etc/a", "first").File("etc/gone", "x").Build()},
        {.tar = TarBuilder().Directory("etc").File("etc/a", "second").Whiteout("etc/gone").Build(),
         .compression = LayerCompression::kZstd},
        {.tar = TarBuilder().File("big", std::string(500'000, 'b')).Build(), .compression = LayerCompression::kNone},
    };
    spec.config = {{"Env", {"A=b", "PATH=/bin"}}, {"Entrypoint", {"/run"}}, {"WorkingDir", "/w"}};
    image_ = layout_.AddImage(spec, "example.com/app:1");
    // For an ordinary user too.
    if (chmod(images_.path().c_str(), 0755) != 0 || chmod(work_.path().c_str(), 01777) != 0) std::abort();
  }

  std::vector<std::string> UnpackArguments(const std::string& directory, std::vector<std::string> more = {}) const {
    std::vector<std::string> arguments = {"unpack", "example.com/app:1", directory, "--layout", layout_.directory()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }
  // Fails with this exit code and one line that has `cause`, and leaves work_ as it was.
  void ExpectFailure(int code, const std::vector<std::string>& arguments, const std::string& cause,
                     User user = User::kRoot) const {
    const std::vector<std::string> before = NamesIn(work_.path());
    const Outcome outcome = Sluicectl(arguments, user);
    EXPECT_EQ(outcome.code, code) << outcome.err;
    EXPECT_THAT(outcome.err, ::testing::HasSubstr(cause));
    EXPECT_TRUE(absl::StartsWith(outcome.err, "sluicectl: ")) << outcome.err;
    const size_t lines = code == 2 ? 2 : 1;  // a usage error has a hint
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), static_cast<ptrdiff_t>(lines)) << outcome.err;
    EXPECT_EQ(outcome.out, "");
    EXPECT_EQ(NamesIn(work_.path()), before);
  }
  void ExpectTree(const std::string& directory) const {
    EXPECT_EQ(Read(directory + "/etc/a"), "second");
    EXPECT_EQ(Read(directory + "/big"), std::string(500'000, 'b'));
    EXPECT_FALSE(std::filesystem::exists(directory + "/etc/gone"));
    EXPECT_FALSE(std::filesystem::exists(directory + "/etc/.wh.gone"));
  }

  TempDir images_;
  TempDir work_;
  OciLayoutBuilder layout_{images_.path()};
  BuiltImage image_;
};

}  // namespace sluice::testing
