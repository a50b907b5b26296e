#include "snapshotter/filter.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "snapshotter/containerd_labels.h"
#include "snapshotter/filter_scanner.h"

namespace sluice {
namespace {

// Bounds a regular expression's memory, whatever a client sends.
constexpr int64_t kMaxExpressionMemory = int64_t{1} << 20;

// The label that a field is. Its own dots may be written unquoted.
std::optional<std::string> LabelKey(const std::vector<std::string>& path) {
  if (path[0] != "labels") return std::nullopt;
  return absl::StrJoin(path.begin() + 1, path.end(), ".");
}

// The field's value; nothing if the snapshot has no such field.
std::optional<std::string> FieldValue(const SnapshotInfo& info, const std::vector<std::string>& path) {
  // What is below these fields is not looked at.
  if (path[0] == "kind") return std::string(KindName(info.kind));
  if (path[0] == "name") return info.name;
  if (path[0] == "parent") return info.parent;
  if (const std::optional<std::string> key = LabelKey(path)) {
    const auto label = info.labels.find(*key);
    if (label != info.labels.end()) return label->second;
  }
  return std::nullopt;
}

}  // namespace

// Recursive descent over one expression.
class FilterParser {
 public:
  explicit FilterParser(absl::string_view text) : scanner_(text) {}

  absl::StatusOr<std::vector<Filter::Selector>> Parse() {
    std::vector<Filter::Selector> selectors;
    while (true) {
      ASSIGN_OR_RETURN(Filter::Selector selector, ParseSelector());
      selectors.push_back(std::move(selector));
      if (scanner_.AtEnd()) return selectors;
      if (scanner_.Peek() != ',') return scanner_.Error("unexpected input");
      scanner_.Skip();
    }
  }

 private:
  absl::StatusOr<Filter::Selector> ParseSelector() {
    Filter::Selector selector;
    while (true) {
      ASSIGN_OR_RETURN(std::string field, scanner_.Field());
      selector.field_path.push_back(std::move(field));
      if (scanner_.Peek() != '.') break;
      scanner_.Skip();
    }
    if (scanner_.AtEnd() || scanner_.Peek() == ',') return selector;

    ASSIGN_OR_RETURN(const std::string op, scanner_.Operator());
    if (op == "==") {
      selector.op = Filter::Operator::kEqual;
    } else if (op == "!=") {
      selector.op = Filter::Operator::kNotEqual;
    } else if (op == "~=") {
      selector.op = Filter::Operator::kMatches;
    } else {
      return scanner_.Error("expected one of == != ~=");
    }
    const bool matches = selector.op == Filter::Operator::kMatches;
    ASSIGN_OR_RETURN(selector.value, scanner_.Value(/*alternative_quotes=*/matches));
    if (matches) RETURN_IF_ERROR(CompileExpression(selector));
    return selector;
  }

  absl::Status CompileExpression(Filter::Selector& selector) {
    RE2::Options options(RE2::Quiet);
    options.set_max_mem(kMaxExpressionMemory);
    auto expression = std::make_shared<RE2>(selector.value, options);
    if (!expression->ok()) return scanner_.Error(absl::StrCat("regular expression: ", expression->error()));
    selector.expression = std::move(expression);
    return absl::OkStatus();
  }

  FilterScanner scanner_;
};

absl::StatusOr<Filter> Filter::Parse(absl::Span<const std::string> expressions) {
  Filter filter;
  for (const std::string& expression : expressions) {
    std::vector<Selector> selectors;
    if (!expression.empty()) {
      ASSIGN_OR_RETURN(selectors, FilterParser(expression).Parse());
    }
    filter.alternatives_.push_back(std::move(selectors));
  }
  return filter;
}

bool Filter::Selector::Matches(const SnapshotInfo& info) const {
  const std::optional<std::string> field = FieldValue(info, field_path);
  switch (op) {
    case Operator::kPresent:
      return field.has_value();
    case Operator::kEqual:
      return field == value;
    // For these an absent field is an empty one.
    case Operator::kNotEqual:
      return field.value_or("") != value;
    case Operator::kMatches:
      return RE2::PartialMatch(field.value_or(""), *expression);
  }
  return false;
}

bool Filter::Matches(const SnapshotInfo& info) const {
  if (alternatives_.empty()) return true;
  for (const std::vector<Selector>& selectors : alternatives_) {
    bool all = true;
    for (const Selector& selector : selectors) all = all && selector.Matches(info);
    if (all) return true;
  }
  return false;
}

std::optional<Filter::Label> Filter::RequiredLabel() const {
  if (alternatives_.size() != 1) return std::nullopt;
  for (const Selector& selector : alternatives_[0]) {
    if (selector.op != Operator::kEqual) continue;
    if (const std::optional<std::string> key = LabelKey(selector.field_path)) return Label{*key, selector.value};
  }
  return std::nullopt;
}

}  // namespace sluice
