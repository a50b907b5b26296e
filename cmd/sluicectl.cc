// sluicectl: OCI images on the command line. docs/cli.md is its manual.
#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <exception>
#include <sstream>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "base/cancellation.h"
#include "base/version.h"
#include "cmd/doctor/verb_doctor.h"
#include "cmd/exit_code.h"
#include "cmd/messages.h"
#include "cmd/terminal.h"
#include "cmd/verb.h"
#include "cmd/verb_cache.h"
#include "cmd/verb_config.h"
#include "cmd/verb_explain.h"
#include "cmd/verb_export.h"
#include "cmd/verb_inspect.h"
#include "cmd/verb_layers.h"
#include "cmd/verb_pull.h"
#include "cmd/verb_repair.h"
#include "cmd/verb_rollback.h"
#include "cmd/verb_status.h"
#include "cmd/verb_unpack.h"

namespace sluice {
namespace {

// Written by the signal handler: both are lock-free.
Cancellation interrupted;
volatile std::sig_atomic_t caught_signal = 0;

extern "C" void OnSignal(int signal) {
  if (caught_signal == 0) caught_signal = signal;
  interrupted.Cancel();
}

// A standard descriptor that the caller closed would become the next file that is opened, and that file would get what
// is said there. This way a write to it fails.
void OccupyClosedDescriptors() {
  int fd = 0;
  do {
    fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
  } while (fd >= 0 && fd <= STDERR_FILENO);
  if (fd >= 0) close(fd);
}

void CatchSignals() {
  struct sigaction action = {};
  action.sa_handler = OnSignal;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  // Under nohup a hang-up stays ignored.
  struct sigaction inherited = {};
  sigaction(SIGHUP, nullptr, &inherited);
  if (inherited.sa_handler != SIG_IGN) sigaction(SIGHUP, &action, nullptr);
  // A closed pipe is then a failed write with an errno, not a death that skips the cleaning up.
  action.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &action, nullptr);
}

// --progress as it stands on the command line, whatever else is wrong there: a program that asked for JSON gets nothing
// else.
Messages::Form FormOf(const CLI::App& app) {
  for (const CLI::App* verb : app.get_subcommands()) {
    const CLI::Option* progress = verb->get_option_no_throw("--progress");
    if (progress == nullptr || progress->results().empty()) continue;
    if (progress->results().back() == "json") return Messages::Form::kJson;
  }
  return Messages::Form::kLines;
}

int UsageError(const CLI::App& app, const CLI::ParseError& error, int argc, char** argv) {
  std::string cause = error.what();
  std::string command = "sluicectl";
  for (const CLI::App* verb : app.get_subcommands()) command += " " + verb->get_name();
  if (app.get_subcommands().empty() && argc > 1 && argv[1][0] != '-') {
    cause = "no verb is called \"" + absl::CHexEscape(argv[1]) + "\"";
  }
  const Messages messages(FormOf(app));
  messages.Error(cause, static_cast<int>(ExitCode::kUsage));
  messages.Line("try '" + command + " --help'");
  return static_cast<int>(ExitCode::kUsage);
}

// --help and --version.
int PrintHelp(const CLI::App& app, const CLI::Success& asked) {
  std::ostringstream text;
  app.exit(asked, text, text);
  const absl::Status printed = PrintResult(text.str());
  const int code = static_cast<int>(ExitCodeOf(printed));
  if (!printed.ok()) Messages(Messages::Form::kLines).Error(printed.message(), code);
  return code;
}

int RunVerb(const VerbRun& run, const Messages& messages) {
  absl::Status status;
  try {
    status = run(VerbContext{interrupted, messages});
  } catch (const std::exception& error) {
    status = absl::InternalError(error.what());
  }
  // A signal that came when the work was already done changes nothing.
  if (status.ok()) return static_cast<int>(ExitCode::kDone);
  const int code = caught_signal != 0 ? 128 + caught_signal : static_cast<int>(ExitCodeOf(status));
  messages.Error(status.message(), code);
  return code;
}

int Run(int argc, char** argv) {
  CLI::App app("OCI images on the command line: from a local layout or a registry to a directory.", "sluicectl");
  app.require_subcommand(1);
  app.footer(
      "Exit codes: 0 done, 1 failed, 2 wrong command line, 3 not found, 4 no access, 5 bad image, 6 no space, 7 "
      "registry or containerd not reachable, 128+n ended by signal n (130 Ctrl-C, 143 SIGTERM). One line on stderr "
      "says why, and what was to be made is not there. docs/cli.md has the details.");
  app.set_version_flag("--version", std::string("sluicectl ") + kVersion);
  VerbRun run;
  AddUnpackVerb(app, run);
  AddInspectVerb(app, run);
  AddPullVerb(app, run);
  AddExportVerb(app, run);
  AddCacheVerb(app, run);
  AddExplainVerb(app, run);
  AddRollbackVerb(app, run);
  AddRepairVerb(app, run);
  AddStatusVerb(app, run);
  AddLayersVerb(app, run);
  AddConfigVerb(app, run);
  AddDoctorVerb(app, run);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& asked) {
    return PrintHelp(app, asked);
  } catch (const CLI::ParseError& error) {
    return UsageError(app, error, argc, argv);
  }
  CatchSignals();
  return RunVerb(run, Messages(FormOf(app)));
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) {
  sluice::OccupyClosedDescriptors();
  return sluice::Run(argc, argv);
}
