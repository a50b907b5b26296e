#include "registry/manifest.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"
#include "registry/json.h"

namespace sluice {
namespace {

absl::Status Invalid(absl::string_view cause) { return absl::InvalidArgumentError(cause); }

absl::StatusOr<int64_t> SizeMember(const Json& object) {
  const auto size = object.find("size");
  if (size == object.end()) return Invalid("\"size\" is missing");
  const bool whole = size->is_number_unsigned()
                         ? size->get<uint64_t>() <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max())
                         : size->is_number_integer() && size->get<int64_t>() >= 0;
  if (!whole) return Invalid("\"size\" is not a number of bytes");
  return size->get<int64_t>();
}

absl::StatusOr<std::optional<Platform>> PlatformMember(const Json& object) {
  ASSIGN_OR_RETURN(const Json* member, ObjectMember(object, "platform"));
  if (member == nullptr) return std::optional<Platform>();
  Platform platform;
  ASSIGN_OR_RETURN(platform.os, StringMember(*member, "os"));
  ASSIGN_OR_RETURN(platform.architecture, StringMember(*member, "architecture"));
  ASSIGN_OR_RETURN(platform.variant, StringMember(*member, "variant"));
  ASSIGN_OR_RETURN(platform.os_version, StringMember(*member, "os.version"));
  ASSIGN_OR_RETURN(platform.os_features, StringListMember(*member, "os.features"));
  return std::optional<Platform>(std::move(platform));
}

absl::StatusOr<Descriptor> ParseDescriptor(const Json& object) {
  if (!object.is_object()) return Invalid("not an object");
  Descriptor descriptor;
  ASSIGN_OR_RETURN(const std::string digest, StringMember(object, "digest"));
  ASSIGN_OR_RETURN(descriptor.digest, Digest::Parse(digest));
  ASSIGN_OR_RETURN(descriptor.size, SizeMember(object));
  ASSIGN_OR_RETURN(descriptor.media_type, StringMember(object, "mediaType"));
  ASSIGN_OR_RETURN(descriptor.artifact_type, StringMember(object, "artifactType"));
  ASSIGN_OR_RETURN(descriptor.annotations, StringMapMember(object, "annotations"));
  ASSIGN_OR_RETURN(descriptor.urls, StringListMember(object, "urls"));
  ASSIGN_OR_RETURN(descriptor.platform, PlatformMember(object));
  return descriptor;
}

// False for an entry named by another algorithm, which some other reader will know.
bool IsSha256(const Json& object) {
  const absl::StatusOr<std::string> digest = object.is_object() ? StringMember(object, "digest") : std::string();
  return !digest.ok() || digest->empty() || absl::StartsWith(*digest, "sha256:");
}

bool All(const Json&) { return true; }

// Those of `list` that `wanted` lets through.
absl::StatusOr<std::vector<Descriptor>> ParseDescriptors(const Json& list, absl::string_view name,
                                                         bool (*wanted)(const Json&) = All) {
  std::vector<Descriptor> descriptors;
  descriptors.reserve(list.size());
  for (const Json& item : list) {
    if (!wanted(item)) continue;
    absl::StatusOr<Descriptor> descriptor = ParseDescriptor(item);
    if (!descriptor.ok()) {
      return Annotate(descriptor.status(), absl::StrCat("\"", name, "\"[", descriptors.size(), "]"));
    }
    descriptors.push_back(*std::move(descriptor));
  }
  return descriptors;
}

absl::Status CheckSchema(const Json& document) {
  const auto version = document.find("schemaVersion");
  if (version == document.end()) return absl::OkStatus();
  if (version->is_number_unsigned() && version->get<uint64_t>() == 2) return absl::OkStatus();
  if (version->is_number_unsigned() && version->get<uint64_t>() == 1) {
    return Invalid("Docker schema 1 is not supported: push the image again with a tool of this decade");
  }
  return Invalid("\"schemaVersion\" is not 2");
}

// The media type in the document; `fallback` where it has none, an error where it is of another kind.
absl::StatusOr<std::string> MediaType(const Json& document, bool (*is_kind)(const Descriptor&), const char* fallback) {
  Descriptor kind;
  ASSIGN_OR_RETURN(kind.media_type, StringMember(document, "mediaType"));
  if (kind.media_type.empty()) return std::string(fallback);
  if (!is_kind(kind)) return Invalid(absl::StrCat("\"mediaType\" is ", kind.media_type));
  return kind.media_type;
}

absl::StatusOr<Manifest> ParseManifest(const Json& document, const Json& config, const Json& layers) {
  Manifest manifest;
  absl::StatusOr<Descriptor> config_descriptor = ParseDescriptor(config);
  if (!config_descriptor.ok()) return Annotate(config_descriptor.status(), "\"config\"");
  manifest.config = *std::move(config_descriptor);
  ASSIGN_OR_RETURN(manifest.layers, ParseDescriptors(layers, "layers"));
  const bool docker = absl::StartsWith(manifest.config.media_type, "application/vnd.docker.");
  ASSIGN_OR_RETURN(manifest.media_type, MediaType(document, IsManifest,
                                                  docker ? "application/vnd.docker.distribution.manifest.v2+json"
                                                         : "application/vnd.oci.image.manifest.v1+json"));
  return manifest;
}

absl::StatusOr<std::variant<Manifest, Index>> Parse(absl::string_view json) {
  if (json.size() > static_cast<size_t>(kMaxIndexBytes)) return Invalid("too large");
  ASSIGN_OR_RETURN(const Json document, ParseJsonObject(json));
  RETURN_IF_ERROR(CheckSchema(document));
  ASSIGN_OR_RETURN(const Json* config, ObjectMember(document, "config"));
  ASSIGN_OR_RETURN(const Json* layers, ArrayMember(document, "layers"));
  ASSIGN_OR_RETURN(const Json* manifests, ArrayMember(document, "manifests"));
  // Both at once could mean one image to us and another to the next reader (CVE-2021-41190).
  if (manifests != nullptr && (config != nullptr || layers != nullptr)) {
    return Invalid("it has \"manifests\" beside \"config\" or \"layers\"");
  }
  if (manifests != nullptr) {
    Index index;
    ASSIGN_OR_RETURN(index.media_type, MediaType(document, IsIndex, "application/vnd.oci.image.index.v1+json"));
    ASSIGN_OR_RETURN(index.manifests, ParseDescriptors(*manifests, "manifests", IsSha256));
    return std::variant<Manifest, Index>(std::move(index));
  }
  if (config == nullptr) return Invalid("\"config\" is missing");
  if (layers == nullptr) return Invalid("\"layers\" is missing");
  ASSIGN_OR_RETURN(Manifest manifest, ParseManifest(document, *config, *layers));
  return std::variant<Manifest, Index>(std::move(manifest));
}

// BuildKit's attestations say "unknown/unknown"; artifacts name their type.
bool IsImage(const Descriptor& descriptor) {
  if (!descriptor.artifact_type.empty()) return false;
  if (!IsManifest(descriptor) && !IsIndex(descriptor) && !descriptor.media_type.empty()) return false;
  return !descriptor.platform.has_value() ||
         (descriptor.platform->os != "unknown" && descriptor.platform->architecture != "unknown");
}

bool HasPlatform(const Descriptor& descriptor) {
  return descriptor.platform.has_value() &&
         !(descriptor.platform->os.empty() && descriptor.platform->architecture.empty());
}

}  // namespace

absl::StatusOr<std::variant<Manifest, Index>> ParseManifestOrIndex(absl::string_view json) {
  absl::StatusOr<std::variant<Manifest, Index>> parsed = Parse(json);
  if (!parsed.ok()) return Annotate(parsed.status(), "manifest");
  return parsed;
}

std::vector<Descriptor> RankByPlatform(const Index& index, const Platform& platform) {
  std::vector<std::pair<int, const Descriptor*>> ranked;
  for (const Descriptor& descriptor : index.manifests) {
    if (!IsImage(descriptor)) continue;
    const int score = HasPlatform(descriptor) ? PlatformScore(platform, *descriptor.platform) : 0;
    if (score > 0 || !HasPlatform(descriptor)) ranked.emplace_back(score, &descriptor);
  }
  std::stable_sort(ranked.begin(), ranked.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  std::vector<Descriptor> descriptors;
  descriptors.reserve(ranked.size());
  for (const auto& [score, descriptor] : ranked) descriptors.push_back(*descriptor);
  return descriptors;
}

absl::Status NoSuchPlatform(const Index& index, const Platform& platform) {
  constexpr size_t kMost = 16;
  std::vector<std::string> present;
  for (const Descriptor& descriptor : index.manifests) {
    if (!IsImage(descriptor) || !HasPlatform(descriptor)) continue;
    const std::string text = descriptor.platform->ToString();
    if (present.size() < kMost && std::find(present.begin(), present.end(), text) == present.end()) {
      present.push_back(text);
    }
  }
  return absl::NotFoundError(
      absl::StrCat("no image for platform ", platform.ToString(), ": the index has ",
                   present.empty() ? "no image for any platform" : absl::StrJoin(present, ", ")));
}

absl::StatusOr<Descriptor> SelectPlatform(const Index& index, const Platform& platform) {
  std::vector<Descriptor> ranked = RankByPlatform(index, platform);
  if (ranked.empty()) return NoSuchPlatform(index, platform);
  return std::move(ranked.front());
}

}  // namespace sluice
