// CLI11 checks of arguments that several verbs take: a wrong one is a usage error (exit code 2), found before any work.
#pragma once

#include <string>

#include "CLI/CLI.hpp"

namespace sluice {

// An image reference.
CLI::Validator IsReference();
// "os/arch[/variant]".
CLI::Validator IsPlatform();

}  // namespace sluice
