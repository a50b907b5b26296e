// sluicectl unpack killed without a chance to clean up: what is left never looks like a finished tree, and the next
// call works or says in one line why not.
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cmd/sluicectl_fixture.h"
#include "cmd/staging.h"
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
constexpr int kFiles = 40;
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
  // The exit code: 0 when the call was faster than the signal.
  int SignalAfter(Clock::duration delay, int signal) const {
    Process process(Arguments());
    std::this_thread::sleep_for(delay);
    process.Signal(signal);
    return process.Wait().code;
  }
  void Forget() const {
    for (const std::string& name : NamesIn(work_.path())) std::filesystem::remove_all(work_.At(name));
  }
  bool HasStaging(const std::string& directory) const {
    const std::vector<std::string> names = NamesIn(directory);
    return std::any_of(names.begin(), names.end(), IsStagedName);
  }
  // In work_ the tree and the metadata, both whole, and what is marked as unfinished by its name.
  void ExpectOnlyMarkedLeftovers() const {
    for (const std::string& name : NamesIn(work_.path())) {
      EXPECT_TRUE(name == "root" || name == "m.json" || IsStagedName(name)) << name;
    }
    EXPECT_TRUE(!std::filesystem::exists(metadata_) || nlohmann::json::accept(Read(metadata_)));
  }
  void ExpectNextWorks() const {
    const Outcome next = Sluicectl(Arguments());
    EXPECT_EQ(next.code, 0) << next.err;
    EXPECT_TRUE(IsComplete());
    EXPECT_FALSE(HasStaging(work_.path())) << "left by the one that was killed";
    EXPECT_FALSE(HasStaging(root_));
  }
  void ExpectNextSaysNotEmpty() const {
    ExpectFailure(1, Arguments(), absl::StrCat(root_, ": not empty: an image goes into a new or an empty directory"));
  }

  const std::string root_ = work_.At("root");
  const std::string metadata_ = work_.At("m.json");
};

TEST_F(SluicectlKillTest, KilledANewDirectoryIsThereWholeOrNotAtAll) {
  const Clock::duration whole = Measure();
  int midway = 0;
  for (int i = 0; i < kMoments; ++i) {
    SCOPED_TRACE(i);
    SignalAfter(whole * i / kMoments, SIGKILL);
    ExpectOnlyMarkedLeftovers();
    if (std::filesystem::exists(root_)) {
      EXPECT_TRUE(IsComplete());
      ExpectNextSaysNotEmpty();
    } else {
      midway += HasStaging(work_.path()) ? 1 : 0;
      ExpectNextWorks();
    }
    Forget();
  }
  EXPECT_GT(midway, 0) << "no moment in the middle was met";
}

TEST_F(SluicectlKillTest, KilledAnEmptyDirectoryIsThereWholeOrAsGoodAsEmpty) {
  const Clock::duration whole = Measure();
  int midway = 0;
  for (int i = 0; i < kMoments; ++i) {
    SCOPED_TRACE(i);
    work_.MakeDirectory("root");
    SignalAfter(whole * i / kMoments, SIGKILL);
    ExpectOnlyMarkedLeftovers();
    const std::vector<std::string> names = NamesIn(root_);
    if (std::all_of(names.begin(), names.end(), IsStagedName)) {
      midway += names.empty() ? 0 : 1;
      ExpectNextWorks();
    } else {
      // Half of it only while it is moved up, which is a few renames; then the mark is still there.
      EXPECT_TRUE(IsComplete() || HasStaging(root_));
      ExpectNextSaysNotEmpty();
    }
    Forget();
  }
  EXPECT_GT(midway, 0) << "no moment in the middle was met";
}

TEST_F(SluicectlKillTest, TerminatedAtAnyMomentNothingIsLeft) {
  const Clock::duration whole = Measure();
  int terminated = 0;
  for (int i = 0; i < kMoments; ++i) {
    for (const bool in_place : {false, true}) {
      SCOPED_TRACE(::testing::Message() << i << (in_place ? " in place" : ""));
      if (in_place) work_.MakeDirectory("root");
      const int code = SignalAfter(whole * i / kMoments, SIGTERM);
      if (code == 0) {
        EXPECT_TRUE(IsComplete());
      } else {
        EXPECT_EQ(code, 128 + SIGTERM);
        ++terminated;
        EXPECT_EQ(NamesIn(work_.path()), in_place ? std::vector<std::string>{"root"} : std::vector<std::string>{});
        EXPECT_TRUE(!in_place || std::filesystem::is_empty(root_));
      }
      Forget();
    }
  }
  EXPECT_GT(terminated, 0) << "every call was faster than the signal";
}

}  // namespace
}  // namespace sluice
