// sluicectl layers ls|prune: the filled layer directories.
#pragma once

#include "CLI/CLI.hpp"
#include "cmd/verb.h"

namespace sluice {

void AddLayersVerb(CLI::App& app, VerbRun& run);

}  // namespace sluice
