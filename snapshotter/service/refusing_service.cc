#include "snapshotter/service/refusing_service.h"

namespace sluice {
namespace {

// Deletes itself once the answer is sent.
class Refusal : public grpc::ServerGenericBidiReactor {
 public:
  explicit Refusal(const std::string& text) { Finish(grpc::Status(grpc::StatusCode::FAILED_PRECONDITION, text)); }
  void OnDone() override { delete this; }
};

}  // namespace

grpc::ServerGenericBidiReactor* RefusingService::CreateReactor(grpc::GenericCallbackServerContext*) {
  return new Refusal(refusal_);
}

}  // namespace sluice
