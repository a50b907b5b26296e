// A content digest, "sha256:<64 lower-case hex digits>" (OCI image-spec descriptor.md, Digests).
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace sluice {

// A value: copyable, comparable, hashable by absl. Only sha256: other algorithms are refused by Parse, and a layer
// named by one is left to containerd.
class Digest {
 public:
  static constexpr size_t kBytes = 32;
  using Bytes = std::array<uint8_t, kBytes>;

  // All zero; stands for "not known yet" where a struct needs a default.
  Digest() = default;
  explicit Digest(const Bytes& bytes) : bytes_(bytes) {}

  // InvalidArgument, quoting `text` shortened, for anything but the exact form.
  static absl::StatusOr<Digest> Parse(absl::string_view text);
  // The same for the 64 digits alone.
  static absl::StatusOr<Digest> ParseHex(absl::string_view hex);
  // The digest of `data`.
  static Digest Of(absl::string_view data);

  std::string ToString() const;
  std::string Hex() const;
  // The first 12 digits with the algorithm, for log lines.
  std::string Short() const;

  const Bytes& bytes() const { return bytes_; }
  bool operator==(const Digest& other) const = default;
  auto operator<=>(const Digest& other) const = default;

  template <typename H>
  friend H AbslHashValue(H state, const Digest& digest) {
    return H::combine_contiguous(std::move(state), digest.bytes_.data(), digest.bytes_.size());
  }

 private:
  Bytes bytes_{};
};

}  // namespace sluice
