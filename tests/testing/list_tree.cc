// list_tree DIR [--diff DIR2] [--ignore PATH=ATTRIBUTE,…]…: lists a tree, or how two trees differ, for shell tests.
// Attributes: presence type mode owner mtime device target links xattrs content; PATH may be "*".
// Exit code: 0 listed or equal, 1 different, 2 an error.
#include <iostream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "tests/testing/tree_listing.h"

namespace sluice::testing {
namespace {

struct Arguments {
  std::string directory = {};
  std::string other = {};
  std::vector<Ignored> ignored = {};
};

absl::Status AddIgnored(absl::string_view text, std::vector<Ignored>& ignored) {
  const size_t equals = text.rfind('=');
  if (equals == absl::string_view::npos) return absl::InvalidArgumentError("--ignore needs PATH=ATTRIBUTE,...");
  for (const absl::string_view name : absl::StrSplit(text.substr(equals + 1), ',')) {
    ASSIGN_OR_RETURN(const Attribute attribute, ParseAttribute(name));
    ignored.push_back({std::string(text.substr(0, equals)), attribute});
  }
  return absl::OkStatus();
}

absl::StatusOr<Arguments> Parse(const std::vector<std::string>& words) {
  Arguments arguments;
  for (size_t i = 0; i < words.size(); ++i) {
    const bool takes_value = words[i] == "--diff" || words[i] == "--ignore";
    if (takes_value && i + 1 == words.size()) {
      return absl::InvalidArgumentError(absl::StrCat(words[i], " needs a value"));
    }
    if (words[i] == "--diff") {
      arguments.other = words[++i];
    } else if (words[i] == "--ignore") {
      RETURN_IF_ERROR(AddIgnored(words[++i], arguments.ignored));
    } else if (arguments.directory.empty()) {
      arguments.directory = words[i];
    } else {
      return absl::InvalidArgumentError(absl::StrCat("unexpected argument ", words[i]));
    }
  }
  if (arguments.directory.empty()) return absl::InvalidArgumentError("no directory given");
  return arguments;
}

absl::StatusOr<int> Run(const std::vector<std::string>& words) {
  ASSIGN_OR_RETURN(const Arguments arguments, Parse(words));
  ASSIGN_OR_RETURN(const TreeListing listing, ListTree(arguments.directory));
  if (arguments.other.empty()) {
    for (const auto& [path, entry] : listing) std::cout << FormatEntry(entry) << "\n";
    return 0;
  }
  ASSIGN_OR_RETURN(const TreeListing other, ListTree(arguments.other));
  const std::vector<std::string> messages = DiffListings(listing, other, arguments.ignored);
  for (const std::string& message : messages) std::cout << message << "\n";
  return messages.empty() ? 0 : 1;
}

}  // namespace
}  // namespace sluice::testing

int main(int argc, char** argv) {
  const absl::StatusOr<int> code = sluice::testing::Run({argv + 1, argv + argc});
  if (code.ok()) return *code;
  std::cerr << "list_tree: " << code.status().message() << "\n";
  return 2;
}
