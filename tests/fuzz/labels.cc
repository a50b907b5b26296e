#include "snapshotter/labels.h"

#include <map>

#include "absl/strings/ascii.h"
#include "gtest/gtest.h"
#include "snapshotter/containerd_labels.h"
#include "snapshotter/fill/layer_hints.h"
#include "tests/fuzz/fuzzing.h"

namespace sluice::testing {
namespace {

constexpr const char* kNames[] = {kManifestDigestLabel, kLayerDigestLabel, kDiffIdLabel, kImageRefLabel};

// As a client that knows what the hints say would label.
Labels LabelsOf(const LayerHints& hints) {
  Labels labels;
  if (hints.manifest_digest.has_value()) labels[kNames[0]] = hints.manifest_digest->ToString();
  if (hints.layer_digest.has_value()) labels[kNames[1]] = hints.layer_digest->ToString();
  if (hints.diff_id.has_value()) labels[kNames[2]] = hints.diff_id->ToString();
  if (hints.image.has_value()) labels[kNames[3]] = hints.image->ToString();
  return labels;
}

}  // namespace

// The input: a name, its value, a name, …, each ended by a NUL. A name of one digit is one of kNames.
SLUICE_FUZZ_TARGET(input) {
  constexpr size_t kMostWords = 16;
  const std::vector<std::string> words = SplitInput(input, kMostWords);
  Labels labels;
  for (size_t i = 0; i + 1 < words.size(); i += 2) {
    const std::string& name = words[i];
    labels[name.size() == 1 && name[0] >= '0' && name[0] < '4' ? kNames[name[0] - '0'] : name] = words[i + 1];
  }
  const Labels hinted = LabelsOf(ParseLayerHints(labels));
  EXPECT_EQ(LabelsOf(ParseLayerHints(hinted)), hinted);

  for (const auto& [name, value] : labels) {
    EXPECT_EQ(LabelValue(labels, name.c_str()), labels[name.c_str()]);
    const std::string shown = ShownValue(value);
    EXPECT_LE(shown.size(), 2048u);
    for (const char c : shown) EXPECT_TRUE(absl::ascii_isprint(static_cast<unsigned char>(c))) << shown;
  }
}

}  // namespace sluice::testing
