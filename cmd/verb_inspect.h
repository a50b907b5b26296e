// `sluicectl inspect REF`: what an image is, from its manifest and config alone; no layer is read.
#pragma once

#include "cmd/verb.h"

namespace sluice {

void AddInspectVerb(CLI::App& app, VerbRun& run);

}  // namespace sluice
