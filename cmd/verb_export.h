// `sluicectl export REF OUT`: an image as one file, an archive or a disk.
#pragma once

#include "cmd/verb.h"

namespace sluice {

void AddExportVerb(CLI::App& app, VerbRun& run);

}  // namespace sluice
