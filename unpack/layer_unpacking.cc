#include "unpack/layer_unpacking.h"

#include <chrono>

#include "base/status_macros.h"
#include "unpack/layer_stream.h"
#include "unpack/layer_writer.h"
#include "unpack/tar_reader.h"

namespace sluice {

LayerUnpacking::LayerUnpacking(FileTree& files, const UnpackOptions& options, Interruption interruption)
    : options_(options), interruption_(interruption), tree_(files, options.limits) {}

absl::Status LayerUnpacking::Stream(const LayerSource& source) {
  const auto start = std::chrono::steady_clock::now();
  LayerStream stream(source, options_, interruption_);
  TarReader tar([&stream] { return stream.Next(); }, options_.limits.max_special_header_bytes);
  LayerWriter writer(tree_, options_.limits);
  if (const absl::Status status = writer.Write(tar); !status.ok()) return stream.Explain(status);
  const absl::StatusOr<LayerStream::Totals> totals = stream.Finish(options_.limits.max_unpacked_bytes);
  if (!totals.ok()) return stream.Explain(totals.status());
  result_.blob_digest = totals->blob_digest;
  result_.blob_bytes = totals->blob_bytes;
  result_.diff_id = totals->diff_id;
  result_.tar_bytes = totals->tar_bytes;
  result_.entries = writer.entries();
  result_.self_contained = tree_.pending().IsSettled() && tree_.links().empty();
  root_metadata_ = writer.root_metadata();
  result_.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return absl::OkStatus();
}

}  // namespace sluice
