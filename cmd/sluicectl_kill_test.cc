// sluicectl unpack killed without a chance to clean up: what is left never looks like a finished tree, and the next
// call works or says in one line why not.
#include <signal.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "cmd/sluicectl_fixture.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace sluice {
namespace {

using Clock = std::chrono::steady_clock;
using testing::NamesIn;
using testing::Outcome;
using testing::Process;
using testing::Read;
using testing::Sluicectl;

constexpr int kMoments = 20;
constexpr int kLayers = 3;
constexpr int kFiles = 100;
constexpr size_t kFileBytes = 50'000;

std::string FileOf(int layer, int file) { return absl::StrCat("d", layer, "/", file); }

class SluicectlKillTest : public testing::SluicectlFixture {
 protected:
  SluicectlKillTest() {
    testing::ImageSpec spec;
    for (int layer = 0; layer < kLayers; ++layer) {
      testing::TarBuilder tar;
      tar.Directory(absl::StrCat("d", layer));
      for (int file = 0; file < kFiles; ++file) tar.File(FileOf(layer, file), std::string(kFileBytes, 'x'));
      spec.layers.push_back({.tar = tar.Build()});
    }
    layout_.AddImage(spec, "example.com/big:1");
  }

  std::vector<std::string> Arguments() const {
    return {"unpack", "example.com/big:1", root_, "--layout", layout_.directory(), "--metadata", metadata_};
  }
  bool IsComplete() const {
    for (int layer = 0; layer < kLayers; ++layer) {
      for (int file = 0; file < kFiles; ++file) {
        const std::string path = absl::StrCat(root_, "/", FileOf(layer, file));
        if (!std::filesystem::exists(path) || std::filesystem::file_size(path) != kFileBytes) return false;
      }
    }
    return true;
  }
  // The time that an undisturbed call takes.
  Clock::duration Measure() const {
    const Clock::time_point start = Clock::now();
    const Outcome outcome = Sluicectl(Arguments());
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_TRUE(IsComplete());
    const Clock::duration taken = Clock::now() - start;
    Forget();
    return taken;
  }
  // False when the call was faster than the signal.
  bool KillAfter(Clock::duration delay) const {
    Process process(Arguments());
    std::this_thread::sleep_for(delay);
    process.Signal(SIGKILL);
    return process.Wait().code == 128 + SIGKILL;
  }
  void Forget() const {
    for (const std::string& name : NamesIn(work_.path())) std::filesystem::remove_all(work_.At(name));
  }
  // Beside the tree and the metadata, only what is marked as unfinished by its name.
  void ExpectOnlyMarkedLeftovers() const {
    for (const std::string& name : NamesIn(work_.path())) {
      EXPECT_TRUE(name == "root" || name == "m.json" || absl::StartsWith(name, ".sluice-")) << name;
    }
    EXPECT_TRUE(!std::filesystem::exists(metadata_) || nlohmann::json::accept(Read(metadata_)));
  }
  void ExpectNextWorks() const {
    const Outcome next = Sluicectl(Arguments());
    EXPECT_EQ(next.code, 0) << next.err;
    EXPECT_TRUE(IsComplete());
  }
  void ExpectNextSaysNotEmpty() const {
    ExpectFailure(Arguments(), absl::StrCat(root_, ": not empty: an image goes into a new or an empty directory"));
  }

  const std::string root_ = work_.At("root");
  const std::string metadata_ = work_.At("m.json");
};

TEST_F(SluicectlKillTest, ANewDirectoryIsThereWholeOrNotAtAll) {
  const Clock::duration whole = Measure();
  int midway = 0;
  for (int i = 0; i < kMoments; ++i) {
    SCOPED_TRACE(i);
    KillAfter(whole * i / kMoments);
    ExpectOnlyMarkedLeftovers();
    if (std::filesystem::exists(root_)) {
      EXPECT_TRUE(IsComplete());
      ExpectNextSaysNotEmpty();
    } else {
      midway += NamesIn(work_.path()).empty() ? 0 : 1;
      ExpectNextWorks();
    }
    Forget();
  }
  EXPECT_GT(midway, 0) << "no moment in the middle was met";
}

TEST_F(SluicectlKillTest, AnEmptyDirectoryIsEmptyOrRefusedNextTime) {
  const Clock::duration whole = Measure();
  int midway = 0;
  for (int i = 0; i < kMoments; ++i) {
    SCOPED_TRACE(i);
    work_.MakeDirectory("root");
    const bool killed = KillAfter(whole * i / kMoments);
    ExpectOnlyMarkedLeftovers();
    if (std::filesystem::is_empty(root_)) {
      ExpectNextWorks();
    } else {
      midway += killed && !IsComplete() ? 1 : 0;
      ExpectNextSaysNotEmpty();
    }
    Forget();
  }
  EXPECT_GT(midway, 0) << "no moment in the middle was met";
}

}  // namespace
}  // namespace sluice
