#include "registry/client/http_head.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"

namespace sluice {

bool HttpHead::Add(absl::string_view line) {
  bytes_ += line.size();
  if (bytes_ > kMaxBytes) return false;
  line = absl::StripAsciiWhitespace(line);
  if (absl::StartsWith(line, "HTTP/")) {
    fields_.clear();
  } else if (const size_t colon = line.find(':'); colon != line.npos) {
    fields_.emplace_back(absl::AsciiStrToLower(line.substr(0, colon)),
                         std::string(absl::StripAsciiWhitespace(line.substr(colon + 1))));
  }
  return true;
}

std::string HttpHead::Last(absl::string_view name) const {
  std::string last;
  for (const auto& [key, value] : fields_) {
    if (key == name) last = value;
  }
  return last;
}

std::vector<std::string> HttpHead::All(absl::string_view name) const {
  std::vector<std::string> values;
  for (const auto& [key, value] : fields_) {
    if (key == name) values.push_back(value);
  }
  return values;
}

}  // namespace sluice
