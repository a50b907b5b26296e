#include "registry/image_config.h"

#include "gtest/gtest.h"
#include "registry/json.h"
#include "tests/fuzz/fuzzing.h"

namespace sluice::testing {

SLUICE_FUZZ_TARGET(input) {
  const absl::StatusOr<ImageConfig> config = ParseImageConfig(input);
  ExpectGoodMessage(config.status());
  if (!config.ok()) return;

  const std::vector<Digest> chain_ids = ChainIds(config->diff_ids);
  ASSERT_EQ(chain_ids.size(), config->diff_ids.size());
  for (size_t i = 0; i < chain_ids.size(); ++i) {
    EXPECT_EQ(chain_ids[i], i == 0 ? config->diff_ids[0] : ChainId(chain_ids[i - 1], config->diff_ids[i]));
  }
  // What goes on to the runtime is a config itself, and says the same when it is read again.
  absl::StatusOr<Json> document = ParseJsonObject(config->metadata_json);
  ASSERT_TRUE(document.ok()) << document.status() << config->metadata_json;
  std::vector<std::string> diff_ids;
  for (const Digest& diff_id : config->diff_ids) diff_ids.push_back(diff_id.ToString());
  (*document)["rootfs"] = {{"type", "layers"}, {"diff_ids", diff_ids}};
  const absl::StatusOr<ImageConfig> again = ParseImageConfig(document->dump());
  ASSERT_TRUE(again.ok()) << again.status() << *document;
  EXPECT_EQ(again->metadata_json, config->metadata_json);
  EXPECT_EQ(again->diff_ids, config->diff_ids);
  EXPECT_EQ(again->platform.ToString(), config->platform.ToString());
}

}  // namespace sluice::testing
