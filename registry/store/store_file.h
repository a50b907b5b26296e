// Opens and reads files that other programs write, and that may be anything but what they should be.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/byte_reader.h"
#include "base/unique_fd.h"

namespace sluice {

// A regular file, opened for reading.
struct StoreFile {
  UniqueFd fd;
  int64_t size = 0;  // bytes, when it was opened
};

// Opens the file at `place`, a relative path below the directory `root` (which is followed as the user gave it, links
// and all). Below it no component may be a symbolic link, "." or "..": a store's files lie inside the store. Nothing
// but a regular file is ever opened, not even for a moment: opening a fifo blocks, and opening some devices does
// something. NotFound for whatever is not there or not a regular file; else the errno as a status; each names the path.
absl::StatusOr<StoreFile> OpenStoreFile(absl::string_view root, absl::string_view place);

// The whole content. InvalidArgument if there are more than `max_bytes`. `name` is for messages.
absl::StatusOr<std::string> ReadStoreFile(StoreFile file, int64_t max_bytes, absl::string_view name);

// The content as a stream, sequential by posix_fadvise. Ends where the file ends, also if it grew or shrank meanwhile.
std::unique_ptr<ByteReader> StreamStoreFile(StoreFile file, std::string name);

}  // namespace sluice
