#include "cmd/doctor/store_probe.h"

#include <filesystem>
#include <fstream>

#include "gtest/gtest.h"
#include "tests/testing/oci_layout_builder.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace sluice {
namespace {

using absl::StatusCode;
using testing::StatusIs;

constexpr StoreKind kKinds[] = {StoreKind::kOciLayout, StoreKind::kZot, StoreKind::kDistribution};

TEST(StoreProbeTest, EachKindByItsMarks) {
  const testing::TempDir dir;
  const std::string layout = dir.MakeDirectory("layout");
  testing::OciLayoutBuilder(layout).AddImage({}, "app:1");
  const std::string zot = dir.MakeDirectory("zot");
  std::filesystem::create_directories(zot + "/team/app/blobs/sha256");
  std::ofstream(zot + "/team/app/index.json") << "{}";
  const std::string distribution = dir.MakeDirectory("distribution");
  std::filesystem::create_directories(distribution + "/docker/registry/v2/blobs");
  EXPECT_OK(ProbeStore(StoreKind::kOciLayout, layout));
  EXPECT_OK(ProbeStore(StoreKind::kZot, zot));
  EXPECT_OK(ProbeStore(StoreKind::kDistribution, distribution));
  EXPECT_THAT(ProbeStore(StoreKind::kOciLayout, zot), StatusIs(StatusCode::kFailedPrecondition, "has no oci-layout"));
  EXPECT_THAT(ProbeStore(StoreKind::kZot, distribution),
              StatusIs(StatusCode::kFailedPrecondition, "has no repository"));
  EXPECT_THAT(ProbeStore(StoreKind::kDistribution, layout),
              StatusIs(StatusCode::kFailedPrecondition, "has no docker/registry/v2"));
}

TEST(StoreProbeTest, NobodyHasPushedYet) {
  const testing::TempDir dir;
  for (const StoreKind kind : kKinds) EXPECT_OK(ProbeStore(kind, dir.path()));
}

TEST(StoreProbeTest, NoDirectory) {
  const testing::TempDir dir;
  std::ofstream(dir.At("file")) << "x";
  for (const StoreKind kind : kKinds) {
    EXPECT_THAT(ProbeStore(kind, dir.At("absent")), StatusIs(StatusCode::kNotFound));
    EXPECT_THAT(ProbeStore(kind, dir.At("file")), StatusIs(StatusCode::kFailedPrecondition, "is no directory"));
  }
}

}  // namespace
}  // namespace sluice
