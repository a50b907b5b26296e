// Whiteout names (OCI image-spec layer.md, Whiteouts): ".wh.NAME" hides NAME of the layers below, ".wh..wh..opq" hides
// everything that they have in its directory.
#pragma once

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace sluice {

struct Whiteout {
  enum class Kind {
    kNone,      // an ordinary name
    kName,      // hides `name`
    kOpaque,    // hides what is below in the directory
    kMetadata,  // ".wh..wh.*": AUFS's own bookkeeping (plnk, orph, aufs), which hides nothing; to be skipped
  };
  Kind kind = Kind::kNone;
  absl::string_view name;  // a part of what was parsed
};

// `base` is the last component of a name. Only that one can be a whiteout: a directory named ".wh.x" is a directory.
// InvalidArgument where what is hidden is not a name of this directory: ".wh.", ".wh..", ".wh...".
absl::StatusOr<Whiteout> ParseWhiteout(absl::string_view base);

}  // namespace sluice
