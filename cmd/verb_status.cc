#include "cmd/verb_status.h"

#include <unistd.h>

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "cmd/admin_client.h"
#include "cmd/check.h"
#include "cmd/config.h"
#include "cmd/status_report.h"
#include "cmd/terminal.h"

namespace sluice {
namespace {

constexpr absl::Duration kInterval = absl::Seconds(1);
constexpr absl::Duration kInterruptCheck = absl::Milliseconds(50);
constexpr char kClearScreen[] = "\x1b[H\x1b[2J";

struct StatusArguments {
  std::string address = kDefaultAddress;
  bool watch = false;
  bool json = false;
};

absl::Status PrintOnce(AdminClient& daemon, const StatusArguments& arguments) {
  ASSIGN_OR_RETURN(const admin_v1::StatusResponse status, daemon.Status());
  const absl::Time now = absl::Now();
  if (arguments.json && arguments.watch) {
    return PrintResult(StatusJson(status, now).dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
  }
  if (arguments.json) return PrintJson(StatusJson(status, now));
  const bool redraws = arguments.watch && isatty(STDOUT_FILENO) == 1;
  return PrintResult(absl::StrCat(redraws ? kClearScreen : "", StatusText(status, now)));
}

// Ends with the first signal, which is how it is meant to end.
absl::Status Watch(AdminClient& daemon, const StatusArguments& arguments, const Cancellation& cancellation) {
  while (!cancellation.cancelled()) {
    const absl::Status printed = PrintOnce(daemon, arguments);
    if (cancellation.cancelled()) break;
    RETURN_IF_ERROR(printed);
    const absl::Time next = absl::Now() + kInterval;
    while (!cancellation.cancelled() && absl::Now() < next) absl::SleepFor(kInterruptCheck);
  }
  return absl::OkStatus();
}

absl::Status Run(const StatusArguments& arguments, const VerbContext& context) {
  AdminClient daemon(arguments.address, context.cancellation);
  return arguments.watch ? Watch(daemon, arguments, context.cancellation) : PrintOnce(daemon, arguments);
}

}  // namespace

void AddStatusVerb(CLI::App& app, VerbRun& run) {
  CLI::App* verb = app.add_subcommand("status", "Show what the daemon is doing, has done and holds");
  const auto arguments = std::make_shared<StatusArguments>();
  verb->add_option("--address", arguments->address, "the daemon's socket")
      ->type_name("PATH")
      ->check(IsGiven())
      ->capture_default_str();
  verb->add_flag("--watch", arguments->watch, "again each second, until Ctrl-C");
  verb->add_flag("--json", arguments->json, "one JSON object instead of text; with --watch one a line");
  verb->callback(
      [arguments, &run] { run = [arguments](const VerbContext& context) { return Run(*arguments, context); }; });
}

}  // namespace sluice
