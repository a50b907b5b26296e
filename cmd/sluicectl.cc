// sluicectl: OCI images on the command line.
//
// Exit codes: 0 done; 1 it did not work, one line on stderr says why; 2 the command line is wrong; 128 + n ended by
// signal n (130 Ctrl-C, 143 SIGTERM), after cleaning up.
#include <csignal>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "base/cancellation.h"
#include "cmd/verb.h"
#include "cmd/verb_export.h"
#include "cmd/verb_inspect.h"
#include "cmd/verb_pull.h"
#include "cmd/verb_unpack.h"
#include "cmd/version.h"

namespace sluice {
namespace {

constexpr int kFailure = 1;
constexpr int kUsage = 2;

// Written by the signal handler: both are lock-free.
Cancellation interrupted;
volatile std::sig_atomic_t caught_signal = 0;

extern "C" void OnSignal(int signal) {
  if (caught_signal == 0) caught_signal = signal;
  interrupted.Cancel();
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

int UsageError(const CLI::App& app, const CLI::ParseError& error, int argc, char** argv) {
  std::string cause = error.what();
  std::string command = "sluicectl";
  for (const CLI::App* verb : app.get_subcommands()) command += " " + verb->get_name();
  if (app.get_subcommands().empty() && argc > 1 && argv[1][0] != '-') {
    cause = "no verb is called \"" + absl::CHexEscape(argv[1]) + "\"";
  }
  std::cerr << "sluicectl: " << cause << "\ntry '" << command << " --help'\n";
  return kUsage;
}

int Run(int argc, char** argv) {
  CLI::App app("OCI images on the command line: from a local layout or a registry to a directory.", "sluicectl");
  app.require_subcommand(1);
  app.footer(
      "Exit codes: 0 done, 1 failed (one line says why), 2 wrong command line, 130 or 143 interrupted; after anything "
      "but 0 nothing is left behind. SIGKILL may leave a .sluice-* beside DIR, or a DIR that is not empty any more: "
      "both can "
      "be removed.");
  app.set_version_flag("--version", std::string("sluicectl ") + kVersion);
  VerbRun run;
  AddUnpackVerb(app, run);
  AddExportVerb(app, run);
  AddInspectVerb(app, run);
  AddPullVerb(app, run);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& success) {
    return app.exit(success);
  } catch (const CLI::ParseError& error) {
    return UsageError(app, error, argc, argv);
  }

  CatchSignals();
  const absl::Status status = run(VerbContext{interrupted});
  // A signal that came when the work was already done changes nothing.
  if (status.ok()) return EXIT_SUCCESS;
  std::cerr << "sluicectl: " << std::string(status.message()) << "\n";
  return caught_signal != 0 ? 128 + caught_signal : kFailure;
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) {
  try {
    return sluice::Run(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "sluicectl: " << error.what() << "\n";
    return sluice::kFailure;
  }
}
