// The LayerProvider of the daemon: resolver, strategy, filler and proof, joined.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "registry/locality.h"
#include "registry/store/store.h"
#include "snapshotter/fill/content_store.h"
#include "snapshotter/fill/fill_ledger.h"
#include "snapshotter/fill/layer_sources.h"
#include "snapshotter/fill/registry_policy.h"
#include "snapshotter/layer_directories.h"
#include "snapshotter/layer_provider.h"
#include "unpack/layer.h"

namespace sluice {

struct LayerProviderOptions {
  std::vector<std::shared_ptr<const Store>> stores;
  LocalityRules locality;
  // Hosts with their ports that the configuration names (local_registries, owners of stores), and where containerd's
  // hosts.toml are: containerd does not say which port an image came from.
  std::vector<std::string> known_hosts;
  std::string hosts_dir;
  BlobCache* cache = nullptr;            // borrowed; null: registries are only streamed
  LayerSources::OpenRemote open_remote;  // null: no registry is asked
  RegistryPolicies policies;
  ContentStore* content_store = nullptr;    // borrowed; null: labels only
  LayerDirectories* directories = nullptr;  // borrowed
  int workers = 0;                          // 0: as many as there are cores
  int downloads = 4;                        // layers that are fetched and unpacked at once, beside those
  UnpackLimits limits;
  std::shared_ptr<FillLedger> ledger = std::make_shared<FillLedger>();
};

// Its destructor answers what is still waiting with Cancelled and joins its threads.
std::unique_ptr<LayerProvider> MakeLayerProvider(LayerProviderOptions options);

}  // namespace sluice
