// Who is asked next when an endpoint fails.
#pragma once

#include <cstddef>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "registry/client/endpoints.h"

namespace sluice {

// Calls `ask` for one endpoint after the other, from `first` on and around, until it succeeds. Else the errors of all
// of them in one line: it has the code of the last, which stands for the registry itself, and is transient if any is.
// Cancelled ends it at once.
absl::Status AskInTurn(const std::vector<EndpointSchemes>& endpoints, size_t first,
                       absl::FunctionRef<absl::Status(size_t index)> ask);

}  // namespace sluice
