// The stores that a configuration names.
#pragma once

#include <memory>
#include <vector>

#include "absl/types/span.h"
#include "cmd/config.h"
#include "registry/store/store.h"

namespace sluice {

std::vector<std::shared_ptr<const Store>> MakeStores(absl::Span<const StoreConfig> stores);

}  // namespace sluice
