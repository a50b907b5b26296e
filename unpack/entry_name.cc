#include "unpack/entry_name.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace sluice {

absl::StatusOr<std::string> NormalizeEntryName(absl::string_view name, int64_t max_depth) {
  if (name.find('\0') != absl::string_view::npos) {
    return absl::InvalidArgumentError(absl::StrCat("entry ", PrintableName(name), ": the name contains a NUL byte"));
  }
  std::string path;
  path.reserve(name.size());
  int64_t depth = 0;
  absl::string_view rest = name;
  while (!rest.empty()) {
    const size_t slash = rest.find('/');
    const absl::string_view component = rest.substr(0, slash);
    rest.remove_prefix(slash == absl::string_view::npos ? rest.size() : slash + 1);
    if (component.empty() || component == ".") continue;
    if (component == "..") {
      const size_t parent_end = path.rfind('/');
      path.resize(parent_end == std::string::npos ? 0 : parent_end);
      if (depth > 0) --depth;
      continue;
    }
    if (!path.empty()) path += '/';
    path.append(component.data(), component.size());
    if (++depth > max_depth) {
      return absl::InvalidArgumentError(
          absl::StrCat("entry ", PrintableName(name), ": more than ", max_depth, " path components (max_depth)"));
    }
  }
  return path;
}

std::pair<absl::string_view, absl::string_view> SplitPath(absl::string_view path) {
  const size_t slash = path.rfind('/');
  if (slash == absl::string_view::npos) return {absl::string_view(), path};
  return {path.substr(0, slash), path.substr(slash + 1)};
}

std::string JoinPath(absl::string_view directory, absl::string_view name) {
  return directory.empty() ? std::string(name) : absl::StrCat(directory, "/", name);
}

void PushComponents(absl::string_view path, std::vector<std::string>& rest) {
  const std::vector<absl::string_view> components = absl::StrSplit(path, '/', absl::SkipEmpty());
  for (auto it = components.rbegin(); it != components.rend(); ++it) {
    if (*it != ".") rest.emplace_back(*it);
  }
}

std::string PrintableName(absl::string_view name) {
  constexpr size_t kShown = 160;
  constexpr size_t kHalf = kShown / 2;
  if (name.size() <= kShown) return absl::CHexEscape(name);
  return absl::StrCat(absl::CHexEscape(name.substr(0, kHalf)), "...",
                      absl::CHexEscape(name.substr(name.size() - kHalf)));
}

}  // namespace sluice
