// A verb of sluicectl: one file each, registered in sluicectl.cc.
//
//   void AddInspectVerb(CLI::App& app, VerbRun& run);   // declares `inspect` with its options; sets `run` when it is
//   given
#pragma once

#include <functional>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "base/cancellation.h"
#include "cmd/messages.h"

namespace sluice {

// What the main program gives every verb.
struct VerbContext {
  // Cancelled by the first SIGINT, SIGTERM or SIGHUP: the verb cleans up and returns; the exit code is then 128 + the
  // signal, whatever it returns.
  const Cancellation& cancellation;
  // For all that it says on stderr; what it returns is said by the main program.
  const Messages& messages;
};

// The work of the verb that was asked for. Its error is said in one line, and the exit code is ExitCodeOf() it. Wrong
// arguments are no business of its: CLI11 checks (`check.h`) refuse them with exit code 2 before it runs.
using VerbRun = std::function<absl::Status(const VerbContext&)>;

}  // namespace sluice
