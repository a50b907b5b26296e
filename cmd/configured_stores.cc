#include "cmd/configured_stores.h"

namespace sluice {
namespace {

std::unique_ptr<Store> MakeStore(const StoreConfig& store) {
  switch (store.kind) {
    case StoreKind::kOciLayout:
      break;
    case StoreKind::kZot:
      return MakeZotStore(store.path, store.path, store.registries, store.require_link);
    case StoreKind::kDistribution:
      return MakeDistributionStore(store.path, store.path, store.registries, store.require_link);
  }
  return MakeOciLayoutStore(store.path, store.path, store.registries);
}

}  // namespace

std::vector<std::shared_ptr<const Store>> MakeStores(absl::Span<const StoreConfig> stores) {
  std::vector<std::shared_ptr<const Store>> made;
  for (const StoreConfig& store : stores) made.push_back(MakeStore(store));
  return made;
}

}  // namespace sluice
