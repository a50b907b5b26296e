// OCI descriptor (image-spec descriptor.md) and the media types that Sluice knows.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/digest.h"
#include "registry/platform.h"

namespace sluice {

struct Descriptor {
  std::string media_type;
  Digest digest;
  int64_t size = 0;  // bytes, never negative
  std::map<std::string, std::string> annotations;
  std::optional<Platform> platform;  // in an index only
  std::string artifact_type;
  std::vector<std::string> urls;  // of a foreign layer
};

// By media type. Docker's schema 2 names count as their OCI twins.
bool IsIndex(const Descriptor& descriptor);
bool IsManifest(const Descriptor& descriptor);
// A layer that unpack/ can read: tar, plain or gzip or zstd, Docker's and OCI's names. Not foreign, encrypted or
// unknown.
bool IsTarLayer(const Descriptor& descriptor);

}  // namespace sluice
