#include "registry/ip_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <string>

namespace sluice {
namespace {

// Networks as (address, bits in the IPv6 form).
struct Network {
  const char* address;
  int bits;
};

bool InAny(const IpAddress& address, std::initializer_list<Network> networks) {
  return std::any_of(networks.begin(), networks.end(), [&address](const Network& network) {
    return address.InNetwork(*IpAddress::Parse(network.address), network.bits);
  });
}

}  // namespace

IpAddress IpAddress::FromV4(const std::array<uint8_t, 4>& bytes) {
  return IpAddress({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, bytes[0], bytes[1], bytes[2], bytes[3]});
}

std::optional<IpAddress> IpAddress::Parse(absl::string_view text) {
  const std::string copy(text);
  // A NUL inside would end the C string early.
  if (copy.size() != copy.find('\0') && copy.find('\0') != std::string::npos) return std::nullopt;
  if (std::array<uint8_t, 4> v4; inet_pton(AF_INET, copy.c_str(), v4.data()) == 1) return FromV4(v4);
  if (Bytes v6; inet_pton(AF_INET6, copy.c_str(), v6.data()) == 1) return IpAddress(v6);
  return std::nullopt;
}

bool IpAddress::IsV4() const { return InAny(*this, {{"::ffff:0:0", 96}}); }

bool IpAddress::IsLoopback() const { return InAny(*this, {{"127.0.0.0", 104}, {"::1", 128}}); }

bool IpAddress::IsPrivate() const {
  return InAny(*this, {{"10.0.0.0", 104}, {"172.16.0.0", 108}, {"192.168.0.0", 112}, {"fc00::", 7}});
}

bool IpAddress::IsLinkLocal() const { return InAny(*this, {{"169.254.0.0", 112}, {"fe80::", 10}}); }

bool IpAddress::IsUnspecified() const { return InAny(*this, {{"0.0.0.0", 104}, {"::", 128}}); }

bool IpAddress::IsMetadata() const {
  if (const std::optional<IpAddress> inner = Embedded()) return inner->IsMetadata();
  return InAny(*this, {{"169.254.169.254", 128}, {"fd00:ec2::254", 128}});
}

bool IpAddress::IsInternal() const {
  if (IsLoopback() || IsUnspecified()) return true;
  if (const std::optional<IpAddress> inner = Embedded()) return inner->IsInternal();
  return IsPrivate() || IsLinkLocal() || InAny(*this, {{"100.64.0.0", 106}});
}

bool IpAddress::InNetwork(const IpAddress& network, int bits) const {
  const int whole = bits / 8;
  if (!std::equal(bytes_.begin(), bytes_.begin() + whole, network.bytes_.begin())) return false;
  if (bits % 8 == 0) return true;
  const int shift = 8 - bits % 8;
  return bytes_[whole] >> shift == network.bytes_[whole] >> shift;
}

std::optional<IpAddress> IpAddress::Embedded() const {
  const bool compatible = InAny(*this, {{"::", 96}}) && !IsLoopback() && !IsUnspecified();
  if (!compatible && !InAny(*this, {{"64:ff9b::", 96}})) return std::nullopt;
  return FromV4({bytes_[12], bytes_[13], bytes_[14], bytes_[15]});
}

}  // namespace sluice
