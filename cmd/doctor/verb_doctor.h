// sluicectl doctor: what is wrong on this node, and how it is mended.
#pragma once

#include "CLI/CLI.hpp"
#include "cmd/verb.h"

namespace sluice {

void AddDoctorVerb(CLI::App& app, VerbRun& run);

}  // namespace sluice
