// Answers every call of every service with one and the same refusal.
#pragma once

#include <string>
#include <utility>

#include "grpcpp/generic/async_generic_service.h"

namespace sluice {

// Thread-safe.
class RefusingService : public grpc::CallbackGenericService {
 public:
  // FailedPrecondition with this text.
  explicit RefusingService(std::string refusal) : refusal_(std::move(refusal)) {}

  grpc::ServerGenericBidiReactor* CreateReactor(grpc::GenericCallbackServerContext* context) override;

 private:
  const std::string refusal_;
};

}  // namespace sluice
