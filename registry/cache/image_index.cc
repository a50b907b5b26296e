#include "registry/cache/image_index.h"

#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/digest.h"
#include "base/status_macros.h"
#include "registry/json.h"

namespace sluice {
namespace {

constexpr char kManifests[] = "manifests";
constexpr char kAnnotations[] = "annotations";
// image-spec annotations.md.
constexpr char kRefName[] = "org.opencontainers.image.ref.name";
// Ours: when the tag was last seen to name this manifest.
constexpr char kNamedAt[] = "sluice.named-at";

Json EmptyIndex() {
  return {{"schemaVersion", 2}, {"mediaType", "application/vnd.oci.image.index.v1+json"}, {kManifests, Json::array()}};
}

absl::StatusOr<Json> ReadIndex(const CacheDirectory& directory) {
  const absl::StatusOr<std::string> content = directory.ReadIndex();
  if (absl::IsNotFound(content.status())) return EmptyIndex();
  if (!content.ok()) return content.status();
  absl::StatusOr<Json> index = ParseJsonObject(*content);
  absl::Status status = index.status();
  if (status.ok()) status = ArrayMember(*index, kManifests).status();
  if (!status.ok()) {
    return absl::FailedPreconditionError(absl::StrCat(directory.path(), "/index.json: ", status.message()));
  }
  if (index->value(kManifests, Json()).is_null()) (*index)[kManifests] = Json::array();
  return index;
}

absl::Status WriteIndex(const CacheDirectory& directory, const LayoutLock& lock, const Json& index) {
  // A reference that is not UTF-8 would be an exception.
  return directory.WriteIndex(lock,
                              index.dump(/*indent=*/-1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace));
}

// The annotation of an entry that may be anything; "" without one.
std::string Annotation(const Json& entry, const char* name) {
  if (!entry.is_object()) return "";
  const absl::StatusOr<const Json*> annotations = ObjectMember(entry, kAnnotations);
  if (!annotations.ok() || *annotations == nullptr) return "";
  return StringMember(**annotations, name).value_or("");
}

std::string RefName(const Json& entry) { return Annotation(entry, kRefName); }

absl::StatusOr<NamedImage> ToNamedImage(const Json& entry) {
  NamedImage image;
  ASSIGN_OR_RETURN(const std::string digest, StringMember(entry, "digest"));
  ASSIGN_OR_RETURN(image.manifest.digest, Digest::Parse(digest));
  ASSIGN_OR_RETURN(image.manifest.media_type, StringMember(entry, "mediaType"));
  const auto size = entry.find("size");
  if (size == entry.end() || !size->is_number_integer()) return absl::InvalidArgumentError("an entry without a size");
  image.manifest.size = size->get<int64_t>();
  image.named_at = absl::InfinitePast();
  std::string error;
  absl::Time named_at;
  if (absl::ParseTime(absl::RFC3339_full, Annotation(entry, kNamedAt), &named_at, &error)) image.named_at = named_at;
  return image;
}

// False for what is not known by sha256: that is not ours to judge.
bool IsMissing(const CacheDirectory& directory, const Json& entry) {
  if (!entry.is_object()) return false;
  const absl::StatusOr<Digest> digest = Digest::Parse(StringMember(entry, "digest").value_or(""));
  return digest.ok() && !directory.Find(BlobPlace::kWhole, *digest).has_value();
}

// True if any entry went.
template <typename Predicate>
bool RemoveEntries(Json& index, Predicate is_removed) {
  Json kept = Json::array();
  for (Json& entry : index[kManifests]) {
    if (!is_removed(entry)) kept.push_back(std::move(entry));
  }
  const bool removed = kept.size() != index[kManifests].size();
  index[kManifests] = std::move(kept);
  return removed;
}

Json PlatformToJson(const Platform& platform) {
  Json json = {{"os", platform.os}, {"architecture", platform.architecture}};
  if (!platform.variant.empty()) json["variant"] = platform.variant;
  if (!platform.os_version.empty()) json["os.version"] = platform.os_version;
  if (!platform.os_features.empty()) json["os.features"] = platform.os_features;
  return json;
}

Json DescriptorToJson(const Descriptor& descriptor) {
  Json json = {
      {"mediaType", descriptor.media_type}, {"digest", descriptor.digest.ToString()}, {"size", descriptor.size}};
  if (!descriptor.artifact_type.empty()) json["artifactType"] = descriptor.artifact_type;
  if (!descriptor.annotations.empty()) json[kAnnotations] = descriptor.annotations;
  if (descriptor.platform.has_value()) json["platform"] = PlatformToJson(*descriptor.platform);
  return json;
}

}  // namespace

absl::Status EnterImage(const CacheDirectory& directory, const LayoutLock& lock, absl::string_view reference,
                        const Descriptor& manifest) {
  ASSIGN_OR_RETURN(Json index, ReadIndex(directory));
  RemoveEntries(index, [&directory, reference](const Json& entry) {
    return RefName(entry) == reference || IsMissing(directory, entry);
  });
  Json entry = DescriptorToJson(manifest);
  entry[kAnnotations][kRefName] = std::string(reference);
  entry[kAnnotations][kNamedAt] = absl::FormatTime(absl::RFC3339_sec, absl::Now(), absl::UTCTimeZone());
  index[kManifests].push_back(std::move(entry));
  return WriteIndex(directory, lock, index);
}

absl::StatusOr<NamedImage> FindImage(const CacheDirectory& directory, absl::string_view reference) {
  ASSIGN_OR_RETURN(const Json index, ReadIndex(directory));
  const Json& entries = index[kManifests];
  for (auto entry = entries.rbegin(); entry != entries.rend(); ++entry) {
    if (RefName(*entry) == reference && !IsMissing(directory, *entry)) return ToNamedImage(*entry);
  }
  return absl::NotFoundError(absl::StrCat(directory.path(), ": no image ", reference));
}

absl::Status ForgetMissingImages(const CacheDirectory& directory, const LayoutLock& lock) {
  ASSIGN_OR_RETURN(Json index, ReadIndex(directory));
  if (!RemoveEntries(index, [&directory](const Json& entry) { return IsMissing(directory, entry); })) {
    return absl::OkStatus();
  }
  return WriteIndex(directory, lock, index);
}

}  // namespace sluice
