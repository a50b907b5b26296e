// A layer's blob as the tar in it: read, decompressed, and hashed on both sides, by threads of its own.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/byte_reader.h"
#include "base/digest.h"
#include "base/sha256.h"
#include "unpack/chunk_ring.h"
#include "unpack/digesting_reader.h"
#include "unpack/interruption.h"
#include "unpack/layer.h"

namespace sluice {

// One thread at a time. Memory is bounded whatever the layer; a stream that is left early stops its threads.
class LayerStream {
 public:
  struct Totals {
    Digest blob_digest;
    int64_t blob_bytes = 0;
    Digest diff_id;
    int64_t tar_bytes = 0;
  };

  // Starts at once. `source` and `options` are borrowed.
  LayerStream(const LayerSource& source, const UnpackOptions& options, Interruption interruption);
  ~LayerStream();
  LayerStream(const LayerStream&) = delete;
  LayerStream& operator=(const LayerStream&) = delete;

  // The next piece of the tar, valid until the next call; empty at its end.
  absl::StatusOr<absl::string_view> Next();

  // Reads what is left (hashed, not looked at) and holds all of it to what was expected: DataLoss if it differs.
  // Trailing bytes beyond `max_trailing_bytes` are InvalidArgument.
  absl::StatusOr<Totals> Finish(int64_t max_trailing_bytes);

  // After an error in the content, here or in what was made of it: if the blob is not the one that was expected, then
  // that is the cause, and DataLoss is returned with `error` as its symptom; else `error`.
  absl::Status Explain(absl::Status error);

 private:
  void ReadBlob();
  absl::Status ProduceChunks(ByteReader& blob);
  absl::Status DrainBlob(ByteReader& blob);
  void HashTar();
  void Join();
  absl::Status CheckBlob();

  const LayerSource& source_;
  const UnpackOptions& options_;
  const Interruption interruption_;
  ChunkRing ring_;
  std::atomic<int64_t> blob_bytes_read_{0};
  int64_t blob_bytes_reported_ = 0;
  std::atomic<bool> drain_{false};  // the rest of the blob is read though nobody wants its tar

  // Written by the threads, read after Join().
  bool blob_complete_ = false;
  int64_t blob_bytes_ = 0;
  Digest blob_digest_;
  int64_t tar_bytes_ = 0;
  Digest diff_id_;

  std::thread blob_thread_;
  std::thread hash_thread_;
};

}  // namespace sluice
