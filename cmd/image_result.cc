#include "cmd/image_result.h"

#include <cmath>
#include <cstddef>
#include <utility>

namespace sluice {
namespace {

double Milliseconds(double seconds) { return std::round(seconds * 1000) / 1000; }

}  // namespace

int64_t BlobBytes(const ResolvedImage& image) {
  int64_t total = 0;
  for (const ResolvedLayer& layer : image.layers) total += layer.blob.size;
  return total;
}

Json DescriptorJson(const Descriptor& descriptor) {
  return {{"mediaType", descriptor.media_type}, {"digest", descriptor.digest.ToString()}, {"size", descriptor.size}};
}

Json ImageJson(const ResolvedImage& image) {
  return {{"schema", 1},
          {"reference", image.reference.ToString()},
          {"foundIn", image.found_in},
          {"platform", image.image.platform.ToString()},
          {"manifest", DescriptorJson(image.manifest)},
          {"index", image.indexes.empty() ? Json() : DescriptorJson(image.indexes.front().descriptor)}};
}

Json ResultJson(const ResolvedImage& image, absl::Span<const LayerResult> layers, double seconds) {
  Json list = Json::array();
  for (size_t i = 0; i < layers.size(); ++i) {
    const Descriptor& blob = image.layers[i].blob;
    list.push_back({{"digest", blob.digest.ToString()},
                    {"diffId", image.layers[i].diff_id.ToString()},
                    {"mediaType", blob.media_type},
                    {"strategy", layers[i].origin.strategy},
                    {"source", layers[i].origin.source},
                    {"bytes", blob.size},
                    {"seconds", Milliseconds(layers[i].seconds)}});
  }
  Json result = ImageJson(image);
  result["layers"] = std::move(list);
  result["bytes"] = BlobBytes(image);
  result["seconds"] = Milliseconds(seconds);
  return result;
}

}  // namespace sluice
