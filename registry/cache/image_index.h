// index.json of the cache: which image names which manifest (image-spec image-layout.md, image-index.md).
//
// Other programs may write it too: what they put there stays, known or not. They do not lock, so a change of theirs at
// the same moment can be lost; ours are not lost to each other.
#pragma once

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "registry/cache/cache_directory.h"
#include "registry/descriptor.h"

namespace sluice {

struct NamedImage {
  Descriptor manifest;
  absl::Time named_at;  // InfinitePast if somebody else has named it
};

// Enters `manifest` with the annotation org.opencontainers.image.ref.name = `reference`, in place of what had it, and
// with the time.
// Entries whose manifest is no longer in the cache go, so that the file does not grow for ever. FailedPrecondition if
// what is there is not an index.
absl::Status EnterImage(const CacheDirectory& directory, const LayoutLock& lock, absl::string_view reference,
                        const Descriptor& manifest);

// The manifest that is entered as `reference`, the last if there are several. NotFound; FailedPrecondition as above.
absl::StatusOr<NamedImage> FindImage(const CacheDirectory& directory, absl::string_view reference);

// Only the entries whose manifest has gone are removed. Nothing is written if nothing changes.
absl::Status ForgetMissingImages(const CacheDirectory& directory, const LayoutLock& lock);

}  // namespace sluice
