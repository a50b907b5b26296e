// sluicectl repair: makes a containerd whose snapshotter has lost its root pull again.
#pragma once

#include "CLI/CLI.hpp"
#include "cmd/verb.h"

namespace sluice {

void AddRepairVerb(CLI::App& app, VerbRun& run);

}  // namespace sluice
