#include "tests/unpack/guarded_root.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/tree_listing.h"

namespace sluice::testing {
namespace {

using ::testing::ElementsAreArray;

void FillOutside(const std::string& path) {
  EXPECT_EQ(::mkdir((path + "/dir").c_str(), 0755), 0);
  std::ofstream(path + "/secret") << "secret";
  std::ofstream(path + "/dir/inner") << "inner";
}

TreeListing ListOrFail(const std::string& path) {
  absl::StatusOr<TreeListing> listing = ListTree(path);
  EXPECT_OK(listing);
  return listing.ok() ? *std::move(listing) : TreeListing{};
}

// All that stands beside and above the root, and the place far away, as lines.
std::vector<std::string> Surroundings(const std::string& parent) {
  std::vector<std::string> lines;
  for (const std::string& directory : {absl::StrCat(parent, "/outside"), OutsidePath()}) {
    for (const auto& [path, entry] : ListOrFail(directory)) lines.push_back(FormatEntry(entry));
  }
  for (const auto& entry : std::filesystem::directory_iterator(parent)) lines.push_back(entry.path().string());
  struct stat attributes {};
  EXPECT_EQ(::stat(parent.c_str(), &attributes), 0);
  lines.push_back(absl::StrCat("above ", attributes.st_mode, " ", attributes.st_uid, ":", attributes.st_gid));
  return lines;
}

}  // namespace

const std::string& OutsidePath() {
  static const auto* const outside = [] {
    auto* dir = new TempDir;
    FillOutside(dir->path());
    return dir;
  }();
  static const struct Cleaner {
    ~Cleaner() { delete outside; }
  } cleaner;
  return outside->path();
}

GuardedRoot::GuardedRoot() : parent_(TempDir::Place::kMemory), path_(parent_.MakeDirectory("root")) {
  FillOutside(parent_.MakeDirectory("outside"));
  fd_.Reset(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  EXPECT_TRUE(fd_.valid());
  before_ = Surroundings(parent_.path());
}

void GuardedRoot::ExpectNothingOutsideTouched() const {
  EXPECT_THAT(Surroundings(parent_.path()), ElementsAreArray(before_));
}

}  // namespace sluice::testing
