#include "registry/client/blob_reader.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "registry/client/content_range.h"
#include "registry/client/endpoint_rounds.h"

namespace sluice {
namespace {

// How long the end of a body of which we want no more may take, for the sake of the connection, and how much it may be.
constexpr std::chrono::milliseconds kEndTime(100);
constexpr size_t kMaxUnread = 8 * 1024;

absl::Status WrongSize(int64_t actual, int64_t expected) {
  return absl::DataLossError(absl::StrCat("the blob has ", actual, " bytes instead of ", expected));
}

}  // namespace

BlobReader::BlobReader(std::shared_ptr<EndpointClient> client, std::shared_ptr<const RetryClock> clock,
                       const RetryPolicy& policy, BlobLocation location, std::optional<int64_t> size, int64_t offset,
                       const Cancellation* cancellation)
    : client_(std::move(client)),
      clock_(std::move(clock)),
      policy_(policy),
      location_(std::move(location)),
      cancellation_(cancellation),
      attempts_(policy_, *clock_, cancellation),
      size_(size),
      start_(offset),
      offset_(offset) {}

absl::Status BlobReader::Open() {
  // A range of no bytes can't be asked for.
  if (size_ == offset_ && offset_ > 0) return absl::OkStatus();
  return Connect();
}

absl::StatusOr<size_t> BlobReader::Read(absl::Span<char> buffer) {
  while (!ended_) {
    if (size_ == offset_) return End();
    if (stream_ == nullptr) {
      RETURN_IF_ERROR(Connect());
      continue;
    }
    absl::StatusOr<size_t> count = stream_->Read(buffer);
    if (count.ok() && *count == 0) {
      if (!size_.has_value() && skip_ == 0) return End();
      count = absl::UnavailableError("the answer ends too early");
    }
    if (!count.ok()) {
      RETURN_IF_ERROR(Recover(Annotated(count.status())));
      continue;
    }
    const size_t fresh = DropSkipped(buffer.subspan(0, *count));
    if (fresh == 0) continue;
    if (size_.has_value() && static_cast<int64_t>(fresh) > *size_ - offset_) {
      return Annotated(absl::DataLossError(absl::StrCat("the blob has more than ", *size_, " bytes")));
    }
    offset_ += static_cast<int64_t>(fresh);
    progressed_ = true;
    attempts_.NoteProgress(fresh);
    return fresh;
  }
  return 0;
}

size_t BlobReader::DropSkipped(absl::Span<char> buffer) {
  const auto skipped = static_cast<size_t>(std::min<int64_t>(skip_, static_cast<int64_t>(buffer.size())));
  skip_ -= static_cast<int64_t>(skipped);
  if (skipped > 0) std::memmove(buffer.data(), buffer.data() + skipped, buffer.size() - skipped);
  return buffer.size() - skipped;
}

absl::StatusOr<size_t> BlobReader::End() {
  ended_ = true;
  if (stream_ == nullptr) return 0;
  const bool has_more = stream_->Drain(0, kEndTime) == HttpStream::Rest::kSome;
  const absl::Status longer =
      Annotated(absl::DataLossError(absl::StrCat("the blob has more than ", offset_, " bytes")));
  stream_.reset();
  if (has_more) return longer;
  return 0;
}

absl::Status BlobReader::Connect() {
  while (stream_ == nullptr && size_ != offset_) {
    const absl::Status status =
        AskInTurn(location_.endpoints, endpoint_, [this](size_t index) { return ConnectTo(index); });
    if (!status.ok()) RETURN_IF_ERROR(Recover(status));
  }
  return absl::OkStatus();
}

absl::Status BlobReader::ConnectTo(size_t index) {
  while (true) {
    const bool ask_range = offset_ > 0 && ranges_work_;
    std::vector<std::string> headers;
    if (ask_range) {
      // Closed where that is possible: some registries refuse open-ended ranges.
      headers.push_back(absl::StrCat("Range: bytes=", offset_, "-", size_.has_value() ? absl::StrCat(*size_ - 1) : ""));
    }
    ASSIGN_OR_RETURN(stream_, client_->Get(location_.endpoints[index], location_.repository, location_.path, headers,
                                           cancellation_));
    const absl::Status status = Annotated(Accept(*stream_, ask_range));
    if (status.ok()) {
      if (size_ == offset_ && offset_ > 0) stream_.reset();
      endpoint_ = index;
      progressed_ = false;
      return absl::OkStatus();
    }
    stream_->Drain(kMaxUnread, kEndTime);
    stream_.reset();
    if (!ask_range) return status;
    ranges_work_ = false;
  }
}

absl::Status BlobReader::Accept(const HttpStream& stream, bool asked_range) {
  RETURN_IF_ERROR(CheckEncoding(stream));
  if (stream.status() == 200) return AcceptWhole(stream.ContentLength());
  if (asked_range) return AcceptRange(stream);
  return absl::FailedPreconditionError(absl::StrCat("HTTP status ", stream.status(), " though no range was asked for"));
}

absl::Status BlobReader::AcceptWhole(std::optional<int64_t> length) {
  if (length.has_value()) {
    if (size_.has_value() && *size_ != *length) return WrongSize(*length, *size_);
    if (offset_ > *length) return WrongSize(*length, offset_);
    size_ = length;
  }
  skip_ = offset_;
  return absl::OkStatus();
}

absl::Status BlobReader::AcceptRange(const HttpStream& stream) {
  const std::string text = stream.head().Last("content-range");
  const std::optional<ContentRange> range = ParseContentRange(text);
  const bool fits = range.has_value() && (!size_.has_value() || range->total.value_or(*size_) == *size_);
  if (stream.status() == 206 && fits && range->first == offset_) {
    if (!size_.has_value()) size_ = range->total;
    skip_ = 0;
    return absl::OkStatus();
  }
  // All of it had come, and only the news of that was lost.
  if (stream.status() == 416 && fits && range->total == offset_) {
    size_ = offset_;
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(absl::StrCat("HTTP status ", stream.status(), " with Content-Range \"",
                                                    absl::CHexEscape(text.substr(0, 100)), "\""));
}

// Only identity was asked for. An encoding that leaves the length as it is no encoding of the transfer: some storages
// say so of a blob that is compressed by itself.
absl::Status BlobReader::CheckEncoding(const HttpStream& stream) const {
  const std::string encoding = stream.head().Last("content-encoding");
  if (encoding.empty() || absl::EqualsIgnoreCase(encoding, "identity")) return absl::OkStatus();
  if (stream.status() == 200 && size_.has_value() && stream.ContentLength() == size_) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("Content-Encoding \"", absl::CHexEscape(encoding.substr(0, 100)), "\", which was not asked for"));
}

absl::Status BlobReader::Recover(const absl::Status& failure) {
  if (stream_ != nullptr && !progressed_) endpoint_ = (endpoint_ + 1) % location_.endpoints.size();
  stream_.reset();
  const absl::Status status = attempts_.Again(failure);
  if (offset_ == start_) return status;
  return Annotate(status, size_.has_value() ? absl::StrCat("after ", offset_, " of ", *size_, " bytes")
                                            : absl::StrCat("after ", offset_, " bytes"));
}

absl::Status BlobReader::Annotated(const absl::Status& cause) const {
  return Annotate(cause, absl::StrCat("GET ", stream_->url().ForMessages()));
}

}  // namespace sluice
