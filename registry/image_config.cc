#include "registry/image_config.h"

#include <array>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "registry/json.h"

namespace sluice {
namespace {

constexpr std::array<const char*, 5> kStringFields = {"created", "author", "architecture", "os", "variant"};
constexpr std::array<const char*, 3> kRuntimeStrings = {"User", "WorkingDir", "StopSignal"};
constexpr std::array<const char*, 3> kRuntimeLists = {"Env", "Entrypoint", "Cmd"};
constexpr std::array<const char*, 2> kRuntimeSets = {"ExposedPorts", "Volumes"};

// The fields of "config" that a runtime needs, each as it stands, or an error naming the first of another type.
absl::StatusOr<Json> RuntimeFields(const Json& config) {
  for (const char* name : kRuntimeStrings) RETURN_IF_ERROR(StringMember(config, name).status());
  for (const char* name : kRuntimeLists) RETURN_IF_ERROR(StringListMember(config, name).status());
  for (const char* name : kRuntimeSets) RETURN_IF_ERROR(ObjectMember(config, name).status());
  RETURN_IF_ERROR(StringMapMember(config, "Labels").status());
  Json fields = Json::object();
  for (const char* name :
       {"User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "Labels", "StopSignal"}) {
    // A null says the same as no field at all.
    if (const auto field = config.find(name); field != config.end() && !field->is_null()) fields[name] = *field;
  }
  return fields;
}

absl::StatusOr<Json> Metadata(const Json& document) {
  Json metadata = Json::object();
  for (const char* name : kStringFields) {
    ASSIGN_OR_RETURN(std::string value, StringMember(document, name));
    if (!value.empty()) metadata[name] = std::move(value);
  }
  ASSIGN_OR_RETURN(const Json* config, ObjectMember(document, "config"));
  metadata["config"] = Json::object();
  if (config != nullptr) {
    absl::StatusOr<Json> fields = RuntimeFields(*config);
    if (!fields.ok()) return Annotate(fields.status(), "\"config\"");
    metadata["config"] = *std::move(fields);
  }
  return metadata;
}

absl::StatusOr<std::vector<Digest>> DiffIds(const Json& document) {
  ASSIGN_OR_RETURN(const Json* rootfs, ObjectMember(document, "rootfs"));
  if (rootfs == nullptr) return absl::InvalidArgumentError("\"rootfs\" is missing");
  ASSIGN_OR_RETURN(const std::string type, StringMember(*rootfs, "type"));
  if (!type.empty() && type != "layers") return absl::InvalidArgumentError("\"rootfs\": \"type\" is not \"layers\"");
  ASSIGN_OR_RETURN(const std::vector<std::string> texts, StringListMember(*rootfs, "diff_ids"));
  std::vector<Digest> diff_ids;
  diff_ids.reserve(texts.size());
  for (const std::string& text : texts) {
    absl::StatusOr<Digest> diff_id = Digest::Parse(text);
    if (!diff_id.ok())
      return Annotate(diff_id.status(), absl::StrCat("\"rootfs\": \"diff_ids\"[", diff_ids.size(), "]"));
    diff_ids.push_back(*diff_id);
  }
  return diff_ids;
}

absl::StatusOr<ImageConfig> Parse(absl::string_view json) {
  if (json.size() > static_cast<size_t>(kMaxConfigBytes)) return absl::InvalidArgumentError("too large");
  ASSIGN_OR_RETURN(const Json document, ParseJsonObject(json));
  ImageConfig config;
  ASSIGN_OR_RETURN(config.diff_ids, DiffIds(document));
  ASSIGN_OR_RETURN(config.platform.os, StringMember(document, "os"));
  ASSIGN_OR_RETURN(config.platform.architecture, StringMember(document, "architecture"));
  ASSIGN_OR_RETURN(config.platform.variant, StringMember(document, "variant"));
  ASSIGN_OR_RETURN(config.platform.os_version, StringMember(document, "os.version"));
  ASSIGN_OR_RETURN(config.platform.os_features, StringListMember(document, "os.features"));
  ASSIGN_OR_RETURN(const Json metadata, Metadata(document));
  config.metadata_json = metadata.dump(2) + "\n";
  return config;
}

}  // namespace

absl::StatusOr<ImageConfig> ParseImageConfig(absl::string_view json) {
  absl::StatusOr<ImageConfig> config = Parse(json);
  if (!config.ok()) return Annotate(config.status(), "image config");
  return config;
}

Digest ChainId(const Digest& parent, const Digest& diff_id) {
  return Digest::Of(absl::StrCat(parent.ToString(), " ", diff_id.ToString()));
}

std::vector<Digest> ChainIds(absl::Span<const Digest> diff_ids) {
  std::vector<Digest> chain_ids;
  chain_ids.reserve(diff_ids.size());
  for (const Digest& diff_id : diff_ids) {
    chain_ids.push_back(chain_ids.empty() ? diff_id : ChainId(chain_ids.back(), diff_id));
  }
  return chain_ids;
}

}  // namespace sluice
