#include "cmd/layer_sources.h"

#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace sluice {

absl::StatusOr<std::vector<LayerSource>> LayerSources(const OpenedImage& opened, const Cancellation& cancellation) {
  const ResolvedImage& image = opened.image;
  std::vector<LayerSource> sources;
  for (const ResolvedLayer& layer : image.layers) {
    LayerSource source;
    source.name = absl::StrCat("layer ", sources.size() + 1, " of ", image.layers.size(), " (",
                               opened.source->PlaceOf(layer.blob), ")");
    if (!IsTarLayer(layer.blob)) {
      return absl::InvalidArgumentError(absl::StrCat(image.reference.ToString(), ": ", source.name, ": media type \"",
                                                     absl::CHexEscape(layer.blob.media_type), "\" is not a tar layer"));
    }
    source.open = [&opened, &layer, &cancellation] {
      return opened.source->OpenLayer(opened.image.reference, layer.blob, &cancellation);
    };
    source.expected = {.blob_digest = layer.blob.digest, .blob_bytes = layer.blob.size, .diff_id = layer.diff_id};
    sources.push_back(std::move(source));
  }
  return sources;
}

int64_t BlobBytes(const ResolvedImage& image) {
  int64_t total = 0;
  for (const ResolvedLayer& layer : image.layers) total += layer.blob.size;
  return total;
}

}  // namespace sluice
