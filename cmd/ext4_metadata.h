// What mkfs.ext4 1.47 -d leaves out: nanoseconds and years after 2038, the root directory's own owner, mode and time,
// hard links of symlinks. And what it takes from the clock: change and creation times.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "base/cancellation.h"
#include "cmd/disk_image.h"

namespace sluice {

// Completes the image, open as `image_fd`, that was made of `source`. Every file gets its modification time as all of
// its times; lost+found, which every ext4 has, that of 1970. `now` is what the superblock says of the last write.
absl::Status CompleteExt4Metadata(const DiskSource& source, int image_fd, int64_t now,
                                  const Cancellation& cancellation);

}  // namespace sluice
