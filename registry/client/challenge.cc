#include "registry/client/challenge.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace sluice {
namespace {

bool IsTokenCharacter(char c) {
  return absl::ascii_isalnum(c) || (c != '\0' && absl::StrContains("!#$%&'*+-.^_`|~", c));
}
bool IsSpace(char c) { return c == ' ' || c == '\t'; }

class Parser {
 public:
  Parser(absl::string_view text, std::vector<Challenge>& challenges) : text_(text), challenges_(challenges) {}

  void Run() {
    while (!text_.empty()) {
      const std::string word = absl::AsciiStrToLower(Take(IsTokenCharacter));
      if (word.empty()) {
        // A comma, a space, or something that has no business here.
        text_.remove_prefix(1);
        continue;
      }
      const absl::string_view after_word = text_;
      Take(IsSpace);
      if (IsParameter()) {
        text_.remove_prefix(1);
        Take(IsSpace);
        AddParameter(word, TakeValue());
        continue;
      }
      text_ = after_word;
      // A scheme stands alone or before a space; what doesn't is the credentials form (token68) of the scheme before.
      if (text_.empty() || IsSpace(text_[0]) || text_[0] == ',') {
        challenges_.push_back({word, {}});
        in_challenge_ = true;
      } else {
        Take([](char c) { return c != ',' && !IsSpace(c); });
      }
    }
  }

 private:
  template <typename Predicate>
  absl::string_view Take(Predicate predicate) {
    const auto end = std::find_if_not(text_.begin(), text_.end(), predicate);
    const absl::string_view taken = text_.substr(0, static_cast<size_t>(end - text_.begin()));
    text_.remove_prefix(taken.size());
    return taken;
  }

  // "name=value", where "name=" and "name==" are the end of a token68.
  bool IsParameter() const {
    if (!in_challenge_ || text_.size() < 2 || text_[0] != '=') return false;
    return text_[1] != '=' && text_[1] != ',';
  }

  std::string TakeValue() {
    if (text_.empty() || text_[0] != '"') return std::string(Take(IsTokenCharacter));
    std::string value;
    size_t i = 1;
    for (; i < text_.size() && text_[i] != '"'; ++i) {
      if (text_[i] == '\\' && i + 1 < text_.size()) ++i;
      value += text_[i];
    }
    text_.remove_prefix(std::min(i + 1, text_.size()));
    return value;
  }

  void AddParameter(const std::string& name, const std::string& value) {
    const auto [place, is_new] = challenges_.back().parameters.emplace(name, value);
    if (!is_new && name == "scope") absl::StrAppend(&place->second, " ", value);
  }

  absl::string_view text_;
  std::vector<Challenge>& challenges_;
  bool in_challenge_ = false;  // of this header
};

}  // namespace

std::vector<Challenge> ParseChallenges(absl::Span<const std::string> headers) {
  std::vector<Challenge> challenges;
  for (const std::string& header : headers) Parser(header, challenges).Run();
  return challenges;
}

}  // namespace sluice
