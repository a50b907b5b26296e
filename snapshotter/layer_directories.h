// The filled layer directories under the root: staged in new-*, published by rename, found by what they contain.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "base/digest.h"
#include "base/unique_fd.h"

namespace sluice {

// What is known of a filled layer when it is published. Every digest here was computed by the fill.
struct LayerFacts {
  Digest diff_id;
  // Set: the directory is right only over this chain (it has whiteouts, implied directories or links to below).
  // Unset: self-contained, shared by every chain with this diffID.
  std::optional<Digest> chain_id;
  Digest blob_digest;
  int64_t blob_bytes = 0;
  std::optional<int64_t> tar_bytes;  // the uncompressed stream; unset: filled before it was noted
  int64_t usage_bytes = 0;
  int64_t usage_inodes = 0;
};

struct LayerRecord {
  int64_t id = 0;  // the directory is snapshots/<id>/fs
  LayerFacts facts;
};

// A directory being filled. Move-only; what is not published is deleted with the object.
class StagedLayer {
 public:
  virtual ~StagedLayer() = default;
  // The empty directory to fill (0755), borrowed.
  virtual int fd() const = 0;
};

// Thread-safe.
class LayerDirectories {
 public:
  virtual ~LayerDirectories() = default;

  // The layer with `diff_id`: a self-contained one, or the one that was made for the chain `chain_id`.
  virtual absl::StatusOr<std::optional<LayerRecord>> Find(const Digest& diff_id, const Digest& chain_id) = 0;

  virtual absl::StatusOr<std::unique_ptr<StagedLayer>> Stage() = 0;

  // Renames the staged directory into place, syncs the parent directory and writes the row, unclaimed: a layer that no
  // snapshot claims within the grace period is deleted again. If an equal layer was published meanwhile, that one is
  // returned and the staged one is dropped.
  virtual absl::StatusOr<LayerRecord> Publish(std::unique_ptr<StagedLayer> staged, const LayerFacts& facts) = 0;

  // The layer's directory (or any snapshot directory's fs) as an O_PATH descriptor; NotFound when it is gone.
  virtual absl::StatusOr<UniqueFd> Open(int64_t id) = 0;
};

}  // namespace sluice
