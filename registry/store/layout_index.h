// index.json of an OCI image layout (image-spec image-layout.md).
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "registry/manifest.h"

namespace sluice {

// The index of the layout at `place`, a path below `root` as in OpenStoreFile; "" is `root` itself. Read again a few
// times when it is torn. Errors name the file; NotFound: it is not there; InvalidArgument: it is no index.
absl::StatusOr<Index> ReadLayoutIndex(const std::string& root, absl::string_view place);

// The name of an entry: annotation org.opencontainers.image.ref.name, or "".
std::string RefName(const Descriptor& descriptor);
// As containerd's exporter writes it, beside a ref.name that is the bare tag: the full reference, or "".
std::string ContainerdName(const Descriptor& descriptor);

// "it has a:1, b:2 and more", for messages.
std::string NamesIn(const Index& index);

}  // namespace sluice
