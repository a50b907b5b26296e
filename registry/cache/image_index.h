// index.json of the cache: which image names which manifest (image-spec image-layout.md, image-index.md).
//
// Other programs may write it too: what they put there stays, known or not. They do not lock, so a change of theirs at
// the same moment can be lost; ours are not lost to each other.
#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "registry/cache/cache_directory.h"
#include "registry/descriptor.h"

namespace sluice {

// Enters `manifest` with the annotation org.opencontainers.image.ref.name = `reference`, in place of what had it.
// Entries whose manifest is no longer in the cache go, so that the file does not grow for ever. FailedPrecondition if
// what is there is not an index.
absl::Status EnterImage(const CacheDirectory& directory, const LayoutLock& lock, absl::string_view reference,
                        const Descriptor& manifest);

// Only the latter. Nothing is written if nothing changes.
absl::Status ForgetMissingImages(const CacheDirectory& directory, const LayoutLock& lock);

}  // namespace sluice
