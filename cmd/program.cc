#include "cmd/program.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/errno_status.h"
#include "base/status_macros.h"
#include "base/unique_fd.h"

namespace sluice {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kPoll(20);
// For what cleans up after an interrupt, as fakeroot does.
constexpr std::chrono::seconds kGrace(5);
constexpr size_t kReadBytes = 4096;
constexpr size_t kKeptBytes = 4096;
constexpr size_t kPipeBytes = 64 << 10;
constexpr int kCouldNotRun = 127;

std::string NameOf(const ProgramCall& call) {
  const std::string& path = call.argv.front();
  return path.substr(path.rfind('/') + 1);
}

std::vector<std::string> Environment(const ProgramCall& call) {
  std::vector<std::string> environment;
  for (char** at = environ; *at != nullptr; ++at) {
    const absl::string_view entry = *at;
    const bool replaced = std::any_of(call.environment.begin(), call.environment.end(), [entry](const auto& added) {
      return absl::StartsWith(entry, added.first + "=");
    });
    if (!replaced) environment.emplace_back(entry);
  }
  for (const auto& [name, value] : call.environment) environment.push_back(absl::StrCat(name, "=", value));
  return environment;
}

std::vector<char*> Pointers(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (std::string& text : strings) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

// One running program.
class Child {
 public:
  ~Child() {
    if (pid_ > 0) ::kill(-pid_, SIGKILL);
    if (pid_ > 0) ::waitpid(pid_, nullptr, 0);
  }

  absl::Status Start(const ProgramCall& call) {
    std::vector<std::string> argument_strings = call.argv;
    std::vector<std::string> environment_strings = Environment(call);
    const std::vector<char*> arguments = Pointers(argument_strings);
    const std::vector<char*> environment = Pointers(environment_strings);
    const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    if (!null.valid()) return ErrnoStatus(errno, "open", "/dev/null");
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return ErrnoStatus(errno, "pipe2", NameOf(call));
    messages_.Reset(ends[0]);
    const UniqueFd write_end(ends[1]);
    if (::fcntl(messages_.get(), F_SETFL, O_NONBLOCK) != 0) return ErrnoStatus(errno, "fcntl", NameOf(call));
    const pid_t parent = ::getpid();
    pid_ = ::fork();
    if (pid_ < 0) return ErrnoStatus(errno, "fork", NameOf(call));
    if (pid_ == 0) {
      const int output = call.output_fd < 0 ? null.get() : call.output_fd;
      Become(arguments, environment, {null.get(), output, write_end.get()}, call.directory_fd, parent);
    }
    // In the child too: whoever comes first.
    ::setpgid(pid_, pid_);
    return absl::OkStatus();
  }

  // Its wait status, once it has ended.
  absl::StatusOr<int> Wait(const Cancellation& cancellation) {
    Clock::time_point killed_at = Clock::time_point::max();
    for (;;) {
      ReadMessages();
      int status = 0;
      const pid_t ended = ::waitpid(pid_, &status, WNOHANG);
      if (ended < 0 && errno != EINTR) return ErrnoStatus(errno, "waitpid", absl::StrCat(pid_));
      if (ended > 0) {
        pid_ = -1;
        // All that fits in the pipe; a daemon that it has left may go on writing.
        for (size_t i = 0; i < kPipeBytes / kReadBytes && ReadMessages(); ++i) continue;
        return status;
      }
      if (cancellation.cancelled() && killed_at == Clock::time_point::max()) {
        ::kill(-pid_, SIGINT);
        killed_at = Clock::now() + kGrace;
      }
      if (Clock::now() >= killed_at) ::kill(-pid_, SIGKILL);
    }
  }

  const std::string& messages() const { return said_; }

 private:
  // Between fork and exec only what is safe in a signal handler.
  [[noreturn]] static void Become(const std::vector<char*>& arguments, const std::vector<char*>& environment,
                                  const std::array<int, 3>& standard_fds, int directory, pid_t parent) {
    ::setpgid(0, 0);
    // Whatever becomes of us.
    ::prctl(PR_SET_PDEATHSIG, SIGINT);
    if (::getppid() != parent) ::_exit(kCouldNotRun);
    ::signal(SIGPIPE, SIG_DFL);
    bool ready = directory < 0 || ::fchdir(directory) == 0;
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) ready = ready && ::dup2(standard_fds[fd], fd) >= 0;
    if (ready) ::execve(arguments[0], arguments.data(), environment.data());
    ::_exit(kCouldNotRun);
  }

  // Waits a moment for more, while it runs. False if there was none.
  bool ReadMessages() {
    const int wait_ms = pid_ > 0 ? static_cast<int>(kPoll.count()) : 0;
    pollfd waiting = {messages_.get(), POLLIN, 0};
    ::poll(&waiting, 1, wait_ms);
    std::array<char, kReadBytes> buffer;
    const ssize_t size = ::read(messages_.get(), buffer.data(), buffer.size());
    // It has closed the pipe, and poll won't wait any more.
    if (size == 0) ::poll(nullptr, 0, wait_ms);
    if (size <= 0) return false;
    said_.append(buffer.data(), static_cast<size_t>(size));
    if (said_.size() > kKeptBytes) said_.erase(0, said_.size() - kKeptBytes);
    return true;
  }

  pid_t pid_ = -1;
  UniqueFd messages_;
  std::string said_;
};

// In one line, without what it said long before.
std::string LastOf(const std::string& messages) {
  constexpr size_t kLines = 3;
  std::vector<std::string> lines;
  for (absl::string_view line : absl::StrSplit(messages, absl::ByAnyChar("\r\n"))) {
    line = absl::StripAsciiWhitespace(line);
    if (!line.empty()) lines.push_back(absl::CHexEscape(line));
  }
  if (lines.size() > kLines) lines.erase(lines.begin(), lines.end() - kLines);
  return absl::StrJoin(lines, "; ");
}

}  // namespace

absl::StatusOr<std::string> FindProgram(const std::string& name, absl::string_view package) {
  const char* const path = std::getenv("PATH");
  const std::string places = absl::StrCat(path != nullptr ? path : "", ":/usr/sbin:/sbin");
  for (const absl::string_view place : absl::StrSplit(places, ':', absl::SkipEmpty())) {
    std::string candidate = absl::StrCat(place, "/", name);
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return absl::NotFoundError(absl::StrCat(name, " not found: apt-get install ", package));
}

absl::Status RunProgram(const ProgramCall& call, const Cancellation& cancellation) {
  Child child;
  RETURN_IF_ERROR(child.Start(call));
  ASSIGN_OR_RETURN(const int status, child.Wait(cancellation));
  RETURN_IF_ERROR(cancellation.Check());
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return absl::OkStatus();
  std::string cause = LastOf(child.messages());
  if (WIFSIGNALED(status)) {
    cause = absl::StrCat("killed by signal ", WTERMSIG(status));
  } else if (cause.empty()) {
    cause = absl::StrCat("exit status ", WEXITSTATUS(status));
  }
  return absl::UnknownError(absl::StrCat(NameOf(call), ": ", cause));
}

}  // namespace sluice
