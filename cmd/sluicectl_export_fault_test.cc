// sluicectl export when something goes wrong: OUT is whole or absent, and nothing else is left.
#include <signal.h>
#include <sys/mount.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "cmd/sluicectl_export_fixture.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/random.h"

namespace sluice::testing {
namespace {

using Clock = std::chrono::steady_clock;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr int kMoments = 5;
const char* const kFormats[] = {"tar", "erofs", "ext4"};

// What no compression makes smaller.
std::string RandomBytes(size_t size) {
  Random random(1);
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random.Below(256));
  return bytes;
}

using SluicectlExportFaultTest = SluicectlExportFixture;

TEST_F(SluicectlExportFaultTest, AFlippedByteInAnyLayerIsRefused) {
  for (const BuiltLayer& layer : image_.layers) {
    const std::string path = layout_.BlobPath(layer.digest);
    const std::string good = Read(path);
    std::string bad = good;
    bad[bad.size() / 2] ^= 1;
    std::ofstream(path) << bad;
    for (const char* format : kFormats) {
      ExpectFailure(5, ExportArguments(format, work_.At("out"), {}, "example.com/app:1"), path);
    }
    // Nothing has been written to a pipe either.
    ExpectFailure(5, ExportArguments("tar", "-", {}, "example.com/app:1"), path);
    std::ofstream(path) << good;
  }
}

TEST_F(SluicectlExportFaultTest, AFullDiskLeavesNothing) {
  AddImage({{.tar = TarBuilder().File("random", RandomBytes(3 << 20)).Build()}}, "example.com/full:1");
  for (const char* format : kFormats) {
    for (const User user : {User::kRoot, User::kOrdinary}) {
      // Enough for nothing; for the tree, but not for the disk beside it.
      for (const int64_t bytes : {int64_t{1} << 20, int64_t{5} << 20}) {
        if (std::string(format) == "tar" && bytes > 3 << 20) continue;
        ASSERT_OK_AND_ASSIGN(const std::unique_ptr<FileMount> disk, FileMount::CreateTmpfs(bytes));
        const Outcome outcome =
            Sluicectl(ExportArguments(format, disk->path() + "/out", {}, "example.com/full:1"), user);
        // Where the tree fits it is mkfs that finds no room, and that says so in words only.
        EXPECT_EQ(outcome.code, bytes > 3 << 20 ? 1 : 6) << format << " " << bytes;
        EXPECT_THAT(outcome.err, HasSubstr("No space left on device")) << format << " " << bytes;
        EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
        EXPECT_THAT(NamesIn(disk->path()), IsEmpty());
      }
    }
  }
}

// Something that can't be run stands in its place, in a mount namespace of this process.
class HiddenProgram {
 public:
  explicit HiddenProgram(const std::string& path) : path_(std::filesystem::canonical(path)) {
    EXPECT_EQ(::mount("/dev/null", path_.c_str(), nullptr, MS_BIND, nullptr), 0);
  }
  ~HiddenProgram() { EXPECT_EQ(::umount2(path_.c_str(), MNT_DETACH), 0); }

 private:
  const std::string path_;
};

TEST_F(SluicectlExportFaultTest, AMissingProgramIsNamedWithItsPackage) {
  ASSERT_OK(FileMount::CreateTmpfs(1 << 20));  // enters the namespace
  const std::string out = work_.At("out");
  {
    const HiddenProgram mkfs("/usr/bin/mkfs.erofs");
    ExpectFailure(3, ExportArguments("erofs", out), "mkfs.erofs not found: apt-get install erofs-utils");
  }
  {
    const HiddenProgram mkfs("/usr/sbin/mkfs.ext4");
    ExpectFailure(3, ExportArguments("ext4", out), "mkfs.ext4 not found: apt-get install e2fsprogs");
  }
  {
    const HiddenProgram fakeroot("/usr/bin/fakeroot");
    ExpectFailure(3, ExportArguments("erofs", out), "fakeroot not found: apt-get install fakeroot", User::kOrdinary);
    EXPECT_EQ(Sluicectl(ExportArguments("erofs", out)).code, 0) << "root needs none";
    std::filesystem::remove(out);
  }
  const HiddenProgram setfattr("/usr/bin/setfattr");
  ExpectFailure(3, ExportArguments("erofs", out), "setfattr not found: apt-get install attr", User::kOrdinary);
  EXPECT_EQ(Sluicectl(ExportArguments("erofs", out, {}, "example.com/app:1"), User::kOrdinary).code, 0)
      << "nothing to set";
}

TEST_F(SluicectlExportFaultTest, AClosedPipeIsAnError) {
  const std::string command =
      absl::StrCat("{ ", Program(), " export example.com/odd:1 - --format tar --layout ", layout_.directory(), " 2>",
                   work_.At("err"), "; echo $? >", work_.At("code"), "; } | head -c 1 >/dev/null");
  ASSERT_EQ(::system(command.c_str()), 0);
  EXPECT_EQ(Read(work_.At("code")), "1\n");
  EXPECT_THAT(Read(work_.At("err")), HasSubstr("write(stdout): Broken pipe"));
}

// One of a few thousand files, so that there is something to interrupt.
class ExportInterruptedTest : public SluicectlExportFixture {
 protected:
  ExportInterruptedTest() {
    TarBuilder tar;
    for (int i = 0; i < 3000; ++i) {
      tar.File(absl::StrCat("file-", i), std::string(2000, static_cast<char>(i)), {.uid = 1});
    }
    AddImage({{.tar = tar.Build()}}, "example.com/many:1");
  }

  std::vector<std::string> Arguments(const std::string& format) const {
    return ExportArguments(format, out_, {}, "example.com/many:1");
  }
  // The time that an undisturbed call takes.
  Clock::duration Measure(const std::string& format, User user) const {
    const Clock::time_point start = Clock::now();
    const Outcome outcome = Sluicectl(Arguments(format), user);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    const Clock::duration taken = Clock::now() - start;
    std::filesystem::remove(out_);
    return taken;
  }
  // mkfs, fakeroot, faked of these tests: what has their directory on its command line or as its own.
  bool AnyLeftRunning() const {
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
      std::error_code error;
      if (!absl::StartsWith(std::filesystem::read_symlink(entry.path() / "cwd", error).string(), work_.path()) &&
          !absl::StrContains(Read(entry.path() / "cmdline"), work_.path())) {
        continue;
      }
      return true;
    }
    return false;
  }

  const std::string out_ = work_.At("out");
};

TEST_F(ExportInterruptedTest, ASignalAtAnyMomentLeavesNothing) {
  for (const char* format : kFormats) {
    for (const User user : {User::kRoot, User::kOrdinary}) {
      const Clock::duration whole = Measure(format, user);
      int interrupted = 0;
      for (int i = 0; i < kMoments; ++i) {
        SCOPED_TRACE(absl::StrCat(format, " ", i));
        const int signal = i % 2 == 0 ? SIGTERM : SIGINT;
        Process process(Arguments(format), user);
        std::this_thread::sleep_for(whole * i / kMoments);
        process.Signal(signal);
        const Outcome outcome = process.Wait();
        if (outcome.code == 0) {
          EXPECT_EQ(NamesIn(work_.path()), std::vector<std::string>{"out"});
          std::filesystem::remove(out_);
          continue;
        }
        ++interrupted;
        EXPECT_EQ(outcome.code, 128 + signal) << outcome.err;
        EXPECT_THAT(NamesIn(work_.path()), IsEmpty());
        EXPECT_FALSE(AnyLeftRunning());
      }
      EXPECT_GT(interrupted, 0) << format;
    }
  }
}

TEST_F(ExportInterruptedTest, AKillAtAnyMomentLeavesWhatTheNextCallTakesAway) {
  for (const char* format : kFormats) {
    for (const User user : {User::kRoot, User::kOrdinary}) {
      const Clock::duration whole = Measure(format, user);
      int midway = 0;
      for (int i = 1; i < kMoments; ++i) {
        SCOPED_TRACE(absl::StrCat(format, " ", i));
        Process process(Arguments(format), user);
        std::this_thread::sleep_for(whole * i / kMoments);
        process.Signal(SIGKILL);
        process.Wait();
        for (const std::string& name : NamesIn(work_.path())) {
          EXPECT_TRUE(name == "out" || absl::StartsWith(name, ".sluice-")) << name;
          midway += name == "out" ? 0 : 1;
        }
        // An OUT is a whole one: nobody has written anything there.
        if (std::filesystem::exists(out_)) {
          EXPECT_EQ(ListExport(format, out_).count("file-2999"), 1u);
          std::filesystem::remove(out_);
        }
        // fakeroot ends what it has begun before it goes.
        while (AnyLeftRunning()) std::this_thread::yield();
        const Outcome next = Sluicectl(Arguments(format), user);
        EXPECT_EQ(next.code, 0) << next.err;
        EXPECT_EQ(NamesIn(work_.path()), std::vector<std::string>{"out"});
        std::filesystem::remove(out_);
      }
      EXPECT_GT(midway, 0) << format << ": no moment in the middle was met";
    }
  }
}

}  // namespace
}  // namespace sluice::testing
