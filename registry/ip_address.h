// IP addresses as written in references, redirects and configuration, and the classes that decide who may be asked.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"

namespace sluice {

// A value. IPv4 is kept in its IPv6-mapped form (::ffff:a.b.c.d), so that both spellings are one address.
class IpAddress {
 public:
  using Bytes = std::array<uint8_t, 16>;

  explicit IpAddress(const Bytes& bytes) : bytes_(bytes) {}
  static IpAddress FromV4(const std::array<uint8_t, 4>& bytes);

  // A literal without brackets, port or zone: dotted decimal with four parts, or an IPv6 address. Anything else,
  // "0x7f.1" and "127.1" included, is a name, whatever a resolver may make of it.
  static std::optional<IpAddress> Parse(absl::string_view text);

  bool IsV4() const;
  bool IsLoopback() const;     // 127.0.0.0/8, ::1
  bool IsPrivate() const;      // RFC 1918, fc00::/7
  bool IsLinkLocal() const;    // 169.254.0.0/16, fe80::/10
  bool IsUnspecified() const;  // 0.0.0.0/8, ::
  // 169.254.169.254 and fd00:ec2::254, also inside NAT64 (64:ff9b::/96) and IPv4-compatible addresses.
  bool IsMetadata() const;
  // What a host on the Internet has no business to send us to: all of the above, 100.64.0.0/10, NAT64 or
  // IPv4-compatible forms of them.
  bool IsInternal() const;

  // True if the first `bits` (0 … 128, counted in the IPv6 form) equal those of `network`.
  bool InNetwork(const IpAddress& network, int bits) const;

  bool operator==(const IpAddress&) const = default;

 private:
  // The IPv4 address inside a NAT64 or IPv4-compatible address.
  std::optional<IpAddress> Embedded() const;

  Bytes bytes_;
};

}  // namespace sluice
