#include "snapshotter/service/containerd/content_reader.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/status_macros.h"
#include "grpcpp/client_context.h"
#include "grpcpp/completion_queue.h"
#include "snapshotter/service/containerd/connection.h"

namespace sluice {
namespace {

namespace content_v1 = containerd::services::content::v1;

constexpr std::chrono::milliseconds kLookInterval(50);
constexpr std::chrono::seconds kStallTimeout(30);

// gRPC's synchronous Read can't be interrupted by a flag, so each call is one event of a completion queue of our own.
class ContentReader : public ByteReader {
 public:
  ContentReader(content_v1::Content::StubInterface& content, const std::string& containerd_namespace,
                const Digest& digest, const Cancellation* cancellation)
      : digest_(digest), cancellation_(cancellation) {
    PrepareCall(context_, containerd_namespace, absl::InfiniteFuture());
    content_v1::ReadContentRequest request;
    request.set_digest(digest.ToString());
    stream_ = content.PrepareAsyncRead(&context_, request, &events_);
  }

  ~ContentReader() override {
    context_.TryCancel();
    events_.Shutdown();
    void* tag = nullptr;
    bool ok = false;
    while (events_.Next(&tag, &ok)) {
    }
  }

  absl::StatusOr<size_t> Read(absl::Span<char> buffer) override {
    if (finished_) return size_t{0};
    if (!started_) {
      started_ = true;
      stream_->StartCall(this);
      RETURN_IF_ERROR(Await().status());
    }
    while (used_ == response_.data().size()) {
      used_ = 0;
      response_.Clear();
      stream_->Read(&response_, this);
      ASSIGN_OR_RETURN(const bool more, Await());
      if (!more) return Finish();
    }
    const size_t count = std::min(buffer.size(), response_.data().size() - used_);
    std::memcpy(buffer.data(), response_.data().data() + used_, count);
    used_ += count;
    return count;
  }

 private:
  // The outcome of the one call that is under way.
  absl::StatusOr<bool> Await() {
    const auto deadline = std::chrono::system_clock::now() + kStallTimeout;
    for (;;) {
      if (cancellation_ != nullptr) RETURN_IF_ERROR(cancellation_->Check());
      const auto now = std::chrono::system_clock::now();
      if (now > deadline) {
        return absl::UnavailableError(absl::StrCat("containerd: read ", digest_.ToString(), ": no answer for ",
                                                   std::chrono::seconds(kStallTimeout).count(), " s"));
      }
      void* tag = nullptr;
      bool ok = false;
      if (events_.AsyncNext(&tag, &ok, now + kLookInterval) == grpc::CompletionQueue::GOT_EVENT) return ok;
    }
  }

  absl::StatusOr<size_t> Finish() {
    finished_ = true;
    grpc::Status status;
    stream_->Finish(&status, this);
    RETURN_IF_ERROR(Await().status());
    RETURN_IF_ERROR(FromGrpcStatus(status, absl::StrCat("read ", digest_.ToString())));
    return size_t{0};
  }

  const Digest digest_;
  const Cancellation* const cancellation_;
  grpc::ClientContext context_;
  grpc::CompletionQueue events_;
  std::unique_ptr<grpc::ClientAsyncReaderInterface<content_v1::ReadContentResponse>> stream_;
  bool started_ = false;
  bool finished_ = false;
  content_v1::ReadContentResponse response_;
  size_t used_ = 0;
};

}  // namespace

absl::StatusOr<std::unique_ptr<ByteReader>> OpenContent(content_v1::Content::StubInterface& content,
                                                        const std::string& containerd_namespace, const Digest& digest,
                                                        const Cancellation* cancellation) {
  return std::make_unique<ContentReader>(content, containerd_namespace, digest, cancellation);
}

}  // namespace sluice
