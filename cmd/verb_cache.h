// sluicectl cache add|ls|prune: the blobs of remote registries that are kept on this host.
#pragma once

#include "CLI/CLI.hpp"
#include "cmd/verb.h"

namespace sluice {

void AddCacheVerb(CLI::App& app, VerbRun& run);

}  // namespace sluice
