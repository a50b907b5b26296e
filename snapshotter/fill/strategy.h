// How a layer is got, and in which order the ways are tried: DESIGN §3.4 as a pure function.
#pragma once

#include <vector>

#include "absl/strings/string_view.h"
#include "registry/locality.h"

namespace sluice {

enum class Strategy {
  kLayout,  // from a registry's own store on this host
  kStream,  // from the registry straight into the directory, nothing written twice
  kCached,  // from a copy on this host, or through the blob cache
  kDefer,   // ordinary mounts; containerd fetches and applies
};

// Where a rung reads the blob.
enum class BlobSource {
  kStore,           // another program's store on this host
  kOwnCopy,         // our blob cache, or containerd's content store
  kLocalRegistry,   // over the network, from a registry on a private address
  kRemoteRegistry,  // over the network, from any other
  kNone,            // not at all: kDefer
};

// The strategies that an operator allows. kDefer always is.
struct AllowedStrategies {
  bool layout = true;
  bool stream = true;
  bool cached = true;
};

struct Rung {
  Strategy strategy;
  BlobSource source;
  bool operator==(const Rung&) const = default;
};

// What is known of a layer before a byte of it is read.
struct LayerSituation {
  bool plan_known = false;  // the resolver knows which blob it is
  Locality locality = Locality::kUnknown;
  bool in_store = false;
  bool in_own_copy = false;
  bool local_endpoint = false;   // a registry on a private address that may have it
  bool remote_endpoint = false;  // any other
  AllowedStrategies allowed;
};

// The ways to try, best first; always ends with kDefer. A blob that is on this host is never fetched first. A
// registry's usual strategy (kStream of a local one, kCached of a remote one) gives way to the other where it is not
// allowed.
std::vector<Rung> StrategyLadder(const LayerSituation& situation);

// As the configuration, `status` and `explain` name it: "layout", "stream", "cached", "defer".
absl::string_view StrategyName(Strategy strategy);

// "store", "own_copy", "local_registry", "remote_registry", "none".
absl::string_view BlobSourceName(BlobSource source);

// What the log says once per layer, after it is verified and in place (kDefer: when it is given up). Exact: people and
// tests search for it.
absl::string_view LogPhrase(Strategy strategy);

}  // namespace sluice
