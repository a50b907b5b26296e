#include "snapshotter/fill/layer_hints.h"

#include <initializer_list>

namespace sluice {
namespace {

using Labels = std::map<std::string, std::string>;

// The value of the first of `keys` that is there.
const std::string* FindFirst(const Labels& labels, std::initializer_list<const char*> keys) {
  for (const char* key : keys) {
    if (auto label = labels.find(key); label != labels.end()) return &label->second;
  }
  return nullptr;
}

std::optional<Digest> DigestOf(const std::string* text) {
  if (text == nullptr) return std::nullopt;
  absl::StatusOr<Digest> digest = Digest::Parse(*text);
  if (!digest.ok()) return std::nullopt;
  return *digest;
}

}  // namespace

LayerHints ParseLayerHints(const Labels& labels) {
  LayerHints hints;
  hints.manifest_digest = DigestOf(FindFirst(labels, {"containerd.io/snapshot/cri.manifest-digest"}));
  hints.layer_digest = DigestOf(
      FindFirst(labels, {"containerd.io/snapshot/cri.layer-digest", "containerd.io/snapshot/remote/stargz.digest"}));
  hints.diff_id = DigestOf(FindFirst(labels, {"containerd.io/snapshot/diff-id"}));
  if (const std::string* text = FindFirst(
          labels, {"containerd.io/snapshot/cri.image-ref", "containerd.io/snapshot/remote/stargz.reference"})) {
    if (absl::StatusOr<Reference> reference = ParseReference(*text); reference.ok()) {
      hints.image = *std::move(reference);
    }
  }
  return hints;
}

}  // namespace sluice
