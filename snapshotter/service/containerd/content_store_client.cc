#include "snapshotter/service/containerd/content_store_client.h"

#include <algorithm>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "snapshotter/containerd_labels.h"
#include "snapshotter/service/containerd/connection.h"
#include "snapshotter/service/containerd/content_reader.h"

namespace sluice {
namespace {

namespace content_v1 = containerd::services::content::v1;
namespace images_v1 = containerd::services::images::v1;
namespace leases_v1 = containerd::services::leases::v1;

// Of what carries the label, whatever its value.
std::string HasLabel(absl::string_view label) { return absl::StrCat("labels.\"", label, "\""); }

constexpr size_t kMaxLeases = 32;
// A lease with more in it than the documents and layers of an image of many platforms is an import, not a pull.
constexpr int kMaxLeased = 1024;

// Longer than the pause between two attempts to connect.
constexpr absl::Duration kReconnectLimit = absl::Milliseconds(500);

absl::Time ToTime(const google::protobuf::Timestamp& timestamp) {
  return absl::FromUnixSeconds(timestamp.seconds()) + absl::Nanoseconds(timestamp.nanos());
}

// Takes the labels out of `info`.
ContentInfo ToContentInfo(const Digest& digest, content_v1::Info& info, bool with_layers) {
  ContentInfo content;
  content.digest = digest;
  content.size = info.size();
  content.created_at = ToTime(info.created_at());
  for (auto& [key, value] : *info.mutable_labels()) {
    if (with_layers || !absl::StartsWith(key, kLayerReferencePrefix)) content.labels.emplace(key, std::move(value));
  }
  return content;
}

// `call`, which answers a StatusOr, and once more if only the connection has not seen yet that containerd is there: one
// that has just started may call us at once.
template <typename Call>
auto CallReconnecting(grpc::Channel& channel, absl::Time deadline, const Call& call) {
  auto answer = call();
  if (!absl::IsUnavailable(answer.status())) return answer;
  const absl::Time until = std::min(deadline, absl::Now() + kReconnectLimit);
  return channel.WaitForConnected(absl::ToChronoTime(until)) ? call() : std::move(answer);
}

}  // namespace

ContentStoreClient::ContentStoreClient(const std::shared_ptr<grpc::Channel>& channel)
    : channel_(channel),
      content_(content_v1::Content::NewStub(channel)),
      images_(images_v1::Images::NewStub(channel)),
      leases_(leases_v1::Leases::NewStub(channel)) {}

absl::StatusOr<std::vector<ContentInfo>> ContentStoreClient::ListManifests(const std::string& containerd_namespace,
                                                                           absl::Time deadline) {
  // containerd sets these labels on every manifest and every index whose children it has fetched, before it unpacks.
  const std::vector<std::string> filters = {HasLabel(kConfigReferenceLabel),
                                            HasLabel(absl::StrCat(kManifestReferencePrefix, 0))};
  ASSIGN_OR_RETURN(std::vector<ContentInfo> manifests, CallReconnecting(*channel_, deadline, [&] {
                     return ListOnce(containerd_namespace, filters, deadline);
                   }));
  std::stable_sort(manifests.begin(), manifests.end(),
                   [](const ContentInfo& a, const ContentInfo& b) { return a.created_at > b.created_at; });
  return manifests;
}

absl::StatusOr<std::map<Digest, std::string>> ContentStoreClient::ListUnpacked(const std::string& containerd_namespace,
                                                                               const std::string& snapshotter,
                                                                               absl::Time deadline) {
  // A filter has no way to say more.
  const bool is_name = absl::c_all_of(
      snapshotter, [](unsigned char c) { return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '-'; });
  if (!is_name) return absl::InvalidArgumentError("the snapshotter's name is not made of letters, digits and \"._-\"");
  const std::string label = absl::StrCat(kSnapshotReferencePrefix, snapshotter);
  ASSIGN_OR_RETURN(const std::vector<ContentInfo> configs, CallReconnecting(*channel_, deadline, [&] {
                     return ListOnce(containerd_namespace, {HasLabel(label)}, deadline);
                   }));
  std::map<Digest, std::string> tops;
  for (const ContentInfo& config : configs) {
    if (const auto top = config.labels.find(label); top != config.labels.end()) tops[config.digest] = top->second;
  }
  return tops;
}

absl::StatusOr<std::vector<ContentInfo>> ContentStoreClient::ListOnce(const std::string& containerd_namespace,
                                                                      const std::vector<std::string>& filters,
                                                                      absl::Time deadline) {
  grpc::ClientContext context;
  PrepareCall(context, containerd_namespace, deadline);
  content_v1::ListContentRequest request;
  for (const std::string& filter : filters) request.add_filters(filter);

  std::vector<ContentInfo> contents;
  const auto stream = content_->List(&context, request);
  content_v1::ListContentResponse response;
  while (stream->Read(&response)) {
    for (content_v1::Info& info : *response.mutable_info()) {
      absl::StatusOr<Digest> digest = Digest::Parse(info.digest());
      if (!digest.ok()) continue;  // another algorithm than ours
      contents.push_back(ToContentInfo(*digest, info, /*with_layers=*/false));
    }
  }
  RETURN_IF_ERROR(FromGrpcStatus(stream->Finish(), "list content"));
  return contents;
}

absl::StatusOr<std::vector<Digest>> ContentStoreClient::ListLeased(const std::string& containerd_namespace,
                                                                   absl::Time deadline) {
  ASSIGN_OR_RETURN(std::vector<Lease> leases, CallReconnecting(*channel_, deadline, [&] {
                     return ListLeasesOnce(containerd_namespace, deadline);
                   }));
  if (leases.size() > kMaxLeases) leases.resize(kMaxLeases);
  std::vector<Digest> leased;
  for (const Lease& lease : leases) {
    grpc::ClientContext context;
    PrepareCall(context, containerd_namespace, deadline);
    leases_v1::ListResourcesRequest request;
    request.set_id(lease.id());
    leases_v1::ListResourcesResponse response;
    const grpc::Status status = leases_->ListResources(&context, request, &response);
    if (status.error_code() == grpc::StatusCode::NOT_FOUND) continue;  // its work has just ended
    RETURN_IF_ERROR(FromGrpcStatus(status, absl::StrCat("list lease ", lease.id())));
    if (response.resources_size() > kMaxLeased) continue;
    for (const leases_v1::Resource& resource : response.resources()) {
      if (resource.type() != "content") continue;
      if (absl::StatusOr<Digest> digest = Digest::Parse(resource.id()); digest.ok()) leased.push_back(*digest);
    }
  }
  return leased;
}

absl::StatusOr<std::vector<leases_v1::Lease>> ContentStoreClient::ListLeasesOnce(
    const std::string& containerd_namespace, absl::Time deadline) {
  grpc::ClientContext context;
  PrepareCall(context, containerd_namespace, deadline);
  leases_v1::ListRequest request;
  // What a client takes for as long as it works; BuildKit, for one, also keeps thousands of leases that do not expire.
  request.add_filters(HasLabel(kExpireLabel));
  leases_v1::ListResponse response;
  RETURN_IF_ERROR(FromGrpcStatus(leases_->List(&context, request, &response), "list leases"));
  std::vector<Lease> leases(response.leases().begin(), response.leases().end());
  std::stable_sort(leases.begin(), leases.end(),
                   [](const Lease& a, const Lease& b) { return ToTime(a.created_at()) > ToTime(b.created_at()); });
  return leases;
}

absl::StatusOr<ContentInfo> ContentStoreClient::Stat(const std::string& containerd_namespace, const Digest& digest,
                                                     absl::Time deadline) {
  grpc::ClientContext context;
  PrepareCall(context, containerd_namespace, deadline);
  content_v1::InfoRequest request;
  request.set_digest(digest.ToString());
  content_v1::InfoResponse response;
  RETURN_IF_ERROR(
      FromGrpcStatus(content_->Info(&context, request, &response), absl::StrCat("stat ", digest.ToString())));
  ContentInfo content = ToContentInfo(digest, *response.mutable_info(), /*with_layers=*/true);
  content.updated_at = ToTime(response.info().updated_at());
  return content;
}

bool ContentStoreClient::HasBlob(const std::string& containerd_namespace, const Digest& digest,
                                 std::optional<int64_t> size, absl::Time deadline) {
  const absl::StatusOr<ContentInfo> content = Stat(containerd_namespace, digest, deadline);
  return content.ok() && (!size.has_value() || content->size == *size);
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
