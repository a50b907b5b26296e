// Parses a tar by libarchive (ustar, pax, GNU; nothing is unwrapped, nothing touches the disk).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "unpack/tar_entry.h"

namespace sluice {

// One thread at a time. Names and link texts are the archive's bytes, in whatever locale the process runs. Times before
// 1970 and after 2262 become 1970, as in containerd. Bytes after the end of the archive are not read.
// InvalidArgument: not a tar, damaged, truncated, or a value that no file can have (type, owner, size, device), naming
// the entry; a special header (pax, GNU long name, sparse map) longer than `max_special_header_bytes`.
class TarReader {
 public:
  // Gives the next piece of the archive, valid until the next call; empty at its end.
  using Source = std::function<absl::StatusOr<absl::string_view>()>;

  TarReader(Source source, int64_t max_special_header_bytes);
  ~TarReader();
  TarReader(const TarReader&) = delete;
  TarReader& operator=(const TarReader&) = delete;

  // The next entry, the caller's to change until the next call; null at the end of the archive. What is unread of the
  // entry before is skipped.
  absl::StatusOr<TarEntry*> Next();

  struct Block {
    int64_t offset = 0;
    absl::string_view data;  // valid until the next call
  };
  // The next piece of the entry's content, in order, without its holes; empty data at the end.
  absl::StatusOr<Block> ReadBlock();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice
