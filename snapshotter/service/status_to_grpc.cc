#include "snapshotter/service/status_to_grpc.h"

#include <string>

#include "absl/strings/string_view.h"

namespace sluice {
namespace {

// gRPC's default limit for all headers of a response is 8 KiB, and a byte may take three when it is escaped.
constexpr size_t kMaxMessageBytes = 2048;

// Cuts at a character's boundary: a message must be UTF-8.
absl::string_view Cut(absl::string_view message) {
  if (message.size() <= kMaxMessageBytes) return message;
  size_t end = kMaxMessageBytes;
  while (end > 0 && (static_cast<unsigned char>(message[end]) & 0xc0) == 0x80) --end;
  return message.substr(0, end);
}

}  // namespace

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), std::string(Cut(status.message())));
}

}  // namespace sluice
