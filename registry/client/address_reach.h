// Which addresses a request may connect to, decided when they are known: whatever name or redirect led there.
#pragma once

#include <sys/socket.h>

#include "absl/strings/string_view.h"

namespace sluice {

enum class AddressReach {
  kAnywhere,
  kNotLinkLocal,
  kPublicOnly,  // nothing that is IpAddress::IsInternal
};

// Why `address` may not be connected to, "" if it may. A cloud's metadata service never may.
absl::string_view RefusalOf(const sockaddr& address, AddressReach reach);

}  // namespace sluice
