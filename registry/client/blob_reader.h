// A blob of a registry as one stream, whatever happens to the connections that bring it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/byte_reader.h"
#include "base/cancellation.h"
#include "registry/client/endpoint_client.h"
#include "registry/client/endpoints.h"
#include "registry/client/http_stream.h"
#include "registry/client/retry_clock.h"
#include "registry/client/retry_policy.h"

namespace sluice {

struct BlobLocation {
  std::string repository;
  std::string path;  // below the repository: "blobs/sha256:…"
  std::vector<EndpointSchemes> endpoints;
};

// The bytes from `offset` on. What breaks is continued where it broke, by a range that the registry is asked for anew,
// so that an expired redirect or token does no harm; at the next endpoint if this one gave nothing. It ends when
// `policy.max_attempts` attempts in a row have brought no new byte. Ranges are checked; where a server does not
// understand them, the blob is read from its beginning and what is known of it dropped.
class BlobReader : public ByteReader {
 public:
  // `size`, where it is known, is what must come: an end before it is a break, anything beyond it DataLoss; `offset` is
  // at most `size`. `cancellation` is borrowed and may be null. Errors name the URL, and how far it came.
  BlobReader(std::shared_ptr<EndpointClient> client, std::shared_ptr<const RetryClock> clock, const RetryPolicy& policy,
             BlobLocation location, std::optional<int64_t> size, int64_t offset, const Cancellation* cancellation);

  // The first connection; before the first Read.
  absl::Status Open();

  absl::StatusOr<size_t> Read(absl::Span<char> buffer) override;

 private:
  // Until there is a stream_, or nothing left to read.
  absl::Status Connect();
  absl::Status ConnectTo(size_t index);
  // Does the answer hold what was asked for? Sets skip_ and, where it was not known, size_. The cause alone.
  absl::Status Accept(const HttpStream& stream, bool asked_range);
  absl::Status AcceptWhole(std::optional<int64_t> length);
  absl::Status AcceptRange(const HttpStream& stream);
  absl::Status CheckEncoding(const HttpStream& stream) const;
  // What `buffer` holds beyond skip_, moved to its front.
  size_t DropSkipped(absl::Span<char> buffer);
  // Waits before another attempt; else the final error.
  absl::Status Recover(const absl::Status& failure);
  absl::StatusOr<size_t> End();
  // With the URL of stream_ before it.
  absl::Status Annotated(const absl::Status& cause) const;

  const std::shared_ptr<EndpointClient> client_;
  const std::shared_ptr<const RetryClock> clock_;
  const RetryPolicy policy_;
  const BlobLocation location_;
  const Cancellation* const cancellation_;
  Attempts attempts_;

  std::optional<int64_t> size_;
  const int64_t start_;
  int64_t offset_;    // of the next byte for the reader
  int64_t skip_ = 0;  // bytes of stream_ before that
  std::unique_ptr<HttpStream> stream_;
  size_t endpoint_ = 0;      // of stream_
  bool progressed_ = false;  // since stream_ was opened
  bool ranges_work_ = true;
  bool ended_ = false;
};

}  // namespace sluice
