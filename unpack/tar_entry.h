// One entry of a layer's tar.
#pragma once

#include <cstdint>
#include <string>

#include "unpack/file_metadata.h"

namespace sluice {

struct TarEntry {
  enum class Type { kFile, kDirectory, kSymlink, kHardLink, kCharDevice, kBlockDevice, kFifo };

  uint32_t number = 0;  // which entry of the archive it is, from 0
  std::string name;     // as in the archive: bytes, not normalised
  Type type = Type::kFile;
  std::string link;  // of symlinks the text, of hard links the name of the other entry
  int64_t size = 0;  // of files, holes included
  unsigned device_major = 0;
  unsigned device_minor = 0;
  FileMetadata metadata;
};

}  // namespace sluice
