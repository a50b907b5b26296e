// Layers that aim outside their root: either a name is clamped at the root, as a container would see it, or the layer
// is refused. Nothing beside the root is touched in any case; the guarded root checks that.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/testing/tar_builder.h"
#include "tests/unpack/unpack_case.h"

namespace sluice::testing {
namespace {

using Tar = TarBuilder;

// The place far away, as a path below the root: "tmp/sluice-a1B2c3".
std::string Inside() { return OutsidePath().substr(1); }

// The lines of the directories that `path` implies.
std::vector<std::string> Implied(const std::string& path) {
  std::vector<std::string> lines;
  for (size_t slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1)) {
    lines.push_back(absl::StrCat(path.substr(0, slash), " d0755 @0"));
  }
  lines.push_back(absl::StrCat(path, " d0755 @0"));
  return lines;
}

std::vector<std::string> With(std::vector<std::string> lines, const std::vector<std::string>& more) {
  lines.insert(lines.end(), more.begin(), more.end());
  std::sort(lines.begin(), lines.end());
  return lines;
}

std::vector<UnpackCase> Cases() {
  const std::string out = OutsidePath();
  const std::string in = Inside();
  return {
      {"AbsoluteNameIsBelowTheRoot",
       {Tar().File(out + "/secret", "forged").Build()},
       With(Implied(in), {absl::StrCat(in, R"(/secret -0644 "forged")")})},
      {"DotDotNamesAreClamped",
       {Tar().File("../outside/secret", "forged").File("a/../../../outside/dir/inner", "forged").Build()},
       {"outside d0755 @0", "outside/dir d0755 @0", R"(outside/dir/inner -0644 "forged")",
        R"(outside/secret -0644 "forged")"}},
      {"WriteThroughAnAbsoluteSymlink",
       {Tar().Symlink("l", out).File("l/secret", "forged").Build()},
       With(Implied(in), {absl::StrCat(in, R"(/secret -0644 "forged")"), absl::StrCat("l l0777 -> ", out)})},
      {"WriteThroughAnAbsoluteSymlinkOfALowerLayer",
       {Tar().Symlink("l", out).Build(), Tar().File("l/secret", "forged").Build()},
       With(Implied(in), {absl::StrCat(in, R"(/secret -0644 "forged")"), absl::StrCat("l l0777 -> ", out)})},
      {"WriteThroughADotDotSymlink",
       {Tar().Symlink("l", "../outside").File("l/secret", "forged").Build()},
       {"l l0777 -> ../outside", "outside d0755 @0", R"(outside/secret -0644 "forged")"}},
      {"WriteThroughADotDotSymlinkOfALowerLayer",
       {Tar().Symlink("l", "../outside").Build(), Tar().File("l/secret", "forged").Build()},
       {"l l0777 -> ../outside", "outside d0755 @0", R"(outside/secret -0644 "forged")"}},
      {"WriteOverASymlinkToAFileReplacesTheSymlink",
       {Tar().Symlink("l", out + "/secret").File("l", "forged").Build()},
       {R"(l -0644 "forged")"}},
      {"WriteOverALowerSymlinkToAFileReplacesTheSymlink",
       {Tar().Symlink("l", "../outside/secret").Build(), Tar().File("l", "forged").Build()},
       {R"(l -0644 "forged")"}},
      {"ModeAndOwnerOfASymlinkStayOnIt",
       {Tar().Symlink("l", out + "/secret", {.mode = 0777, .uid = 5}).Build()},
       {absl::StrCat("l l0777 5:0 -> ", out, "/secret")}},
      // The directory entry replaces the link: chmod and chown hit the new directory.
      {"DirectoryEntryOverASymlinkOutside",
       {Tar().Symlink("l", out + "/dir").Directory("l", {.mode = 0700, .uid = 5}).Build()},
       {"l d0700 5:0"}},
      {"DirectoryEntryOverALowerSymlinkOutside",
       {Tar().Symlink("l", "../outside/dir").Build(), Tar().Directory("l", {.mode = 0700, .uid = 5}).Build()},
       {"l d0700 5:0"}},
      {"DirectoryEntryOfTheRootThroughDotDot",
       {Tar().Directory("../", {.mode = 0000, .uid = 5}).File("f").Build()},
       {"f -0644"}},
      {"WhiteoutThroughASymlinkOutside",
       {Tar().Symlink("l", out).Symlink("m", "../outside").Build(),
        Tar().Whiteout("l/secret").Whiteout("m/secret").Build()},
       {absl::StrCat("l l0777 -> ", out), "m l0777 -> ../outside"}},
      // The mark is an entry of the directory, which therefore is there: inside the root.
      {"OpaqueThroughASymlinkOutside",
       {Tar().Symlink("l", out).Symlink("m", "../outside").Build(), Tar().Opaque("l").Opaque("m").Build()},
       {absl::StrCat("l l0777 -> ", out), "m l0777 -> ../outside", "outside d0755 @0", "tmp d0755 @0",
        absl::StrCat(out.substr(1), " d0755 @0")}},
      {"WhiteoutOfTheSymlinkItself", {Tar().Symlink("l", out + "/dir").Build(), Tar().Whiteout("l").Build()}, {}},
      {"DirectoryTimesAreNotSetThroughALaterSymlink",
       {Tar().Directory("d", {.mtime = 1}).Symlink("d", out + "/dir").Build()},
       {absl::StrCat("d l0777 -> ", out, "/dir")}},
      {"HardLinkToASymlinkOutsideIsTheSymlink",
       {Tar().Symlink("l", out + "/secret").HardLink("h", "l", {.mode = 0777}).File("h", "forged").Build()},
       {R"(h -0644 "forged")", absl::StrCat("l l0777 -> ", out, "/secret")}},
      {"MagicLinksAreOrdinaryLinks",
       {Tar().Symlink("l", "/proc/self/cwd").File("l/x", "1").Build()},
       {"l l0777 -> /proc/self/cwd", "proc d0755 @0", "proc/self d0755 @0", "proc/self/cwd d0755 @0",
        R"(proc/self/cwd/x -0644 "1")"}},
      {"DeepDotDotInLinkTargets",
       {Tar().Directory("a").Directory("a/b").Symlink("a/b/l", "../../../../../../../../etc").File("a/b/l/x").Build()},
       {"a d0755", "a/b d0755", "a/b/l l0777 -> ../../../../../../../../etc", "etc d0755 @0", "etc/x -0644"}},
  };
}

class ConfinementTest : public ::testing::TestWithParam<UnpackCase> {};
TEST_P(ConfinementTest, TreeIs) { CheckUnpacks(GetParam()); }
INSTANTIATE_TEST_SUITE_P(Confinement, ConfinementTest, ::testing::ValuesIn(Cases()), CaseName());

std::vector<RefusalCase> Refusals() {
  const auto code = absl::StatusCode::kInvalidArgument;
  const std::string out = OutsidePath();
  return {
      {"HardLinkToAFileOutside", {Tar().HardLink("h", out + "/secret").Build()}, code, {"entry h", "secret"}},
      {"HardLinkToAFileOutsideByDotDot",
       {Tar().HardLink("h", "../outside/secret").Build()},
       code,
       {"entry h", "outside/secret"}},
      {"HardLinkThroughASymlinkOutside",
       {Tar().Symlink("l", out).HardLink("h", "l/secret").Build()},
       code,
       {"entry h", "l/secret"}},
      {"HardLinkThroughALowerSymlinkOutside",
       {Tar().Symlink("l", "../outside").Build(), Tar().HardLink("h", "l/secret").Build()},
       code,
       {"entry h", "l/secret"}},
      // CVE-2021-29136: the root may only be a directory.
      {"RootAsASymlink", {Tar().Symlink("/.", out).File("secret", "forged").Build()}, code, {"root"}},
      {"RootAsASymlinkByDotDot", {Tar().Symlink("a/..", "../outside").File("secret").Build()}, code, {"root"}},
      {"RootAsAFile", {Tar().File(".", "x").Build()}, code, {"root"}},
      {"RootAsAFifo", {Tar().Fifo(".").Build()}, code, {"root"}},
      {"RootAsADevice", {Tar().CharDevice("..", 1, 3).Build()}, code, {"root"}},
      {"RootAsAHardLink", {Tar().File("f").HardLink(".", "f").Build()}, code, {"root"}},
  };
}

class ConfinementRefusalTest : public ::testing::TestWithParam<RefusalCase> {};
TEST_P(ConfinementRefusalTest, IsRefused) { CheckRefuses(GetParam()); }
INSTANTIATE_TEST_SUITE_P(Confinement, ConfinementRefusalTest, ::testing::ValuesIn(Refusals()), CaseName());

}  // namespace
}  // namespace sluice::testing
