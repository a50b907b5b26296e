#include "snapshotter/service/containerd/lease.h"

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "containerd/services/leases/v1/leases.grpc.pb.h"
#include "snapshotter/containerd_labels.h"
#include "snapshotter/service/containerd/connection.h"

namespace sluice {
namespace {

namespace leases_v1 = containerd::services::leases::v1;

constexpr absl::Duration kExpiry = absl::Hours(24);

absl::Status Delete(ContainerdSession& session, bool sync) {
  const auto leases = leases_v1::Leases::NewStub(session.channel());
  leases_v1::DeleteRequest request;
  request.set_id(session.lease_id());
  request.set_sync(sync);
  google::protobuf::Empty response;
  session.set_lease_id("");
  ContainerdCall call(session, ContainerdCall::Kind::kCleanup);
  return FromGrpcStatus(leases->Delete(call.context(), request, &response), "delete lease");
}

absl::Status Keep(ContainerdSession& session, const std::string& type, const std::string& id) {
  const auto leases = leases_v1::Leases::NewStub(session.channel());
  leases_v1::AddResourceRequest request;
  request.set_id(session.lease_id());
  request.mutable_resource()->set_id(id);
  request.mutable_resource()->set_type(type);
  google::protobuf::Empty response;
  ContainerdCall call(session);
  return FromGrpcStatus(leases->AddResource(call.context(), request, &response), absl::StrCat("lease ", type, " ", id));
}

}  // namespace

absl::StatusOr<Lease> Lease::Take(ContainerdSession& session) {
  return Create(session, absl::StrCat("sluice-", absl::ToUnixNanos(absl::Now())));
}

absl::StatusOr<Lease> Lease::Replace(ContainerdSession& session, const std::string& id) {
  absl::StatusOr<Lease> lease = Create(session, id);
  if (!absl::IsAlreadyExists(lease.status())) return lease;
  session.set_lease_id(id);
  if (const absl::Status status = Delete(session, /*sync=*/false); !absl::IsNotFound(status)) RETURN_IF_ERROR(status);
  return Create(session, id);
}

absl::StatusOr<Lease> Lease::Create(ContainerdSession& session, const std::string& id) {
  const auto leases = leases_v1::Leases::NewStub(session.channel());
  leases_v1::CreateRequest request;
  request.set_id(id);
  (*request.mutable_labels())[kExpireLabel] =
      absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", absl::Now() + kExpiry, absl::UTCTimeZone());
  leases_v1::CreateResponse response;
  {
    ContainerdCall call(session);
    RETURN_IF_ERROR(FromGrpcStatus(leases->Create(call.context(), request, &response), "create lease"));
  }
  session.set_lease_id(response.lease().id());
  return Lease(&session);
}

// Nobody is left to hear of an error; the lease then expires.
Lease::~Lease() {
  if (session_ != nullptr) Delete(*session_, /*sync=*/true).IgnoreError();
}

absl::Status Lease::Release() { return Delete(*std::exchange(session_, nullptr), /*sync=*/false); }

absl::Status KeepContent(ContainerdSession& session, const Digest& digest) {
  return Keep(session, "content", digest.ToString());
}

absl::Status KeepSnapshot(ContainerdSession& session, const std::string& snapshotter, const std::string& key) {
  return Keep(session, absl::StrCat("snapshots/", snapshotter), key);
}

absl::StatusOr<std::map<std::string, std::vector<std::string>>> ListLeasedSnapshots(ContainerdSession& session,
                                                                                    const std::string& snapshotter) {
  const auto leases = leases_v1::Leases::NewStub(session.channel());
  leases_v1::ListResponse listed;
  ContainerdCall list_call(session);
  RETURN_IF_ERROR(FromGrpcStatus(leases->List(list_call.context(), leases_v1::ListRequest(), &listed), "list leases"));
  std::map<std::string, std::vector<std::string>> snapshots;
  for (const leases_v1::Lease& lease : listed.leases()) {
    leases_v1::ListResourcesRequest request;
    request.set_id(lease.id());
    leases_v1::ListResourcesResponse response;
    ContainerdCall call(session);
    const grpc::Status status = leases->ListResources(call.context(), request, &response);
    if (status.error_code() == grpc::StatusCode::NOT_FOUND) continue;  // its work has just ended
    RETURN_IF_ERROR(FromGrpcStatus(status, absl::StrCat("list lease ", lease.id())));
    for (const leases_v1::Resource& resource : response.resources()) {
      if (resource.type() == absl::StrCat("snapshots/", snapshotter)) snapshots[lease.id()].push_back(resource.id());
    }
  }
  return snapshots;
}

}  // namespace sluice
