// sluicectl explain: how the daemon would get each layer of an image, and why not otherwise.
#pragma once

#include "CLI/CLI.hpp"
#include "cmd/verb.h"

namespace sluice {

void AddExplainVerb(CLI::App& app, VerbRun& run);

}  // namespace sluice
