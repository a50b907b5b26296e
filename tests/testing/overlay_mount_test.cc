#include "tests/testing/overlay_mount.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <fstream>
#include <iterator>
#include <string>

#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/tree_listing.h"

namespace sluice::testing {
namespace {

std::string MountTable() {
  std::ifstream file("/proc/self/mountinfo");
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

TEST(OverlayMountTest, UpperHidesLowerAndNothingStays) {
  const TempDir dir(TempDir::Place::kMemory);
  const std::string lower = dir.MakeDirectory("lower");
  const std::string upper = dir.MakeDirectory("upper");
  std::ofstream(lower + "/gone") << "1";
  std::ofstream(lower + "/kept") << "2";
  ASSERT_EQ(::mknod((upper + "/gone").c_str(), S_IFCHR, makedev(0, 0)), 0);
  std::string path;
  {
    ASSERT_OK_AND_ASSIGN(const auto mount, OverlayMount::Create({upper, lower}));
    path = mount->path();
    EXPECT_NE(MountTable().find(path), std::string::npos);
    ASSERT_OK_AND_ASSIGN(const TreeListing listing, ListTree(path));
    EXPECT_EQ(listing.count("gone"), 0u);
    EXPECT_EQ(listing.count("kept"), 1u);
  }
  EXPECT_EQ(MountTable().find(path), std::string::npos);
}

TEST(OverlayMountTest, OneDirectoryIsABindMount) {
  const TempDir dir(TempDir::Place::kMemory);
  std::ofstream(dir.At("file")) << "1";
  ASSERT_OK_AND_ASSIGN(const auto mount, OverlayMount::Create({dir.path()}));
  ASSERT_OK_AND_ASSIGN(const TreeListing listing, ListTree(mount->path()));
  EXPECT_EQ(listing.count("file"), 1u);
}

TEST(OverlayMountTest, BadLowerIsAnError) {
  const TempDir dir(TempDir::Place::kMemory);
  EXPECT_THAT(OverlayMount::Create({dir.path(), "/nonexistent"}), StatusIs(absl::StatusCode::kNotFound, "mount("));
  EXPECT_THAT(OverlayMount::Create({}), StatusIs(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace sluice::testing
