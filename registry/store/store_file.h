// Opens and reads files that other programs write, and that may be anything but what they should be.
#pragma once

#include <cstdint>
#include <initializer_list>
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

// Opens the file at `components` below the directory `root` (a path that is followed as the user gave it, links and
// all). Below it no component may be a symbolic link: a store's files lie inside the store. Nothing but a regular file
// is ever opened, not even for a moment: opening a fifo blocks, and opening some devices does something.
// NotFound for whatever is not there or not a regular file; else the errno as a status; each names the path.
absl::StatusOr<StoreFile> OpenStoreFile(absl::string_view root, std::initializer_list<absl::string_view> components);

// The whole content. NotFound if there are more than `max_bytes`. `name` is for messages.
absl::StatusOr<std::string> ReadStoreFile(StoreFile file, int64_t max_bytes, absl::string_view name);

// The content as a stream, sequential by posix_fadvise. Ends where the file ends, also if it grew or shrank meanwhile.
std::unique_ptr<ByteReader> StreamStoreFile(StoreFile file, std::string name);

}  // namespace sluice
