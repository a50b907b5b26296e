#include "snapshotter/filter.h"

#include "gtest/gtest.h"
#include "snapshotter/containerd_labels.h"
#include "tests/fuzz/fuzzing.h"

namespace sluice::testing {
namespace {

// Snapshots of each kind, and one made of the input's own words.
std::vector<SnapshotInfo> Snapshots(const std::vector<std::string>& words) {
  SnapshotInfo own;
  own.kind = SnapshotKind::kCommitted;
  own.name = words.front();
  own.parent = words.back();
  for (const std::string& word : words) own.labels[word] = word;
  own.labels[kRefLabel] = words.front();
  return {{.name = "k8s.io/1/a", .kind = SnapshotKind::kActive, .labels = {{"a", "b"}, {"a.b/c", ""}}},
          {.name = "v", .parent = "c", .kind = SnapshotKind::kView},
          {.name = "c", .kind = SnapshotKind::kCommitted, .labels = {{kRefLabel, "sha256:0"}}},
          std::move(own)};
}

bool MatchesAny(const std::vector<std::string>& expressions, const SnapshotInfo& info) {
  for (const std::string& expression : expressions) {
    const absl::StatusOr<Filter> filter = Filter::Parse({expression});
    if (filter.ok() && filter->Matches(info)) return true;
  }
  return false;
}

// What the index is asked for must not hide a snapshot that passes.
void CheckRequiredLabel(const Filter& filter, const SnapshotInfo& info) {
  const std::optional<Filter::Label> required = filter.RequiredLabel();
  if (!required.has_value() || !filter.Matches(info)) return;
  const auto label = info.labels.find(required->key);
  ASSERT_NE(label, info.labels.end()) << info.name;
  EXPECT_EQ(label->second, required->value) << info.name;
}

}  // namespace

// The input: expressions, each ended by a NUL.
SLUICE_FUZZ_TARGET(input) {
  constexpr size_t kMostExpressions = 4;
  const std::vector<std::string> expressions = SplitInput(input, kMostExpressions);
  const absl::StatusOr<Filter> filter = Filter::Parse(expressions);
  ExpectGoodMessage(filter.status());
  bool all_parse = true;
  for (const std::string& expression : expressions) all_parse = all_parse && Filter::Parse({expression}).ok();
  EXPECT_EQ(filter.ok(), all_parse);
  if (!filter.ok()) return;
  for (const SnapshotInfo& info : Snapshots(expressions)) {
    EXPECT_EQ(filter->Matches(info), MatchesAny(expressions, info)) << info.name;
    CheckRequiredLabel(*filter, info);
  }
}

}  // namespace sluice::testing
