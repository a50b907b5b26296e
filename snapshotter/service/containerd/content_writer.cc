#include "snapshotter/service/containerd/content_writer.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
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

// The bytes from `offset` on; true when the stream took them all.
absl::StatusOr<bool> SendBytes(Upload& upload, ByteReader& reader) {
  content_v1::WriteContentRequest request;
  request.set_action(content_v1::WRITE);
  for (int64_t offset = 0;;) {
    std::string& data = *request.mutable_data();
    data.resize(kChunkBytes);
    ASSIGN_OR_RETURN(const size_t count, reader.Read(absl::MakeSpan(&data[0], data.size())));
    if (count == 0) return true;
    data.resize(count);
    request.set_offset(offset);
    if (!upload.Exchange(request)) return false;
    offset += static_cast<int64_t>(count);
  }
}

}  // namespace

ContentWriter::ContentWriter(ContainerdSession& session)
    : session_(session), content_(content_v1::Content::NewStub(session.channel())) {}

absl::Status ContentWriter::Write(const Digest& digest, int64_t size, const ContentLabels& labels, ByteReader& reader) {
  const std::string operation = absl::StrCat("write ", digest.ToString());
  Upload upload(*content_, session_);
  // The first message names the upload. If containerd has the blob, it says so now, and the lease holds it.
  content_v1::WriteContentRequest request;
  request.set_action(content_v1::STAT);
  request.set_ref(absl::StrCat(session_.lease_id(), "-", digest.ToString()));
  request.set_total(size);
  request.set_expected(digest.ToString());
  bool open = upload.Exchange(request);
  // A whole blob of another namespace is taken over without its bytes.
  if (open && upload.offset() < size) {
    absl::StatusOr<bool> sent = SendBytes(upload, reader);
    if (!sent.ok()) {
      upload.Abandon();
      return Annotate(sent.status(), operation);
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
  return FromGrpcStatus(status, operation);
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
