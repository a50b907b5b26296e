// sluicectl pull REF: an image into containerd, for clients that never offer their snapshotter the remote path.
#pragma once

#include "CLI/CLI.hpp"
#include "cmd/verb.h"

namespace sluice {

void AddPullVerb(CLI::App& app, VerbRun& run);

}  // namespace sluice
