// sluicectl config default|check: the daemon's configuration file.
#pragma once

#include "CLI/CLI.hpp"
#include "cmd/verb.h"

namespace sluice {

void AddConfigVerb(CLI::App& app, VerbRun& run);

}  // namespace sluice
