#include "snapshotter/service/namespace_header.h"

namespace sluice {

std::string NamespaceHeader(const grpc::CallbackServerContext& context) {
  const auto header = context.client_metadata().find("containerd-namespace");
  if (header == context.client_metadata().end()) return "";
  return std::string(header->second.data(), header->second.size());
}

}  // namespace sluice
