// containerd's filter language over snapshots (containerd filters/parser.go, snapshots/storage/bolt.go):
//
//   selectors := selector ("," selector)*          all must match
//   selector  := fieldpath [operator value]        without an operator: the field is present
//   fieldpath := field ("." field)*                kind, name, parent, labels.<key>
//   field     := quoted | [A-Za-z0-9_]+
//   operator  := "==" | "!=" | "~="                ~= is an RE2 expression that matches anywhere
//   value     := quoted | [^\s,]+
//   quoted    := Go's "…" syntax; for ~= also /…/ and |…|
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "re2/re2.h"
#include "snapshotter/snapshot.h"

namespace sluice {

// A value; const methods may be called from any thread.
class Filter {
 public:
  // A snapshot passes if any of `expressions` matches; an empty list or an empty expression matches all.
  // InvalidArgument with the position for what the grammar does not know.
  static absl::StatusOr<Filter> Parse(absl::Span<const std::string> expressions);

  bool Matches(const SnapshotInfo& info) const;

  // A label that all snapshots have that pass, if there is one: an index serves it. containerd's metadata store asks
  // for `labels."containerd.io/snapshot.ref"==REF,parent=="PARENT"` after each Prepare that was answered AlreadyExists.
  struct Label {
    std::string key;
    std::string value;
  };
  std::optional<Label> RequiredLabel() const;

 private:
  friend class FilterParser;

  enum class Operator { kPresent, kEqual, kNotEqual, kMatches };
  struct Selector {
    std::vector<std::string> field_path;
    Operator op = Operator::kPresent;
    std::string value;
    std::shared_ptr<const RE2> expression;  // of kMatches

    bool Matches(const SnapshotInfo& info) const;
  };

  std::vector<std::vector<Selector>> alternatives_;
};

}  // namespace sluice
