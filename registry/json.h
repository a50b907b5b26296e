// JSON from outside: parsed without exceptions, within bounds, and read by type.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json.hpp"

namespace sluice {

// Not ordered_json: that one looks members up by linear search, while parsing too.
using Json = nlohmann::json;

// `text` as a JSON object. InvalidArgument for what is not JSON (UTF-8, RFC 8259), not an object, nested deeper than 64
// or made of more than 500,000 values: a parsed value takes some 50 bytes, whatever it took in the text.
absl::StatusOr<Json> ParseJsonObject(absl::string_view text);

// Members of `object` by type. An absent member or a null is the type's empty value; any other type is InvalidArgument
// naming the member.
absl::StatusOr<std::string> StringMember(const Json& object, const char* name);
absl::StatusOr<std::vector<std::string>> StringListMember(const Json& object, const char* name);
absl::StatusOr<std::map<std::string, std::string>> StringMapMember(const Json& object, const char* name);
// The member itself, which is an object or an array; null when absent.
absl::StatusOr<const Json*> ObjectMember(const Json& object, const char* name);
absl::StatusOr<const Json*> ArrayMember(const Json& object, const char* name);

}  // namespace sluice
