// One layer as unpack/ sees it: what the caller expects of the blob, what came out of it, and the bounds it is held to.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "base/byte_reader.h"
#include "base/cancellation.h"
#include "base/digest.h"

namespace sluice {

// What the blob must turn out to be. Whatever is set is verified while streaming; a mismatch is DataLoss.
struct LayerExpectation {
  std::optional<Digest> blob_digest;  // of the bytes as stored, compressed or not
  std::optional<int64_t> blob_bytes;  // size of the same
  std::optional<Digest> diff_id;      // of the uncompressed tar, trailing bytes included
};

// Where a layer's bytes come from. `open` may be called again after a failure; it runs on a thread of unpack/.
struct LayerSource {
  std::string name;  // for messages: "layer sha256:0123… of registry.lan/app:1"
  std::function<absl::StatusOr<std::unique_ptr<ByteReader>>()> open;
  LayerExpectation expected;
};

// Bounds on a hostile layer; exceeding one is InvalidArgument naming the entry and the limit.
struct UnpackLimits {
  int64_t max_entries = 10'000'000;
  int64_t max_depth = 4096;                       // components of one name
  int64_t max_unpacked_bytes = int64_t{1} << 40;  // sum of file sizes as the headers claim them, holes included: 1 TiB
  int64_t max_special_header_bytes = int64_t{1} << 20;   // one PAX or GNU long-name header
  uint64_t max_zstd_window_bytes = uint64_t{128} << 20;  // larger: FailedPrecondition, "left to containerd"
  int64_t max_bookkeeping_bytes = int64_t{64} << 20;  // memory for names that must be remembered to the end of a layer
  int64_t max_index_bytes = int64_t{1} << 30;         // memory for the files of a tree that is on no disk (ExportTar)
};

struct UnpackOptions {
  UnpackLimits limits;
  const Cancellation* cancellation = nullptr;  // borrowed; null = never
  // Called from the unpacking thread with the compressed bytes read since the last call; may be empty.
  std::function<void(int64_t blob_bytes)> on_progress;
};

// What a layer turned out to be.
struct UnpackedLayer {
  Digest blob_digest;
  int64_t blob_bytes = 0;
  Digest diff_id;
  int64_t tar_bytes = 0;  // uncompressed stream, trailing bytes included
  int64_t entries = 0;
  double seconds = 0;  // from opening the blob to its last entry written; layers of one tree overlap
  // As containerd counts usage (continuity fs.DiskUsage): allocated bytes and distinct inodes of the layer's own
  // directory. Overlay form only.
  int64_t usage_bytes = 0;
  int64_t usage_inodes = 0;
  // True if the tree depends on nothing but this blob: no whiteout, no implied directory, no link to a name below.
  // Such a directory may be shared by every chain that has this diffID. Overlay form only.
  bool self_contained = false;
};

}  // namespace sluice
