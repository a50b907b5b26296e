// CLI11 checks of arguments that several verbs take: a wrong one is a usage error (exit code 2), found before any work.
#pragma once

#include <string>

#include "CLI/CLI.hpp"

namespace sluice {

// Not empty, as the value of a variable that is not set would be.
CLI::Validator IsGiven();
// An image reference.
CLI::Validator IsReference();
// "os/arch[/variant]".
CLI::Validator IsPlatform();

}  // namespace sluice
