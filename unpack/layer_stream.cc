#include "unpack/layer_stream.h"

#include <memory>
#include <new>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "unpack/decompress.h"

namespace sluice {
namespace {

constexpr size_t kChunks = 8;
constexpr size_t kChunkBytes = size_t{1} << 20;
constexpr size_t kTarReader = 0;
constexpr size_t kHashReader = 1;

// Counts for the progress report and stops when told to.
class WatchedReader : public ByteReader {
 public:
  WatchedReader(ByteReader& source, Interruption interruption, std::atomic<int64_t>& bytes)
      : source_(source), interruption_(interruption), bytes_(bytes) {}

  absl::StatusOr<size_t> Read(absl::Span<char> buffer) override {
    RETURN_IF_ERROR(interruption_.Check());
    absl::StatusOr<size_t> bytes = source_.Read(buffer);
    if (bytes.ok()) bytes_.fetch_add(static_cast<int64_t>(*bytes), std::memory_order_relaxed);
    failed_ = !bytes.ok();
    ended_ = bytes.ok() && *bytes == 0;
    return bytes;
  }
  // The source itself has failed: what its reader then says is no word on the content.
  bool failed() const { return failed_; }
  bool ended() const { return ended_; }

 private:
  ByteReader& source_;
  const Interruption interruption_;
  std::atomic<int64_t>& bytes_;
  bool failed_ = false;
  bool ended_ = false;
};

// Fills the buffer unless the stream ends.
absl::StatusOr<size_t> ReadFully(ByteReader& reader, absl::Span<char> buffer) {
  size_t filled = 0;
  while (filled < buffer.size()) {
    ASSIGN_OR_RETURN(const size_t bytes, reader.Read(buffer.subspan(filled)));
    if (bytes == 0) break;
    filled += bytes;
  }
  return filled;
}

bool IsAboutContent(const absl::Status& status) {
  return status.code() == absl::StatusCode::kInvalidArgument || status.code() == absl::StatusCode::kDataLoss ||
         status.code() == absl::StatusCode::kFailedPrecondition;
}

}  // namespace

LayerStream::LayerStream(const LayerSource& source, const UnpackOptions& options, Interruption interruption)
    : source_(source),
      options_(options),
      interruption_(interruption),
      ring_(kChunks, kChunkBytes),
      blob_thread_([this] { ReadBlob(); }),
      hash_thread_([this] { HashTar(); }) {}

LayerStream::~LayerStream() {
  ring_.Abort();
  Join();
}

absl::StatusOr<absl::string_view> LayerStream::Next() {
  RETURN_IF_ERROR(interruption_.Check());
  if (options_.on_progress) {
    const int64_t read = blob_bytes_read_.load(std::memory_order_relaxed);
    if (read > blob_bytes_reported_) options_.on_progress(read - std::exchange(blob_bytes_reported_, read));
  }
  return ring_.Next(kTarReader);
}

absl::StatusOr<LayerStream::Totals> LayerStream::Finish(int64_t max_trailing_bytes) {
  int64_t trailing_bytes = 0;
  for (;;) {
    ASSIGN_OR_RETURN(const absl::string_view chunk, Next());
    if (chunk.empty()) break;
    trailing_bytes += static_cast<int64_t>(chunk.size());
    if (trailing_bytes > max_trailing_bytes) {
      return absl::InvalidArgumentError(
          absl::StrCat("more than ", max_trailing_bytes, " bytes follow the end of the archive"));
    }
  }
  Join();
  RETURN_IF_ERROR(CheckBlob());
  if (source_.expected.diff_id.has_value() && *source_.expected.diff_id != diff_id_) {
    return absl::DataLossError(absl::StrCat("the layer unpacks to diffID ", diff_id_.ToString(), ", not to ",
                                            source_.expected.diff_id->ToString()));
  }
  return Totals{blob_digest_, blob_bytes_, diff_id_, tar_bytes_};
}

absl::Status LayerStream::Explain(absl::Status error) {
  if (!IsAboutContent(error) || !source_.expected.blob_digest.has_value()) return error;
  drain_ = true;
  ring_.Abort();
  Join();
  const absl::Status blob = CheckBlob();
  if (!blob_complete_ || blob.ok() || blob.message() == error.message()) return error;
  return absl::DataLossError(absl::StrCat(blob.message(), " (first seen as: ", error.message(), ")"));
}

void LayerStream::ReadBlob() {
  absl::StatusOr<std::unique_ptr<ByteReader>> blob = source_.open();
  if (!blob.ok()) {
    ring_.Close(std::move(blob).status());
    return;
  }
  WatchedReader watched(**blob, interruption_, blob_bytes_read_);
  DigestingReader digesting(watched, source_.expected.blob_bytes);
  absl::Status status = ProduceChunks(digesting);
  // An error in the content may come from a wrong blob: to tell, its digest is needed. Nobody waits for it but
  // Explain(), which joins.
  const bool drain = IsAboutContent(status) && !watched.failed() && source_.expected.blob_digest.has_value();
  ring_.Close(std::move(status));
  if (drain || drain_) DrainBlob(digesting).IgnoreError();
  blob_complete_ = watched.ended();
  blob_bytes_ = digesting.bytes();
  blob_digest_ = digesting.Finish();
}

absl::Status LayerStream::ProduceChunks(ByteReader& blob) {
  try {
    ASSIGN_OR_RETURN(const std::unique_ptr<ByteReader> tar,
                     OpenDecompressor(blob, options_.limits.max_zstd_window_bytes, interruption_));
    for (;;) {
      const absl::Span<char> buffer = ring_.Acquire();
      if (buffer.empty()) return absl::CancelledError("cancelled");
      ASSIGN_OR_RETURN(const size_t bytes, ReadFully(*tar, buffer));
      if (bytes == 0) return absl::OkStatus();
      ring_.Publish(bytes);
    }
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("out of memory");
  }
}

absl::Status LayerStream::DrainBlob(ByteReader& blob) {
  constexpr size_t kBytes = size_t{64} << 10;
  const std::unique_ptr<char[]> buffer(new char[kBytes]);
  for (;;) {
    ASSIGN_OR_RETURN(const size_t bytes, blob.Read(absl::MakeSpan(buffer.get(), kBytes)));
    if (bytes == 0) return absl::OkStatus();
  }
}

void LayerStream::HashTar() {
  Sha256 sha256;
  for (;;) {
    const absl::StatusOr<absl::string_view> chunk = ring_.Next(kHashReader);
    if (!chunk.ok() || chunk->empty()) break;
    sha256.Update(*chunk);
    tar_bytes_ += static_cast<int64_t>(chunk->size());
  }
  diff_id_ = sha256.Finish();
}

void LayerStream::Join() {
  if (blob_thread_.joinable()) blob_thread_.join();
  if (hash_thread_.joinable()) hash_thread_.join();
}

absl::Status LayerStream::CheckBlob() {
  const LayerExpectation& expected = source_.expected;
  if (expected.blob_bytes.has_value() && *expected.blob_bytes != blob_bytes_) {
    return absl::DataLossError(
        absl::StrCat("the blob has ", blob_bytes_, " bytes where ", *expected.blob_bytes, " were expected"));
  }
  if (expected.blob_digest.has_value() && *expected.blob_digest != blob_digest_) {
    return absl::DataLossError(absl::StrCat("the blob's digest is ", blob_digest_.ToString(), " where ",
                                            expected.blob_digest->ToString(), " was expected"));
  }
  return absl::OkStatus();
}

}  // namespace sluice
