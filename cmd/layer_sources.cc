#include "cmd/layer_sources.h"

#include <cstddef>
#include <memory>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/byte_reader.h"
#include "base/status_macros.h"

namespace sluice {
namespace {

// Tells how much was read.
class MeteredReader : public ByteReader {
 public:
  MeteredReader(std::unique_ptr<ByteReader> reader, size_t layer, Progress& progress)
      : reader_(std::move(reader)), layer_(layer), progress_(progress) {}

  absl::StatusOr<size_t> Read(absl::Span<char> buffer) override {
    ASSIGN_OR_RETURN(const size_t count, reader_->Read(buffer));
    progress_.Add(layer_, static_cast<int64_t>(count));
    return count;
  }

 private:
  const std::unique_ptr<ByteReader> reader_;
  const size_t layer_;
  Progress& progress_;
};

}  // namespace

absl::StatusOr<std::vector<LayerSource>> MakeLayerSources(const OpenedImage& opened, const Cancellation& cancellation,
                                                          Progress& progress, std::vector<LayerResult>& results) {
  const ResolvedImage& image = opened.image;
  results.assign(image.layers.size(), {});
  std::vector<LayerSource> sources;
  for (size_t i = 0; i < image.layers.size(); ++i) {
    const ResolvedLayer& layer = image.layers[i];
    LayerSource source;
    source.name = absl::StrCat("layer ", i + 1, " of ", image.layers.size(), " (",
                               opened.source->PlaceOf(image.reference, layer.blob), ")");
    if (!IsTarLayer(layer.blob)) {
      return absl::InvalidArgumentError(absl::StrCat(image.reference.ToString(), ": ", source.name, ": media type \"",
                                                     absl::CHexEscape(layer.blob.media_type), "\" is not a tar layer"));
    }
    source.open = [&opened, &layer, &cancellation, &progress, i,
                   &origin = results[i].origin]() -> absl::StatusOr<std::unique_ptr<ByteReader>> {
      ASSIGN_OR_RETURN(OpenedLayer blob, opened.source->OpenLayer(opened.image.reference, layer.blob, &cancellation));
      origin = std::move(blob.origin);
      progress.Open(i, origin);
      return std::make_unique<MeteredReader>(std::move(blob.reader), i, progress);
    };
    source.expected = {.blob_digest = layer.blob.digest, .blob_bytes = layer.blob.size, .diff_id = layer.diff_id};
    sources.push_back(std::move(source));
  }
  return sources;
}

absl::Status DropDamagedLayers(const OpenedImage& opened, absl::Span<const LayerResult> results,
                               const absl::Status& failure) {
  if (!absl::IsDataLoss(failure)) return failure;
  bool dropped = false;
  for (size_t i = 0; i < results.size(); ++i) {
    dropped = opened.source->DropLayer(results[i].origin, opened.image.layers[i].blob) || dropped;
  }
  if (!dropped) return failure;
  return Annotate(failure, "dropped from the cache, the next run fetches it again");
}

}  // namespace sluice
