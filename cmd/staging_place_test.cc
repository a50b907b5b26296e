#include "cmd/staging_place.h"

#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace sluice {
namespace {

using Kind = StagingPlace::Kind;
using ::testing::UnorderedElementsAre;

class StagingPlaceTest : public ::testing::Test {
 protected:
  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(dir_.path())) names.push_back(entry.path().filename());
    return names;
  }
  absl::StatusOr<StagingPlace> Make(Kind kind) const { return MakeStagingPlace(dir_.fd(), dir_.path(), kind); }

  testing::TempDir dir_;
};

TEST_F(StagingPlaceTest, IsOfTheKindThatIsAskedForAndOurs) {
  for (const Kind kind : {Kind::kDirectory, Kind::kFile}) {
    ASSERT_OK_AND_ASSIGN(const StagingPlace place, Make(kind));
    struct stat attributes = {};
    ASSERT_EQ(fstat(place.fd.get(), &attributes), 0);
    EXPECT_EQ(attributes.st_mode, kind == Kind::kFile ? S_IFREG | 0600 : S_IFDIR | 0700);
    EXPECT_TRUE(std::filesystem::exists(dir_.At(place.name)));
  }
}

TEST_F(StagingPlaceTest, TakesAwayWhatIsLeftOfTheKilledAndNothingElse) {
  std::filesystem::create_directories(dir_.At(".sluice-aaaaaa/closed/deep"));
  std::filesystem::permissions(dir_.At(".sluice-aaaaaa/closed"), std::filesystem::perms::none);
  for (const char* name : {".sluice-bbbbb1", ".sluice-bbbbb", ".sluice-bbbbbbb", ".sluice-bb_bbb", ".other-aaaaaa"}) {
    std::ofstream(dir_.At(name)) << "x";
  }
  ASSERT_EQ(symlink("/", dir_.At(".sluice-link01").c_str()), 0);
  ASSERT_EQ(mkfifo(dir_.At(".sluice-fifo01").c_str(), 0600), 0);
  ASSERT_OK_AND_ASSIGN(const StagingPlace place, Make(Kind::kFile));
  EXPECT_THAT(Names(), UnorderedElementsAre(place.name, ".sluice-bbbbb", ".sluice-bbbbbbb", ".sluice-bb_bbb",
                                            ".other-aaaaaa", ".sluice-link01", ".sluice-fifo01"));
}

TEST_F(StagingPlaceTest, WhatIsInTheMakingStays) {
  ASSERT_OK_AND_ASSIGN(const StagingPlace directory, Make(Kind::kDirectory));
  ASSERT_OK_AND_ASSIGN(const StagingPlace file, Make(Kind::kFile));
  {
    ASSERT_OK_AND_ASSIGN(const StagingPlace third, Make(Kind::kDirectory));
    EXPECT_THAT(Names(), UnorderedElementsAre(directory.name, file.name, third.name));
  }
  ASSERT_OK_AND_ASSIGN(const StagingPlace fourth, Make(Kind::kDirectory));
  EXPECT_THAT(Names(), UnorderedElementsAre(directory.name, file.name, fourth.name));
}

}  // namespace
}  // namespace sluice
