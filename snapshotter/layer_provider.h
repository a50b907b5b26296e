// Who gets a layer onto the disk when containerd asks for it by name (chainID): the seam between the snapshot state
// (Snapshotter) and everything that knows images, stores and registries (Filler and what it uses).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/cancellation.h"
#include "base/digest.h"
#include "snapshotter/layer_directories.h"
#include "snapshotter/prepare_ledger.h"

namespace sluice {

// One Prepare that carries containerd.io/snapshot.ref.
struct LayerRequest {
  std::string snapshotter;
  std::string containerd_namespace;  // the part of the key before the first '/'
  std::string key;
  Digest ref;                                 // the wanted chainID
  std::map<std::string, std::string> labels;  // hostile input: hints where to look, never proof
  bool has_parent = false;
  std::string parent;  // its name
  // The parent's chainID if this daemon has proven it; unset for a parent that containerd unpacked unseen.
  std::optional<Digest> parent_chain_id;
  // snapshots/<id>/fs of the chain below, topmost first.
  std::vector<int64_t> parent_directories;
};

struct ProvidedLayer {
  LayerRecord layer;
  std::string strategy = kGotPresent;  // how it was got: prepare_ledger.h
};

// Thread-safe.
class LayerProvider {
 public:
  virtual ~LayerProvider() = default;

  using Done = std::function<void(absl::StatusOr<ProvidedLayer>)>;

  // Finds or fills the layer and proves that it is `request.ref` (DESIGN §3.6). Returns at once; `done` is called
  // exactly once, on any thread, possibly before Provide returns. Any error but Cancelled means "defer": the message is
  // the reason with its mend, fit for the log line. `cancellation` is the caller's alone: it ends this wait, not a fill
  // that others share.
  virtual void Provide(LayerRequest request, std::shared_ptr<Cancellation> cancellation, Done done) = 0;
};

}  // namespace sluice
