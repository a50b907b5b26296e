// Writes a tar by libarchive: ustar where that is enough, pax records where it is not.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "unpack/tar_entry.h"

namespace sluice {

// One thread at a time. The same calls give the same bytes, in whatever locale the process runs. Names and link texts
// are written byte for byte; those that are not UTF-8 in pax's binary charset. Access times are left out.
class TarWriter {
 public:
  // Gets the archive piece by piece; its error ends the writing and is what comes out of it.
  using Sink = std::function<absl::Status(absl::string_view bytes)>;

  explicit TarWriter(Sink sink);
  ~TarWriter();
  TarWriter(const TarWriter&) = delete;
  TarWriter& operator=(const TarWriter&) = delete;

  // InvalidArgument: what no tar can hold.
  absl::Status WriteHeader(const TarEntry& entry);
  // Content of the entry just written, at `offset`, not before what was written of it; what is between is zeros. What
  // is not written until the next call of another function is zeros too.
  absl::Status WriteContent(int64_t offset, absl::string_view data);
  // The end of the archive. Without it the bytes are no tar.
  absl::Status Finish();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice
