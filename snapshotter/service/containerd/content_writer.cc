#include "snapshotter/service/containerd/content_writer.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/errno_status.h"
#include "base/status_macros.h"
#include "snapshotter/service/containerd/connection.h"

namespace sluice {
namespace {

namespace content_v1 = containerd::services::content::v1;

constexpr size_t kChunkBytes = 1 << 20;

class DocumentReader : public ByteReader {
 public:
  explicit DocumentReader(absl::string_view document) : rest_(document) {}

  absl::StatusOr<size_t> Read(absl::Span<char> buffer) override {
    const size_t count = std::min(buffer.size(), rest_.size());
    std::memcpy(buffer.data(), rest_.data(), count);
    rest_.remove_prefix(count);
    return count;
  }

 private:
  absl::string_view rest_;
};

// One upload: each request has an answer.
class Upload {
 public:
  Upload(content_v1::Content::Stub& content, ContainerdSession& session) : call_(session) {
    stream_ = content.Write(call_.context());
  }

  // False when the stream has ended: Finish() says why.
  bool Exchange(const content_v1::WriteContentRequest& request) {
    return stream_->Write(request) && stream_->Read(&response_);
  }

  int64_t offset() const { return response_.offset(); }

  grpc::Status Finish() {
    stream_->WritesDone();
    // containerd answers a commit twice; Finish() would wait for ever for the second answer to be read.
    while (stream_->Read(&response_)) {
    }
    return stream_->Finish();
  }

  // Ends an upload that the reader let down.
  void Abandon() {
    call_.context()->TryCancel();
    stream_->Finish();
  }

 private:
  ContainerdCall call_;
  std::unique_ptr<grpc::ClientReaderWriter<content_v1::WriteContentRequest, content_v1::WriteContentResponse>> stream_;
  content_v1::WriteContentResponse response_;
};

// Sends `reader`'s bytes, which begin at `offset` of a blob of `size` bytes; true when the stream took them all.
absl::StatusOr<bool> SendBytes(Upload& upload, ByteReader& reader, int64_t offset, int64_t size) {
  content_v1::WriteContentRequest request;
  request.set_action(content_v1::WRITE);
  for (;;) {
    std::string& data = *request.mutable_data();
    data.resize(kChunkBytes);
    ASSIGN_OR_RETURN(const size_t count, reader.Read(absl::MakeSpan(&data[0], data.size())));
    if (count == 0) break;
    data.resize(count);
    request.set_offset(offset);
    offset += static_cast<int64_t>(count);
    if (offset > size) return absl::DataLossError(absl::StrCat("it is longer than ", size, " bytes"));
    if (!upload.Exchange(request)) return false;
  }
  if (offset < size) return absl::DataLossError(absl::StrCat("it ends after ", offset, " of ", size, " bytes"));
  return true;
}

absl::Status FromWriteStatus(const grpc::Status& status, const std::string& operation) {
  // containerd has counted and hashed the bytes (content/local/writer.go, Commit).
  if (status.error_code() == grpc::StatusCode::FAILED_PRECONDITION) {
    return absl::DataLossError(absl::StrCat("containerd: ", operation, ": ", status.error_message()));
  }
  // Their text is all that Go leaves of these errors.
  for (const auto& [error, text] : {std::pair(ENOSPC, "no space left on device"), {EDQUOT, "disk quota exceeded"}}) {
    if (absl::StrContains(status.error_message(), text)) return ErrnoStatus(error, "containerd", operation);
  }
  return FromGrpcStatus(status, operation);
}

}  // namespace

ContentWriter::ContentWriter(ContainerdSession& session)
    : session_(session), content_(content_v1::Content::NewStub(session.channel())) {}

absl::Status ContentWriter::Write(const Digest& digest, int64_t size, const ContentLabels& labels, ByteReader& reader) {
  const std::string ref = absl::StrCat(session_.lease_id(), "-", digest.ToString());
  int64_t held = 0;
  // What an earlier attempt has left is written anew.
  return Ingest(
      ref, digest, size, labels,
      [&reader](int64_t) {
        return Start{&reader, 0};
      },
      held);
}

absl::Status ContentWriter::Resume(const std::string& ref, const Digest& digest, int64_t size,
                                   const ContentLabels& labels, const OpenAt& open) {
  const auto start = [&open](int64_t held) -> absl::StatusOr<Start> {
    ASSIGN_OR_RETURN(ByteReader * reader, open(held));
    return Start{reader, held};
  };
  int64_t held = 0;
  absl::Status status = Ingest(ref, digest, size, labels, start, held);
  if (!absl::IsDataLoss(status)) return status;
  Abort(ref);
  // What was there before may have been to blame.
  if (held > 0) status = Ingest(ref, digest, size, labels, start, held);
  if (absl::IsDataLoss(status)) Abort(ref);
  return status;
}

absl::Status ContentWriter::Ingest(const std::string& ref, const Digest& digest, int64_t size,
                                   const ContentLabels& labels,
                                   const std::function<absl::StatusOr<Start>(int64_t held)>& start, int64_t& held) {
  const std::string operation = absl::StrCat("write ", digest.ToString());
  Upload upload(*content_, session_);
  // The first message names the upload. If containerd has the blob, it says so now, and the lease holds it.
  content_v1::WriteContentRequest request;
  request.set_action(content_v1::STAT);
  request.set_ref(ref);
  request.set_total(size);
  request.set_expected(digest.ToString());
  bool open = upload.Exchange(request);
  held = upload.offset();
  // A whole blob of another namespace is taken over without its bytes.
  if (open && held < size) {
    const absl::StatusOr<Start> source = start(held);
    const absl::StatusOr<bool> sent =
        source.ok() ? SendBytes(upload, *source->reader, source->offset, size) : source.status();
    if (!sent.ok()) {
      upload.Abandon();
      if (!source.ok() && held == 0) Abort(ref);  // which has nothing in it
      return source.ok() ? Annotate(sent.status(), operation) : source.status();
    }
    open = *sent;
  }
  if (open) {
    request.set_action(content_v1::COMMIT);
    request.set_offset(size);
    for (const auto& [key, value] : labels) (*request.mutable_labels())[key] = value;
    upload.Exchange(request);
  }
  const grpc::Status status = upload.Finish();
  if (status.error_code() == grpc::StatusCode::ALREADY_EXISTS) return SetLabels(digest, labels);
  return FromWriteStatus(status, operation);
}

// Nobody needs what is left to go at once.
void ContentWriter::Abort(const std::string& ref) {
  content_v1::AbortRequest request;
  request.set_ref(ref);
  google::protobuf::Empty response;
  ContainerdCall call(session_, ContainerdCall::Kind::kCleanup);
  content_->Abort(call.context(), request, &response);
}

absl::Status ContentWriter::WriteDocument(const Digest& digest, absl::string_view document,
                                          const ContentLabels& labels) {
  DocumentReader reader(document);
  return Write(digest, static_cast<int64_t>(document.size()), labels, reader);
}

absl::Status ContentWriter::SetLabels(const Digest& digest, const ContentLabels& labels) {
  if (labels.empty()) return absl::OkStatus();
  content_v1::UpdateRequest request;
  request.mutable_info()->set_digest(digest.ToString());
  for (const auto& [key, value] : labels) {
    (*request.mutable_info()->mutable_labels())[key] = value;
    request.mutable_update_mask()->add_paths(absl::StrCat("labels.", key));
  }
  content_v1::UpdateResponse response;
  ContainerdCall call(session_);
  return FromGrpcStatus(content_->Update(call.context(), request, &response),
                        absl::StrCat("label ", digest.ToString()));
}

}  // namespace sluice
