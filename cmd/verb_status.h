// sluicectl status: what the daemon is doing and has done.
#pragma once

#include "CLI/CLI.hpp"
#include "cmd/verb.h"

namespace sluice {

void AddStatusVerb(CLI::App& app, VerbRun& run);

}  // namespace sluice
