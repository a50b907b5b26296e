// Puts blobs into containerd's content store, as its own clients do.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/byte_reader.h"
#include "base/digest.h"
#include "containerd/services/content/v1/content.grpc.pb.h"
#include "snapshotter/service/containerd/session.h"

namespace sluice {

using ContentLabels = std::map<std::string, std::string>;

// Thread-safe as far as `session` is, which must outlive it. Of all: ResourceExhausted with ENOSPC when containerd's
// disk is full.
class ContentWriter {
 public:
  // The bytes of a blob from `offset` on. The reader is borrowed until the write has ended.
  using OpenAt = std::function<absl::StatusOr<ByteReader*>(int64_t offset)>;

  explicit ContentWriter(ContainerdSession& session);

  // Writes the `size` bytes of `reader` unless containerd has the blob; either way it then has `labels`, and the
  // session's lease keeps it. containerd verifies digest and size.
  absl::Status Write(const Digest& digest, int64_t size, const ContentLabels& labels, ByteReader& reader);
  absl::Status WriteDocument(const Digest& digest, absl::string_view document, const ContentLabels& labels);

  // The same, going on where an earlier call with this `ref` stopped, also one of another process. In a session without
  // a lease containerd keeps what was written for a day (metadata/content.go, Writer). `open` is not called if nothing
  // is missing, as when another namespace has the blob.
  // Unavailable, too, while somebody else writes under this `ref`; DataLoss for bytes that are not the blob's: then
  // they are gone, and those of an earlier call with them.
  absl::Status Resume(const std::string& ref, const Digest& digest, int64_t size, const ContentLabels& labels,
                      const OpenAt& open);

  // Sets these labels, keeps others.
  absl::Status SetLabels(const Digest& digest, const ContentLabels& labels);

 private:
  using Stub = containerd::services::content::v1::Content::Stub;

  // Where the bytes that are sent begin.
  struct Start {
    ByteReader* reader = nullptr;
    int64_t offset = 0;
  };
  // `start` is asked once containerd has said how much it has: `held`.
  absl::Status Ingest(const std::string& ref, const Digest& digest, int64_t size, const ContentLabels& labels,
                      const std::function<absl::StatusOr<Start>(int64_t held)>& start, int64_t& held);
  void Abort(const std::string& ref);

  ContainerdSession& session_;
  const std::unique_ptr<Stub> content_;
};

}  // namespace sluice
