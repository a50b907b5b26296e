#include "snapshotter/root_probe.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>

#include <filesystem>

#include "base/unique_fd.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::StatusIs;
using testing::TempDir;

// Mounts of these tests are in a mount namespace of their own, which goes with the process.
class RootProbeTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    ASSERT_EQ(unshare(CLONE_NEWNS), 0) << "needs root";
    ASSERT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
  }
  void TearDown() override { umount2(dir_.At("m").c_str(), MNT_DETACH); }

  void Mount(const char* type, unsigned long flags, const std::string& options = "") {
    dir_.MakeDirectory("m");
    ASSERT_EQ(mount(type, dir_.At("m").c_str(), type, flags, options.c_str()), 0);
  }
  absl::StatusOr<RootProbeReport> Probe(const std::string& path) {
    const UniqueFd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    return ProbeRoot(fd.get(), path);
  }

  TempDir dir_;
};

TEST_F(RootProbeTest, TmpfsServesAndNothingIsLeft) {
  Mount("tmpfs", 0);
  ASSERT_OK_AND_ASSIGN(const RootProbeReport report, Probe(dir_.At("m")));
  EXPECT_THAT(report.warnings, IsEmpty());
  EXPECT_TRUE(std::filesystem::is_empty(dir_.At("m")));
  ASSERT_OK(Probe(dir_.At("m")));  // again
}

TEST_F(RootProbeTest, TheDiskServes) { EXPECT_OK(Probe(dir_.path())); }

TEST_F(RootProbeTest, NodevAndNosuidAreWarnedOfByName) {
  Mount("tmpfs", MS_NODEV | MS_NOSUID);
  ASSERT_OK_AND_ASSIGN(const RootProbeReport report, Probe(dir_.At("m")));
  EXPECT_THAT(report.warnings, ElementsAre(HasSubstr("nodev: devices"), HasSubstr("nosuid: setuid programs")));
}

TEST_F(RootProbeTest, NoexecIsWarnedOfByName) {
  Mount("tmpfs", MS_NOEXEC);
  ASSERT_OK_AND_ASSIGN(const RootProbeReport report, Probe(dir_.At("m")));
  EXPECT_THAT(report.warnings, ElementsAre(HasSubstr("noexec: programs")));
}

TEST_F(RootProbeTest, OverlayOnOverlayIsRefused) {
  for (const char* name : {"l", "u", "w"}) dir_.MakeDirectory(name);
  Mount("overlay", 0, "lowerdir=" + dir_.At("l") + ",upperdir=" + dir_.At("u") + ",workdir=" + dir_.At("w"));
  const absl::Status status = Probe(dir_.At("m")).status();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kFailedPrecondition, "root: " + dir_.At("m") + ": is on overlayfs"));
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kFailedPrecondition, "put the root on ext4"));
  EXPECT_TRUE(std::filesystem::is_empty(dir_.At("m")));
}

TEST_F(RootProbeTest, AFileSystemWithoutTrustedXattrsIsRefused) {
  Mount("ramfs", 0);
  EXPECT_THAT(Probe(dir_.At("m")), StatusIs(absl::StatusCode::kFailedPrecondition, "trusted.overlay.opaque"));
  EXPECT_TRUE(std::filesystem::is_empty(dir_.At("m")));
}

TEST_F(RootProbeTest, AReadOnlyRootIsRefused) {
  Mount("tmpfs", MS_RDONLY);
  EXPECT_THAT(Probe(dir_.At("m")), ::testing::Not(testing::IsOk()));
}

}  // namespace
}  // namespace sluice
