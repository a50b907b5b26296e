// sluicectl rollback: makes a node's images ready for another snapshotter.
#pragma once

#include "CLI/CLI.hpp"
#include "cmd/verb.h"

namespace sluice {

void AddRollbackVerb(CLI::App& app, VerbRun& run);

}  // namespace sluice
