#include "snapshotter/service/diff_service.h"

#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "base/cancellation.h"
#include "glog/logging.h"
#include "snapshotter/service/namespace_header.h"
#include "snapshotter/service/proto_conversion.h"
#include "snapshotter/service/status_to_grpc.h"

namespace sluice {
namespace {

constexpr char kAppliedMediaType[] = "application/vnd.oci.image.layer.v1.tar";

ApplyRequest ToApplyRequest(const grpc::CallbackServerContext& context, const diff_v1::ApplyRequest& message) {
  ApplyRequest request;
  request.containerd_namespace = NamespaceHeader(context);
  request.media_type = message.diff().media_type();
  request.digest = message.diff().digest();
  request.size = message.diff().size();
  request.mounts = FromProto(message.mounts());
  for (const auto& [processor, payload] : message.payloads()) request.processors.push_back(processor);
  request.sync_fs = message.sync_fs();
  return request;
}

// Deletes itself when gRPC is done with it.
class ApplyReactor : public grpc::ServerUnaryReactor {
 public:
  explicit ApplyReactor(diff_v1::ApplyResponse* response) : response_(*response) {}

  // May outlive the reactor, which is deleted after the answer.
  const std::shared_ptr<Cancellation>& cancellation() const { return cancellation_; }

  void End(const absl::StatusOr<AppliedLayer>& applied) {
    if (applied.ok()) {
      response_.mutable_applied()->set_media_type(kAppliedMediaType);
      response_.mutable_applied()->set_digest(applied->diff_id.ToString());
      response_.mutable_applied()->set_size(applied->tar_bytes);
    }
    Finish(ToGrpcStatus(applied.status()));
  }

 private:
  void OnCancel() override { cancellation_->Cancel(); }
  void OnDone() override { delete this; }

  diff_v1::ApplyResponse& response_;
  const std::shared_ptr<Cancellation> cancellation_ = std::make_shared<Cancellation>();
};

}  // namespace

grpc::ServerUnaryReactor* DiffService::Apply(grpc::CallbackServerContext* context, const diff_v1::ApplyRequest* request,
                                             diff_v1::ApplyResponse* response) {
  VLOG(1) << "apply: " << request->diff().digest();
  auto* reactor = new ApplyReactor(response);
  ApplyRequest apply = ToApplyRequest(*context, *request);
  absl::Status admission = applier_.CheckSupported(apply);
  if (admission.ok()) admission = snapshots_.Admission();
  if (!admission.ok()) {
    reactor->End(admission);
    return reactor;
  }
  applier_.Apply(std::move(apply), reactor->cancellation(),
                 [reactor](const absl::StatusOr<AppliedLayer>& applied) { reactor->End(applied); });
  return reactor;
}

grpc::ServerUnaryReactor* DiffService::Diff(grpc::CallbackServerContext* context, const diff_v1::DiffRequest*,
                                            diff_v1::DiffResponse*) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(ToGrpcStatus(absl::UnimplementedError("diff: is left to containerd's own differ")));
  return reactor;
}

}  // namespace sluice
