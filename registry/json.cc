#include "registry/json.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace sluice {
namespace {

constexpr int kMaxDepth = 64;
constexpr int kMaxValues = 500'000;

// Counts what the parser would build, before it builds it. Wrong JSON may be counted wrongly: the parser refuses it.
absl::Status CheckBounds(absl::string_view text) {
  int depth = 0;
  int values = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
      continue;
    }
    if (c == '"') in_string = true;
    if (c == ',' || c == '[' || c == '{') ++values;
    if (c == '[' || c == '{') ++depth;
    if (c == ']' || c == '}') --depth;
    if (depth > kMaxDepth) return absl::InvalidArgumentError(absl::StrCat("nested deeper than ", kMaxDepth));
    if (values > kMaxValues) return absl::InvalidArgumentError(absl::StrCat("more than ", kMaxValues, " values"));
  }
  return absl::OkStatus();
}

absl::Status WrongType(const char* name, absl::string_view wanted) {
  return absl::InvalidArgumentError(absl::StrCat("\"", name, "\" is not ", wanted));
}

// Null for an absent member and for a null.
const Json* Find(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

}  // namespace

absl::StatusOr<Json> ParseJsonObject(absl::string_view text) {
  RETURN_IF_ERROR(CheckBounds(text));
  Json json = Json::parse(text.begin(), text.end(), /*cb=*/nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return absl::InvalidArgumentError("not JSON");
  if (!json.is_object()) return absl::InvalidArgumentError("not a JSON object");
  return json;
}

absl::StatusOr<std::string> StringMember(const Json& object, const char* name) {
  const Json* member = Find(object, name);
  if (member == nullptr) return std::string();
  if (!member->is_string()) return WrongType(name, "a string");
  return member->get_ref<const std::string&>();
}

absl::StatusOr<std::vector<std::string>> StringListMember(const Json& object, const char* name) {
  std::vector<std::string> list;
  ASSIGN_OR_RETURN(const Json* member, ArrayMember(object, name));
  if (member == nullptr) return list;
  for (const Json& item : *member) {
    if (!item.is_string()) return WrongType(name, "a list of strings");
    list.push_back(item.get_ref<const std::string&>());
  }
  return list;
}

absl::StatusOr<std::map<std::string, std::string>> StringMapMember(const Json& object, const char* name) {
  std::map<std::string, std::string> map;
  ASSIGN_OR_RETURN(const Json* member, ObjectMember(object, name));
  if (member == nullptr) return map;
  for (const auto& item : member->items()) {
    if (!item.value().is_string()) return WrongType(name, "a map of strings");
    map[item.key()] = item.value().get_ref<const std::string&>();
  }
  return map;
}

absl::StatusOr<const Json*> ObjectMember(const Json& object, const char* name) {
  const Json* member = Find(object, name);
  if (member != nullptr && !member->is_object()) return WrongType(name, "an object");
  return member;
}

absl::StatusOr<const Json*> ArrayMember(const Json& object, const char* name) {
  const Json* member = Find(object, name);
  if (member != nullptr && !member->is_array()) return WrongType(name, "a list");
  return member;
}

}  // namespace sluice
