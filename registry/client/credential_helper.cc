#include "registry/client/credential_helper.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/errno_status.h"
#include "base/status_macros.h"
#include "base/unique_fd.h"
#include "registry/json.h"

namespace sluice {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kMaxAnswerBytes = 256 * 1024;
// Less than what fits into any pipe, so that it is written before there is a reader.
constexpr size_t kMaxServerBytes = 4096;
constexpr int kTickMilliseconds = 10;

absl::Status Unavailable(absl::string_view cause) { return absl::UnavailableError(cause); }

absl::StatusOr<std::string> FindExecutable(const std::string& program, absl::string_view path) {
  for (const absl::string_view directory : absl::StrSplit(path, ':')) {
    if (!absl::StartsWith(directory, "/")) continue;
    std::string candidate = absl::StrCat(directory, "/", program);
    struct stat attributes = {};
    if (::stat(candidate.c_str(), &attributes) == 0 && S_ISREG(attributes.st_mode) &&
        ::access(candidate.c_str(), X_OK) == 0) {
      return candidate;
    }
  }
  return Unavailable("not found in PATH");
}

struct Pipe {
  UniqueFd read;
  UniqueFd write;
};

absl::StatusOr<Pipe> MakePipe() {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) return ErrnoStatus(errno, "pipe2", "");
  return Pipe{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

// Null-terminated, as exec wants it; borrows the strings.
std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (const std::string& string : strings) pointers.push_back(const_cast<char*>(string.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

class FileActions {
 public:
  FileActions() { ::posix_spawn_file_actions_init(&actions_); }
  ~FileActions() { ::posix_spawn_file_actions_destroy(&actions_); }
  FileActions(const FileActions&) = delete;
  FileActions& operator=(const FileActions&) = delete;
  posix_spawn_file_actions_t* get() { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_;
};

class Attributes {
 public:
  Attributes() { ::posix_spawnattr_init(&attributes_); }
  ~Attributes() { ::posix_spawnattr_destroy(&attributes_); }
  Attributes(const Attributes&) = delete;
  Attributes& operator=(const Attributes&) = delete;
  posix_spawnattr_t* get() { return &attributes_; }

 private:
  posix_spawnattr_t attributes_;
};

// A running program and all that it starts in its process group. Killed and reaped in the end, if it still runs.
class HelperProcess {
 public:
  HelperProcess() = default;
  ~HelperProcess() {
    if (pid_ < 0) return;
    ::kill(-pid_, SIGKILL);
    Reap();
  }
  HelperProcess(const HelperProcess&) = delete;
  HelperProcess& operator=(const HelperProcess&) = delete;

  absl::Status Start(const std::string& executable, absl::string_view input,
                     const std::vector<std::string>& environment) {
    ASSIGN_OR_RETURN(Pipe in, MakePipe());
    ASSIGN_OR_RETURN(Pipe out, MakePipe());
    // Before there is a reader that could go away, which would be a SIGPIPE.
    if (::write(in.write.get(), input.data(), input.size()) != static_cast<ssize_t>(input.size())) {
      return ErrnoStatus(errno, "write", "its standard input");
    }
    in.write.Reset();
    if (::fcntl(out.read.get(), F_SETFL, O_NONBLOCK) != 0) return ErrnoStatus(errno, "fcntl", "O_NONBLOCK");

    FileActions actions;
    ::posix_spawn_file_actions_adddup2(actions.get(), in.read.get(), 0);
    ::posix_spawn_file_actions_adddup2(actions.get(), out.write.get(), 1);
    ::posix_spawn_file_actions_addopen(actions.get(), 2, "/dev/null", O_WRONLY, 0);
    ::posix_spawn_file_actions_addclosefrom_np(actions.get(), 3);
    Attributes attributes;
    sigset_t none;
    sigset_t all;
    ::sigemptyset(&none);
    ::sigfillset(&all);
    ::posix_spawnattr_setflags(attributes.get(),
                               POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    ::posix_spawnattr_setpgroup(attributes.get(), 0);
    ::posix_spawnattr_setsigmask(attributes.get(), &none);
    ::posix_spawnattr_setsigdefault(attributes.get(), &all);

    const std::vector<std::string> arguments = {executable, "get"};
    const int error = ::posix_spawn(&pid_, executable.c_str(), actions.get(), attributes.get(),
                                    Pointers(arguments).data(), Pointers(environment).data());
    if (error == 0) {
      out_ = std::move(out.read);
      return absl::OkStatus();
    }
    pid_ = -1;
    return Unavailable(absl::StrCat("can't be run: ", std::strerror(error)));
  }

  // Until it has ended; what it wrote is then in output(). Something that it left running may keep its end of the pipe
  // open: that isn't waited for.
  absl::Status WaitForEnd(std::chrono::milliseconds timeout, const Cancellation* cancellation) {
    const Clock::time_point deadline = Clock::now() + timeout;
    while (true) {
      if (cancellation != nullptr) RETURN_IF_ERROR(cancellation->Check());
      if (Clock::now() >= deadline) return Unavailable(absl::StrCat("no answer within ", timeout.count(), " ms"));
      // Asked before the pipe is read: then all that it wrote is there.
      const bool ended = HasEnded();
      pollfd entry = {out_.get(), POLLIN, 0};
      if (!ended) ::poll(&entry, out_.valid() ? 1 : 0, kTickMilliseconds);
      RETURN_IF_ERROR(ReadOutput());
      if (ended) break;
    }
    wait_status_ = Reap();
    return absl::OkStatus();
  }

  bool succeeded() const { return WIFEXITED(wait_status_) && WEXITSTATUS(wait_status_) == 0; }
  std::string DescribeEnd() const {
    if (WIFSIGNALED(wait_status_)) return absl::StrCat("killed by signal ", WTERMSIG(wait_status_));
    return absl::StrCat("exit status ", WEXITSTATUS(wait_status_));
  }
  const std::string& output() const { return output_; }

 private:
  // Without reaping it: as long as it is a zombie its group's number can't be another's.
  bool HasEnded() const {
    siginfo_t info = {};
    return ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == pid_;
  }

  int Reap() {
    int status = -1;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    return status;
  }

  // What is there now.
  absl::Status ReadOutput() {
    char buffer[4096];
    while (out_.valid()) {
      const ssize_t got = ::read(out_.get(), buffer, sizeof(buffer));
      if (got < 0 && errno == EAGAIN) break;
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return ErrnoStatus(errno, "read", "its answer");
      if (got == 0) out_.Reset();
      output_.append(buffer, static_cast<size_t>(got));
      if (output_.size() > kMaxAnswerBytes) {
        return Unavailable(absl::StrCat("answers more than ", kMaxAnswerBytes, " bytes"));
      }
    }
    return absl::OkStatus();
  }

  pid_t pid_ = -1;
  UniqueFd out_;
  std::string output_;
  int wait_status_ = -1;
};

absl::StatusOr<std::optional<Credentials>> ParseAnswer(const std::string& answer) {
  ASSIGN_OR_RETURN(const Json json, ParseJsonObject(answer));
  ASSIGN_OR_RETURN(std::string username, StringMember(json, "Username"));
  ASSIGN_OR_RETURN(std::string secret, StringMember(json, "Secret"));
  if (username.empty() && secret.empty()) return std::nullopt;
  Credentials credentials;
  // Docker's native_store.go.
  if (username == "<token>") {
    credentials.identity_token = std::move(secret);
  } else {
    credentials.username = std::move(username);
    credentials.password = std::move(secret);
  }
  return credentials;
}

absl::StatusOr<std::optional<Credentials>> Ask(const std::string& program, absl::string_view server,
                                               const CredentialHelperOptions& options,
                                               const Cancellation* cancellation) {
  if (server.size() > kMaxServerBytes) return absl::InvalidArgumentError("the server's name is too long");
  ASSIGN_OR_RETURN(const std::string executable, FindExecutable(program, options.path));
  HelperProcess process;
  RETURN_IF_ERROR(process.Start(executable, server, options.environment));
  RETURN_IF_ERROR(process.WaitForEnd(options.timeout, cancellation));
  if (!process.succeeded()) {
    // It says "credentials not found in native keychain" on standard output (docker-credential-helpers, error.go).
    if (absl::StrContains(process.output(), "credentials not found")) return std::nullopt;
    return Unavailable(process.DescribeEnd());
  }
  absl::StatusOr<std::optional<Credentials>> credentials = ParseAnswer(process.output());
  if (!credentials.ok()) return Unavailable(absl::StrCat("answer: ", credentials.status().message()));
  if (credentials->has_value()) (*credentials)->source = program;
  return credentials;
}

}  // namespace

bool IsCredentialHelperName(absl::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(),
                                      [](char c) { return absl::ascii_isalnum(c) || absl::StrContains("._-", c); });
}

absl::StatusOr<std::optional<Credentials>> AskCredentialHelper(const std::string& name, absl::string_view server,
                                                               const CredentialHelperOptions& options,
                                                               const Cancellation* cancellation) {
  if (!IsCredentialHelperName(name)) return absl::InvalidArgumentError("not the name of a credential helper");
  const std::string program = absl::StrCat("docker-credential-", name);
  auto credentials = Ask(program, server, options, cancellation);
  if (!credentials.ok()) return Annotate(credentials.status(), program);
  return credentials;
}

}  // namespace sluice
