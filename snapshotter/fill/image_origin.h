// Which registry an image came from, put together from what containerd has noted about it.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/digest.h"
#include "base/mutex.h"
#include "registry/locality.h"
#include "registry/reference.h"
#include "snapshotter/fill/content_store.h"
#include "snapshotter/fill/layer_hints.h"
#include "snapshotter/fill/plan.h"

namespace sluice {

struct ImageOrigin {
  std::string image;  // as Plan::image
  Locality locality = Locality::kUnknown;
  std::vector<Endpoint> endpoints;  // likeliest first; a bounded number
};

struct OriginOptions {
  LocalityRules locality;
  // As in Reference::host: those that the configuration names. Without a port an entry stands for all of its ports, and
  // tells nothing here.
  std::vector<std::string> known_hosts;
  // containerd's directory of registries (docs/hosts.md): <host>, <host>:<port> and <host>_<port>_ in it are known
  // hosts, too; it is read anew each time. "": there is none.
  std::string hosts_dir;
};

// containerd writes containerd.io/distribution.source.<host> = repositories on what it fetched, but cuts the port off
// (core/remotes/docker/handler.go). The host with its port is looked for among those that are known otherwise: names of
// images, first of those with the same repository; registries that served before; the configuration; else it is the
// scheme's default. No port is ever tried at random; a wrong candidate costs one 404, since content is asked by digest.
// The image reference among the labels counts only if it names such a host and repository, so an image cannot direct
// anybody anywhere.
//
// Thread-safe.
class OriginFinder {
 public:
  explicit OriginFinder(OriginOptions options) : options_(std::move(options)) {}

  // `targets`: the manifest first, then the indexes that list it. `source_labels`: the manifest's labels.
  ImageOrigin Find(absl::Span<const Digest> targets, const std::map<std::string, std::string>& source_labels,
                   absl::Span<const ImageRecord> images, const LayerHints& hints);

  // Remembered as long as this object lives, of many the last.
  void NoteServed(const Endpoint& endpoint);

 private:
  class Search;

  std::vector<Endpoint> Served();

  const OriginOptions options_;
  Mutex mutex_;
  std::vector<Endpoint> served_ SLUICE_GUARDED_BY(mutex_);  // last one first
};

// For the reason why `endpoints` did not help: the mend, if the port of none of them is known; else "".
std::string MendForUnknownPort(absl::Span<const Endpoint> endpoints, const LocalityRules& locality);

// `host` without its port and brackets: what containerd puts into the label's key.
std::string HostWithoutPort(absl::string_view host);

}  // namespace sluice
