#include "snapshotter/service/containerd/content_store_client.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "snapshotter/service/containerd/connection.h"
#include "snapshotter/service/containerd/content_reader.h"

namespace sluice {
namespace {

namespace content_v1 = containerd::services::content::v1;
namespace images_v1 = containerd::services::images::v1;

// containerd sets these labels on every manifest and every index whose children it has fetched, before it unpacks.
constexpr char kManifestFilter[] = R"(labels."containerd.io/gc.ref.content.config")";
constexpr char kIndexFilter[] = R"(labels."containerd.io/gc.ref.content.m.0")";

// Longer than the pause between two attempts to connect.
constexpr absl::Duration kReconnectLimit = absl::Milliseconds(500);

absl::Time ToTime(const google::protobuf::Timestamp& timestamp) {
  return absl::FromUnixSeconds(timestamp.seconds()) + absl::Nanoseconds(timestamp.nanos());
}

}  // namespace

ContentStoreClient::ContentStoreClient(const std::shared_ptr<grpc::Channel>& channel)
    : channel_(channel),
      content_(content_v1::Content::NewStub(channel)),
      images_(images_v1::Images::NewStub(channel)) {}

absl::StatusOr<std::vector<ContentInfo>> ContentStoreClient::ListManifests(const std::string& containerd_namespace,
                                                                           absl::Time deadline) {
  absl::StatusOr<std::vector<ContentInfo>> manifests = ListOnce(containerd_namespace, deadline);
  if (!absl::IsUnavailable(manifests.status())) return manifests;
  // A containerd that has just started, and calls us already, is there: only the connection has not seen it yet.
  const absl::Time until = std::min(deadline, absl::Now() + kReconnectLimit);
  if (!channel_->WaitForConnected(absl::ToChronoTime(until))) return manifests;
  return ListOnce(containerd_namespace, deadline);
}

absl::StatusOr<std::vector<ContentInfo>> ContentStoreClient::ListOnce(const std::string& containerd_namespace,
                                                                      absl::Time deadline) {
  grpc::ClientContext context;
  PrepareCall(context, containerd_namespace, deadline);
  content_v1::ListContentRequest request;
  request.add_filters(kManifestFilter);
  request.add_filters(kIndexFilter);

  std::vector<ContentInfo> manifests;
  const auto stream = content_->List(&context, request);
  content_v1::ListContentResponse response;
  while (stream->Read(&response)) {
    for (const content_v1::Info& info : response.info()) {
      absl::StatusOr<Digest> digest = Digest::Parse(info.digest());
      if (!digest.ok()) continue;  // another algorithm than ours
      manifests.push_back({.digest = *digest,
                           .size = info.size(),
                           .created_at = ToTime(info.created_at()),
                           .labels = {info.labels().begin(), info.labels().end()}});
    }
  }
  RETURN_IF_ERROR(FromGrpcStatus(stream->Finish(), "list content"));
  // Not by updated_at: containerd leaves it out of a list.
  std::stable_sort(manifests.begin(), manifests.end(),
                   [](const ContentInfo& a, const ContentInfo& b) { return a.created_at > b.created_at; });
  return manifests;
}

absl::StatusOr<content_v1::Info> ContentStoreClient::GetInfo(const std::string& containerd_namespace,
                                                             const Digest& digest, absl::Time deadline) {
  grpc::ClientContext context;
  PrepareCall(context, containerd_namespace, deadline);
  content_v1::InfoRequest request;
  request.set_digest(digest.ToString());
  content_v1::InfoResponse response;
  RETURN_IF_ERROR(
      FromGrpcStatus(content_->Info(&context, request, &response), absl::StrCat("stat ", digest.ToString())));
  return response.info();
}

absl::StatusOr<absl::Time> ContentStoreClient::UpdatedAt(const std::string& containerd_namespace, const Digest& digest,
                                                         absl::Time deadline) {
  ASSIGN_OR_RETURN(const content_v1::Info info, GetInfo(containerd_namespace, digest, deadline));
  return ToTime(info.updated_at());
}

bool ContentStoreClient::HasBlob(const std::string& containerd_namespace, const Digest& digest,
                                 std::optional<int64_t> size, absl::Time deadline) {
  const absl::StatusOr<content_v1::Info> info = GetInfo(containerd_namespace, digest, deadline);
  return info.ok() && (!size.has_value() || info->size() == *size);
}

absl::StatusOr<std::unique_ptr<ByteReader>> ContentStoreClient::OpenBlob(const std::string& containerd_namespace,
                                                                         const Digest& digest,
                                                                         const Cancellation* cancellation) {
  return OpenContent(*content_, containerd_namespace, digest, cancellation);
}

absl::StatusOr<std::string> ContentStoreClient::ReadDocument(const std::string& containerd_namespace,
                                                             const Digest& digest, int64_t max_bytes,
                                                             absl::Time deadline) {
  grpc::ClientContext context;
  PrepareCall(context, containerd_namespace, deadline);
  content_v1::ReadContentRequest request;
  request.set_digest(digest.ToString());

  std::string document;
  const auto stream = content_->Read(&context, request);
  content_v1::ReadContentResponse response;
  while (stream->Read(&response)) {
    if (document.size() + response.data().size() > static_cast<size_t>(max_bytes)) {
      context.TryCancel();
      return absl::ResourceExhaustedError(
          absl::StrCat("containerd: read ", digest.ToString(), ": larger than ", max_bytes, " bytes"));
    }
    document += response.data();
  }
  RETURN_IF_ERROR(FromGrpcStatus(stream->Finish(), absl::StrCat("read ", digest.ToString())));
  if (const Digest actual = Digest::Of(document); actual != digest) {
    return absl::DataLossError(
        absl::StrCat("containerd: read ", digest.ToString(), ": the content's digest is ", actual.ToString()));
  }
  return document;
}

absl::StatusOr<std::vector<ImageRecord>> ContentStoreClient::ListImages(const std::string& containerd_namespace,
                                                                        absl::Time deadline) {
  grpc::ClientContext context;
  PrepareCall(context, containerd_namespace, deadline);
  images_v1::ListImagesResponse response;
  RETURN_IF_ERROR(FromGrpcStatus(images_->List(&context, images_v1::ListImagesRequest(), &response), "list images"));
  std::vector<ImageRecord> images;
  for (images_v1::Image& image : *response.mutable_images()) {
    absl::StatusOr<Digest> target = Digest::Parse(image.target().digest());
    if (target.ok()) images.push_back({.name = std::move(*image.mutable_name()), .target = *target});
  }
  return images;
}

}  // namespace sluice
