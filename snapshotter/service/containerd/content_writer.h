// Puts blobs into containerd's content store, as its own clients do.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/byte_reader.h"
#include "base/digest.h"
#include "containerd/services/content/v1/content.grpc.pb.h"
#include "snapshotter/service/containerd/session.h"

namespace sluice {

using ContentLabels = std::map<std::string, std::string>;

// Thread-safe as far as `session` is, which must outlive it.
class ContentWriter {
 public:
  explicit ContentWriter(ContainerdSession& session);

  // Writes the `size` bytes of `reader` unless containerd has the blob; either way it then has `labels`, and the
  // session's lease keeps it. containerd verifies digest and size.
  absl::Status Write(const Digest& digest, int64_t size, const ContentLabels& labels, ByteReader& reader);
  absl::Status WriteDocument(const Digest& digest, absl::string_view document, const ContentLabels& labels);

  // Sets these labels, keeps others.
  absl::Status SetLabels(const Digest& digest, const ContentLabels& labels);

 private:
  using Stub = containerd::services::content::v1::Content::Stub;

  ContainerdSession& session_;
  const std::unique_ptr<Stub> content_;
};

}  // namespace sluice
