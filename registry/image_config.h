// The image config (image-spec config.md): what the runtime needs, and which layers it is made of.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/digest.h"
#include "registry/platform.h"

namespace sluice {

// Largest config that is read, bytes.
inline constexpr int64_t kMaxConfigBytes = 16 << 20;

struct ImageConfig {
  Platform platform;
  std::vector<Digest> diff_ids;  // base first
  // {"created", "author", "architecture", "os", "variant", "config": {"User", "ExposedPorts", "Env", "Entrypoint",
  // "Cmd", "Volumes", "WorkingDir", "Labels", "StopSignal"}}: the OCI field names and values verbatim, Env as the list
  // it is; pretty-printed JSON.
  std::string metadata_json;
};

// InvalidArgument naming the field.
absl::StatusOr<ImageConfig> ParseImageConfig(absl::string_view json);

// The chainID of each prefix of `diff_ids` (image-spec config.md, Layer ChainID); same length.
std::vector<Digest> ChainIds(absl::Span<const Digest> diff_ids);
// chainID of `diff_id` over the chain `parent`.
Digest ChainId(const Digest& parent, const Digest& diff_id);

}  // namespace sluice
