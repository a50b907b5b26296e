#include "snapshotter/service/containerd/lease.h"

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "containerd/services/leases/v1/leases.grpc.pb.h"
#include "snapshotter/service/containerd/connection.h"

namespace sluice {
namespace {

namespace leases_v1 = containerd::services::leases::v1;

constexpr char kExpireLabel[] = "containerd.io/gc.expire";
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

}  // namespace

absl::StatusOr<Lease> Lease::Take(ContainerdSession& session) {
  const auto leases = leases_v1::Leases::NewStub(session.channel());
  leases_v1::CreateRequest request;
  request.set_id(absl::StrCat("sluicectl-", absl::ToUnixNanos(absl::Now())));
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

absl::Status KeepSnapshot(ContainerdSession& session, const std::string& snapshotter, const std::string& key) {
  const auto leases = leases_v1::Leases::NewStub(session.channel());
  leases_v1::AddResourceRequest request;
  request.set_id(session.lease_id());
  request.mutable_resource()->set_id(key);
  request.mutable_resource()->set_type(absl::StrCat("snapshots/", snapshotter));
  google::protobuf::Empty response;
  ContainerdCall call(session);
  return FromGrpcStatus(leases->AddResource(call.context(), request, &response), absl::StrCat("lease snapshot ", key));
}

}  // namespace sluice
