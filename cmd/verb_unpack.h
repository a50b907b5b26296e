// `sluicectl unpack REF DIR`: an image's layers as one root file system.
#pragma once

#include "cmd/verb.h"

namespace sluice {

void AddUnpackVerb(CLI::App& app, VerbRun& run);

}  // namespace sluice
