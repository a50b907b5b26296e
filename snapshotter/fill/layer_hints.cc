#include "snapshotter/fill/layer_hints.h"

#include <initializer_list>

#include "snapshotter/containerd_labels.h"

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
  hints.manifest_digest = DigestOf(FindFirst(labels, {kManifestDigestLabel}));
  hints.layer_digest = DigestOf(FindFirst(labels, {kLayerDigestLabel, kStargzDigestLabel}));
  hints.diff_id = DigestOf(FindFirst(labels, {kDiffIdLabel}));
  if (const std::string* text = FindFirst(labels, {kImageRefLabel, kStargzReferenceLabel})) {
    if (absl::StatusOr<Reference> reference = ParseReference(*text); reference.ok()) {
      hints.image = *std::move(reference);
    }
  }
  return hints;
}

}  // namespace sluice
