// Which registry an image came from, put together from what containerd has noted about it.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "base/digest.h"
#include "registry/locality.h"
#include "registry/reference.h"
#include "snapshotter/fill/content_store.h"
#include "snapshotter/fill/layer_hints.h"
#include "snapshotter/fill/plan.h"

namespace sluice {

struct ImageOrigin {
  std::string image;  // as Plan::image
  Locality locality = Locality::kUnknown;
  std::vector<Endpoint> endpoints;  // likeliest first
};

// containerd writes containerd.io/distribution.source.<host> = repositories on what it fetched, but cuts the port off.
// The port is looked for among hosts that are known otherwise: names of images, `known_hosts` (from the configuration);
// else it is the scheme's default. The image reference among the labels counts only if it names such a host and
// repository, so an image cannot direct anybody anywhere.
class OriginFinder {
 public:
  OriginFinder(const LocalityRules& rules, std::vector<std::string> known_hosts);

  // `targets`: the manifest first, then the indexes that list it. `source_labels`: the manifest's labels.
  ImageOrigin Find(absl::Span<const Digest> targets, const std::map<std::string, std::string>& source_labels,
                   absl::Span<const ImageRecord> images, const LayerHints& hints) const;

 private:
  const LocalityRules rules_;
  const std::vector<std::string> known_hosts_;
};

// `host` without its port and brackets: what containerd puts into the label's key.
std::string HostWithoutPort(absl::string_view host);

}  // namespace sluice
