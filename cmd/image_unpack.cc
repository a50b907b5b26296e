#include "cmd/image_unpack.h"

#include <cstddef>
#include <memory>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/byte_reader.h"
#include "base/status_macros.h"
#include "unpack/flat_unpacker.h"

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

// The layers as unpack/ takes them; all that is passed is borrowed by them. Where each comes from is written to
// `results`, by the thread that opens it.
absl::StatusOr<std::vector<LayerSource>> LayerSources(const OpenedImage& opened, const Cancellation* cancellation,
                                                      Progress& progress, std::vector<LayerResult>& results) {
  const ResolvedImage& image = opened.image;
  std::vector<LayerSource> sources;
  for (size_t i = 0; i < image.layers.size(); ++i) {
    const ResolvedLayer& layer = image.layers[i];
    LayerSource source;
    source.name = absl::StrCat("layer ", i + 1, " of ", image.layers.size(), " (",
                               opened.source->PlaceOf(image.reference, layer.blob), ")");
    if (!IsTarLayer(layer.blob)) {
      return absl::InvalidArgumentError(absl::StrCat(source.name, ": media type \"",
                                                     absl::CHexEscape(layer.blob.media_type), "\" is not a tar layer"));
    }
    source.open = [&opened, &layer, cancellation, &progress, i,
                   &origin = results[i].origin]() -> absl::StatusOr<std::unique_ptr<ByteReader>> {
      ASSIGN_OR_RETURN(OpenedLayer blob, opened.source->OpenLayer(opened.image.reference, layer.blob, cancellation));
      origin = std::move(blob.origin);
      progress.Open(i, origin);
      return std::make_unique<MeteredReader>(std::move(blob.reader), i, progress);
    };
    source.expected = {.blob_digest = layer.blob.digest, .blob_bytes = layer.blob.size, .diff_id = layer.diff_id};
    sources.push_back(std::move(source));
  }
  return sources;
}

// A damaged layer in the cache would fail each run. Which one it was the error says in words only, so that all that
// were opened are fetched again.
absl::Status DropDamaged(const OpenedImage& opened, absl::Span<const LayerResult> results,
                         const absl::Status& failure) {
  if (!absl::IsDataLoss(failure)) return failure;
  bool dropped = false;
  for (size_t i = 0; i < results.size(); ++i) {
    dropped = opened.source->DropLayer(results[i].origin, opened.image.layers[i].blob) || dropped;
  }
  if (!dropped) return failure;
  return Annotate(failure, "dropped from the cache, the next run fetches it again");
}

absl::StatusOr<std::vector<LayerResult>> Unpack(const OpenedImage& opened, int directory_fd,
                                                const UnpackOptions& options, Progress& progress) {
  std::vector<LayerResult> results(opened.image.layers.size());
  ASSIGN_OR_RETURN(const std::vector<LayerSource> sources,
                   LayerSources(opened, options.cancellation, progress, results));
  const absl::StatusOr<std::vector<UnpackedLayer>> layers = UnpackFlat(directory_fd, sources, options);
  if (!layers.ok()) return DropDamaged(opened, results, layers.status());
  for (size_t i = 0; i < results.size(); ++i) results[i].seconds = (*layers)[i].seconds;
  return results;
}

}  // namespace

absl::StatusOr<std::vector<LayerResult>> UnpackImage(const OpenedImage& opened, int directory_fd,
                                                     const UnpackOptions& options, Progress& progress) {
  absl::StatusOr<std::vector<LayerResult>> results = Unpack(opened, directory_fd, options, progress);
  if (!results.ok()) return Annotate(results.status(), opened.image.reference.ToString());
  return results;
}

}  // namespace sluice
