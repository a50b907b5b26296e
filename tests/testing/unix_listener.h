// A Unix socket that somebody listens at, for tests of what finds one.
#pragma once

#include <string>

#include "base/unique_fd.h"

namespace sluice::testing {

// Stays open across exec(), so that a child can be the one who listens. An error ends the test program with a message.
UniqueFd ListenAt(const std::string& path);

}  // namespace sluice::testing
