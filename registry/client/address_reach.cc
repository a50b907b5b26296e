#include "registry/client/address_reach.h"

#include <netinet/in.h>

#include <array>
#include <cstring>
#include <optional>

#include "registry/ip_address.h"

namespace sluice {
namespace {

std::optional<IpAddress> AddressOf(const sockaddr& address) {
  if (address.sa_family == AF_INET) {
    sockaddr_in v4;
    std::memcpy(&v4, &address, sizeof(v4));
    std::array<uint8_t, 4> bytes;
    std::memcpy(bytes.data(), &v4.sin_addr, bytes.size());
    return IpAddress::FromV4(bytes);
  }
  if (address.sa_family == AF_INET6) {
    sockaddr_in6 v6;
    std::memcpy(&v6, &address, sizeof(v6));
    IpAddress::Bytes bytes;
    std::memcpy(bytes.data(), &v6.sin6_addr, bytes.size());
    return IpAddress(bytes);
  }
  return std::nullopt;
}

}  // namespace

absl::string_view RefusalOf(const sockaddr& address, AddressReach reach) {
  const std::optional<IpAddress> ip = AddressOf(address);
  if (!ip.has_value()) return "";
  if (ip->IsMetadata()) return "its address is the cloud's metadata service, which is never asked";
  if (reach != AddressReach::kAnywhere && ip->IsLinkLocal()) return "its address is link-local";
  if (reach == AddressReach::kPublicOnly && ip->IsInternal()) return "sent from a public address to an internal one";
  return "";
}

}  // namespace sluice
