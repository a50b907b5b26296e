#include "registry/client/credential_helper.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace sluice {
namespace {

using testing::StatusIs;
using testing::TempDir;
using Clock = std::chrono::steady_clock;

std::string Read(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

// Far more than the busiest machine needs for what takes no time, far less than the helper under test would sleep.
constexpr auto kSoon = std::chrono::seconds(60);

class CredentialHelperTest : public ::testing::Test {
 protected:
  // An executable docker-credential-<name>; `body` is sh, in whose directory $0 it runs.
  void Helper(const std::string& name, const std::string& body) const {
    const std::string path = dir_.At("docker-credential-" + name);
    std::ofstream(path) << "#!/bin/sh\n" << body << "\n";
    ASSERT_EQ(::chmod(path.c_str(), 0755), 0);
  }

  CredentialHelperOptions Options() const {
    CredentialHelperOptions options;
    options.path = dir_.path();
    options.environment = {"PATH=/usr/bin:/bin", "DIR=" + dir_.path()};
    return options;
  }

  absl::StatusOr<std::optional<Credentials>> Ask(const std::string& server = "reg.x") const {
    return AskCredentialHelper("t", server, Options(), nullptr);
  }

  // The pid that the helper has written into the file `name`.
  pid_t WrittenPid(const std::string& name) const {
    const Clock::time_point deadline = Clock::now() + kSoon;
    while (Clock::now() < deadline) {
      const std::string text = Read(dir_.At(name));
      if (absl::EndsWith(text, "\n")) return std::stoi(text);
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return -1;
  }

  // A killed orphan is a zombie until somebody, not us, has reaped it.
  static bool Runs(pid_t pid) {
    std::ifstream file(absl::StrCat("/proc/", pid, "/stat"));
    std::string stat;
    std::getline(file, stat);
    const size_t name_end = stat.rfind(") ");
    return name_end != std::string::npos && stat[name_end + 2] != 'Z';
  }
  static bool EndsSoon(pid_t pid) {
    const Clock::time_point deadline = Clock::now() + kSoon;
    while (Runs(pid) && Clock::now() < deadline) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    return !Runs(pid);
  }

  // No helper may be left, not even as a zombie.
  void TearDown() override {
    EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
    EXPECT_EQ(errno, ECHILD);
  }

  const TempDir dir_;
};

TEST_F(CredentialHelperTest, GetsTheServerOnStandardInputAndAnswersJson) {
  Helper("t", R"(printf '%s|%s|' "$#" "$1" > $DIR/seen; cat >> $DIR/seen
echo '{"ServerURL": "reg.x:5000", "Username": "u", "Secret": "p\"q"}')");
  ASSERT_OK_AND_ASSIGN(const auto credentials, Ask("reg.x:5000"));
  ASSERT_TRUE(credentials.has_value());
  EXPECT_EQ(credentials->username, "u");
  EXPECT_EQ(credentials->password, "p\"q");
  EXPECT_EQ(credentials->identity_token, "");
  EXPECT_EQ(credentials->source, "docker-credential-t");
  EXPECT_EQ(Read(dir_.At("seen")), "1|get|reg.x:5000");
}

TEST_F(CredentialHelperTest, TheUserTokenMeansAnIdentityToken) {
  Helper("t", R"(echo '{"Username": "<token>", "Secret": "tok"}')");
  ASSERT_OK_AND_ASSIGN(const auto credentials, Ask());
  ASSERT_TRUE(credentials.has_value());
  EXPECT_EQ(credentials->identity_token, "tok");
  EXPECT_EQ(credentials->username + credentials->password, "");
}

TEST_F(CredentialHelperTest, MayKnowNothing) {
  Helper("t", "echo 'credentials not found in native keychain'; exit 1");
  EXPECT_FALSE(Ask().value().has_value());
  Helper("t", R"(echo '{"Username": "", "Secret": ""}')");
  EXPECT_FALSE(Ask().value().has_value());
}

struct Failure {
  const char* name;
  const char* body;
  const char* message;
};

class CredentialHelperFailureTest : public CredentialHelperTest, public ::testing::WithParamInterface<Failure> {};

TEST_P(CredentialHelperFailureTest, IsUnavailableAndSaysNothingOfTheOutput) {
  Helper("t", GetParam().body);
  const auto credentials = Ask();
  EXPECT_THAT(credentials, StatusIs(absl::StatusCode::kUnavailable, GetParam().message));
  EXPECT_THAT(credentials, StatusIs(absl::StatusCode::kUnavailable, "docker-credential-t: "));
  EXPECT_FALSE(absl::StrContains(credentials.status().ToString(), "SECRET")) << credentials.status();
}

INSTANTIATE_TEST_SUITE_P(
    All, CredentialHelperFailureTest,
    ::testing::Values(
        Failure{"ExitStatus", "echo SECRET; echo SECRET >&2; exit 3", "exit status 3"},
        // Only a helper that fails may say so.
        Failure{"NotFoundWithSuccess", "echo credentials not found", "answer: not JSON"},
        Failure{"Signal", "echo SECRET; kill -9 $$", "killed by signal 9"},
        Failure{"Garbage", "echo SECRET", "answer: not JSON"},  //
        Failure{"Binary", "head -c 5000 /dev/urandom", "answer: not JSON"},
        Failure{"Nothing", "exit 0", "answer: not JSON"},
        Failure{"List", "echo '[\"SECRET\"]'", "answer: not a JSON object"},
        Failure{"Type", R"(echo '{"Username": "u", "Secret": ["SECRET"]}')", R"(answer: "Secret" is not a string)"},
        Failure{"TwoObjects", R"(echo '{"Secret": "SECRET"} {}')", "answer: not JSON"},
        Failure{"MegabytesThenSleep", "yes SECRET | head -c 20000000; sleep 1000", "more than 262144 bytes"},
        Failure{"EndlessOutput", "exec yes SECRET", "more than 262144 bytes"}),
    [](const auto& instance) { return instance.param.name; });

// Standard error is nobody's business, however much there is.
TEST_F(CredentialHelperTest, MayFillStandardError) {
  Helper("t", R"(head -c 5000000 /dev/zero >&2; echo '{"Username": "u", "Secret": "p"}')");
  EXPECT_EQ(Ask().value()->username, "u");
}

TEST_F(CredentialHelperTest, MayCloseItsOutputBeforeItEnds) {
  Helper("t", R"(echo '{"Username": "u", "Secret": "p"}'; exec >&-; sleep 0.1; exit 0)");
  EXPECT_EQ(Ask().value()->username, "u");
}

TEST_F(CredentialHelperTest, NeedNotReadItsInput) {
  Helper("t", R"(exec <&-; echo '{"Username": "u", "Secret": "p"}')");
  for (int i = 0; i < 20; ++i) EXPECT_EQ(Ask(std::string(4096, 'x')).value()->username, "u");
  EXPECT_THAT(Ask(std::string(4097, 'x')), StatusIs(absl::StatusCode::kInvalidArgument, "too long"));
}

TEST_F(CredentialHelperTest, IsKilledWithItsGroupWhenItHangs) {
  Helper("t", "sleep 1000 & echo $! > $DIR/child; echo $$ > $DIR/self; wait");
  CredentialHelperOptions options = Options();
  options.timeout = std::chrono::milliseconds(300);
  const Clock::time_point start = Clock::now();
  EXPECT_THAT(AskCredentialHelper("t", "reg.x", options, nullptr),
              StatusIs(absl::StatusCode::kUnavailable, "docker-credential-t: no answer within 300 ms"));
  EXPECT_GE(Clock::now() - start, options.timeout);
  EXPECT_LT(Clock::now() - start, kSoon);
  // Had the time been too short for it to start its child, there is nothing to look at.
  if (std::filesystem::exists(dir_.At("self"))) {
    EXPECT_TRUE(EndsSoon(WrittenPid("self")));
    EXPECT_TRUE(EndsSoon(WrittenPid("child")));
  }
}

TEST_F(CredentialHelperTest, IsKilledWithItsGroupWhenCancelled) {
  Helper("t", "trap '' TERM INT HUP; sleep 1000 & echo $! > $DIR/child; echo $$ > $DIR/self; wait; sleep 1000");
  CredentialHelperOptions options = Options();
  options.timeout = std::chrono::hours(1);
  Cancellation cancellation;
  pid_t self = -1;
  pid_t child = -1;
  std::thread canceller([&] {
    self = WrittenPid("self");
    child = WrittenPid("child");
    EXPECT_TRUE(Runs(self));
    EXPECT_TRUE(Runs(child));
    cancellation.Cancel();
  });
  EXPECT_THAT(AskCredentialHelper("t", "reg.x", options, &cancellation), StatusIs(absl::StatusCode::kCancelled));
  canceller.join();
  EXPECT_TRUE(EndsSoon(self));
  EXPECT_TRUE(EndsSoon(child));
}

TEST_F(CredentialHelperTest, IsNotEvenStartedWhenCancelledBefore) {
  Helper("t", "sleep 1000");
  Cancellation cancellation;
  cancellation.Cancel();
  EXPECT_THAT(AskCredentialHelper("t", "reg.x", Options(), &cancellation), StatusIs(absl::StatusCode::kCancelled));
}

// A daemon that the helper starts, such as gpg-agent, may keep the pipe: it is neither waited for nor killed.
TEST_F(CredentialHelperTest, MayLeaveAChildThatHoldsThePipe) {
  Helper("t", R"(sleep 1000 & echo $! > $DIR/child; echo '{"Username": "u", "Secret": "p"}')");
  const Clock::time_point start = Clock::now();
  EXPECT_EQ(Ask().value()->username, "u");
  EXPECT_LT(Clock::now() - start, kSoon);
  const pid_t child = WrittenPid("child");
  EXPECT_TRUE(Runs(child));
  ::kill(child, SIGKILL);
}

// What is special to a shell stays as it is: in the path, the environment and the server.
TEST_F(CredentialHelperTest, NoShellIsInvolved) {
  const std::string odd = dir_.MakeDirectory("a b;touch $DIR'pwned`");
  Helper("t", R"(cat > $DIR/seen; echo '{"Username": "u", "Secret": "p"}')");
  std::filesystem::rename(dir_.At("docker-credential-t"), odd + "/docker-credential-t");
  CredentialHelperOptions options = Options();
  options.path = odd;
  options.environment.push_back("IFS=/");
  options.environment.push_back("ENV=$(touch " + dir_.At("pwned") + ")");
  const std::string server = "$(touch " + dir_.At("pwned") + ");`touch " + dir_.At("pwned") + "`|&";
  EXPECT_EQ(AskCredentialHelper("t", server, options, nullptr).value()->username, "u");
  EXPECT_EQ(Read(dir_.At("seen")), server);
  EXPECT_FALSE(std::filesystem::exists(dir_.At("pwned")));
}

// execvp and sh would run a file without "#!" by /bin/sh.
TEST_F(CredentialHelperTest, AFileThatNeedsAShellIsNotRun) {
  std::ofstream(dir_.At("docker-credential-t")) << "touch $DIR/ran\n";
  ASSERT_EQ(::chmod(dir_.At("docker-credential-t").c_str(), 0755), 0);
  EXPECT_THAT(Ask(), StatusIs(absl::StatusCode::kUnavailable, "docker-credential-t: can't be run: Exec format error"));
  EXPECT_FALSE(std::filesystem::exists(dir_.At("ran")));
}

TEST_F(CredentialHelperTest, IsFoundByAbsoluteDirectoriesAlone) {
  Helper("t", R"(echo '{"Username": "second", "Secret": "p"}')");
  const std::string first = dir_.MakeDirectory("first");
  // Passed over: a directory of the name, a file that isn't executable.
  ASSERT_EQ(::mkdir((first + "/docker-credential-t").c_str(), 0755), 0);
  const std::string plain = dir_.MakeDirectory("plain");
  std::ofstream(plain + "/docker-credential-t") << "#!/bin/sh\n";
  CredentialHelperOptions options = Options();
  options.path = absl::StrCat("/nonexistent:", first, ":", plain, ":", dir_.path());
  EXPECT_EQ(AskCredentialHelper("t", "reg.x", options, nullptr).value()->username, "second");

  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(dir_.path());
  for (const char* path : {"", ".", ":", "./"}) {
    options.path = path;
    EXPECT_THAT(AskCredentialHelper("t", "reg.x", options, nullptr),
                StatusIs(absl::StatusCode::kUnavailable, "docker-credential-t: not found in PATH"));
  }
  std::filesystem::current_path(before);
}

TEST_F(CredentialHelperTest, NamesAreRestricted) {
  for (const char* name : {"", "a/b", "../x", "a b", "a;b", "a\nb", "$x", "\xC3\xA4", "a\\b"}) {
    EXPECT_FALSE(IsCredentialHelperName(name)) << name;
    EXPECT_THAT(AskCredentialHelper(name, "reg.x", Options(), nullptr),
                StatusIs(absl::StatusCode::kInvalidArgument, "not the name of a credential helper"));
  }
  for (const char* name : {"pass", "ecr-login", "osx_keychain", "a.B9"}) EXPECT_TRUE(IsCredentialHelperName(name));
}

// Even descriptors that were opened without O_CLOEXEC, as libraries do, and signals that are blocked or ignored here.
// In Perl, since a shell changes descriptors and signals itself.
TEST_F(CredentialHelperTest, InheritsNothing) {
  std::ofstream(dir_.At("docker-credential-t")) << R"(#!/usr/bin/perl
open(my $seen, '>', "$ENV{DIR}/seen");
print $seen "fd $_\n" for grep { -e "/proc/self/fd/$_" && $_ != fileno($seen) && $_ != fileno(DATA) } (3 .. 300);
print $seen "2 is ", readlink("/proc/self/fd/2"), "\n";
print $seen "$_=$ENV{$_}\n" for sort keys %ENV;
open(my $status, '<', '/proc/self/status');
print $seen grep { /^Sig(Blk|Ign)/ } <$status>;
close($seen);
print '{"Username": "u", "Secret": "p"}';
__DATA__
)";
  ASSERT_EQ(::chmod(dir_.At("docker-credential-t").c_str(), 0755), 0);
  const UniqueFd leaky(::open("/dev/null", O_RDONLY));
  const UniqueFd leaky_and_high(::fcntl(leaky.get(), F_DUPFD, 200));
  ASSERT_EQ(leaky_and_high.get(), 200);
  ::signal(SIGPIPE, SIG_IGN);
  sigset_t blocked, previous;
  ::sigemptyset(&blocked);
  ::sigaddset(&blocked, SIGTERM);
  ::sigprocmask(SIG_BLOCK, &blocked, &previous);
  EXPECT_EQ(Ask().value()->username, "u");
  ::sigprocmask(SIG_SETMASK, &previous, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  // Signals 32 and 33 the C library keeps for itself. Perl ignores SIGFPE.
  EXPECT_THAT(Read(dir_.At("seen")),
              ::testing::MatchesRegex(absl::StrCat("2 is /dev/null\nDIR=", dir_.path(), "\nPATH=/usr/bin:/bin\n",
                                                   "SigBlk:\t0+\nSigIgn:\t0+[01][08]0000080\n")));
}

TEST_F(CredentialHelperTest, LeavesNoDescriptorOpenHere) {
  const auto count = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), std::filesystem::directory_iterator());
  };
  Helper("t", R"(echo '{"Username": "u", "Secret": "p"}')");
  Helper("bad", "exec yes");
  ASSERT_OK(Ask());
  const auto before = count();
  for (int i = 0; i < 5; ++i) {
    EXPECT_OK(Ask());
    EXPECT_FALSE(AskCredentialHelper("bad", "reg.x", Options(), nullptr).ok());
    EXPECT_FALSE(AskCredentialHelper("none", "reg.x", Options(), nullptr).ok());
  }
  EXPECT_EQ(count(), before);
}

TEST_F(CredentialHelperTest, MayBeAskedFromSeveralThreads) {
  Helper("t", R"(s=$(cat); echo '{"Username": "'$s'", "Secret": "p"}')");
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([this, i] {
      for (int j = 0; j < 10; ++j) {
        const std::string server = absl::StrCat("reg", i, ".x:", j);
        EXPECT_EQ(Ask(server).value()->username, server);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace sluice
