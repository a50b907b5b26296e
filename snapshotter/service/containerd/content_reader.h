// A blob of containerd's content store as a stream.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "base/byte_reader.h"
#include "base/cancellation.h"
#include "base/digest.h"
#include "containerd/services/content/v1/content.grpc.pb.h"

namespace sluice {

// Not verified. `content` is borrowed for this call, `cancellation` (may be null) for the life of the reader, which it
// ends within 100 ms. The reader's errors: NotFound, when its first byte is asked for; Unavailable containerd has gone,
// or gives nothing for half a minute; Cancelled.
absl::StatusOr<std::unique_ptr<ByteReader>> OpenContent(
    containerd::services::content::v1::Content::StubInterface& content, const std::string& containerd_namespace,
    const Digest& digest, const Cancellation* cancellation);

}  // namespace sluice
