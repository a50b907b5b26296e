// Layers that want too much: each limit has a value that is just allowed and one that is just not, and what a header
// claims never costs memory or time.
#include <sys/resource.h>

#include <chrono>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/testing/compress.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/tar_builder.h"
#include "tests/unpack/unpack_case.h"
#include "unpack/flat_unpacker.h"

namespace sluice::testing {
namespace {

using Tar = TarBuilder;
constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

std::string Deep(int components) {
  std::string path;
  for (int i = 0; i < components; ++i) absl::StrAppend(&path, i == 0 ? "" : "/", "d");
  return path;
}

std::string Entries(int count) {
  TarBuilder tar;
  for (int i = 0; i < count; ++i) tar.File(absl::StrCat("f", i));
  return tar.Build();
}

UnpackLimits Limits(void (*set)(UnpackLimits& limits)) {
  UnpackLimits limits;
  set(limits);
  return limits;
}

std::vector<RefusalCase> Refusals() {
  const auto ten_entries = Limits([](UnpackLimits& limits) { limits.max_entries = 10; });
  const auto five_deep = Limits([](UnpackLimits& limits) { limits.max_depth = 5; });
  const auto thousand_bytes = Limits([](UnpackLimits& limits) { limits.max_unpacked_bytes = 1000; });
  const auto small_headers = Limits([](UnpackLimits& limits) { limits.max_special_header_bytes = 4096; });
  const auto small_books = Limits([](UnpackLimits& limits) { limits.max_bookkeeping_bytes = 10'000; });
  TarBuilder many_whiteouts;
  for (int i = 0; i < 1000; ++i) many_whiteouts.Whiteout(absl::StrCat("d/a-rather-long-name-to-remember-", i));
  return {
      {"OneEntryTooMany", {Entries(11)}, kInvalid, {"entry f10", "10"}, ten_entries},
      {"OneLevelTooDeep", {Tar().File(Deep(6)).Build()}, kInvalid, {"entry d/d/d/d/d/d", "5"}, five_deep},
      {"OneLevelTooDeepByDefault", {Tar().File(Deep(4097)).Build()}, kInvalid, {"entry d/d", "4096"}},
      {"TwentyThousandLevels", {Tar().File(Deep(20'000)).Build()}, kInvalid, {"entry d/d", "4096"}},
      {"TwentyThousandLevelsOfADirectory", {Tar().Directory(Deep(20'000)).Build()}, kInvalid, {"entry d/d", "4096"}},
      {"TwentyThousandLevelsOfAWhiteout",
       {Tar().File("f").Build(), Tar().Whiteout(Deep(20'000)).Build()},
       kInvalid,
       {"4096"}},
      {"TwentyThousandLevelsOfALinkName", {Tar().HardLink("h", Deep(20'000)).Build()}, kInvalid, {"entry h"}},
      {"OneByteTooMuchInOneFile",
       {Tar().File("f", std::string(1001, 'x')).Build()},
       kInvalid,
       {"entry f", "1000"},
       thousand_bytes},
      {"OneByteTooMuchInTwoFiles",
       {Tar().File("f", std::string(500, 'x')).File("g", std::string(501, 'x')).Build()},
       kInvalid,
       {"entry g", "1000"},
       thousand_bytes},
      {"BytesAfterTheEnd",
       {Tar().File("f").Build() + std::string(size_t{3} << 20, 'x')},
       kInvalid,
       {"1000 bytes follow the end"},
       thousand_bytes},
      {"PaxHeaderTooBig",
       {Tar().Pax({{"comment", std::string(5000, 'c')}}).File("f").Build()},
       kInvalid,
       {"4096"},
       small_headers},
      {"GlobalHeaderTooBig",
       {Tar().Pax({{"comment", std::string(5000, 'c')}}, 'g').File("f").Build()},
       kInvalid,
       {"4096"},
       small_headers},
      {"GnuLongNameTooBig",
       {Tar().Special('L', std::string(5000, 'n')).File("f").Build()},
       kInvalid,
       {"4096"},
       small_headers},
      {"GnuLongLinkTooBig",
       {Tar().Special('K', std::string(5000, 'n')).Symlink("f", "t").Build()},
       kInvalid,
       {"4096"},
       small_headers},
      {"PaxHeaderTooBigByDefault",
       {Tar().Pax({{"comment", std::string(size_t{1} << 20, 'c')}}).File("f").Build()},
       kInvalid,
       {"layer"}},
      {"PaxHeaderThatClaimsTerabytes",
       {Tar().Special('x', "10 path=x\n", int64_t{1} << 42).Build()},
       kInvalid,
       {"layer"}},
      {"GnuLongNameThatClaimsTerabytes", {Tar().Special('L', "name", int64_t{1} << 42).Build()}, kInvalid, {"layer"}},
      {"TooMuchToRemember",
       {Tar().Directory("d").File("d/x").Build(), many_whiteouts.Build()},
       kInvalid,
       {"10000 bytes"},
       small_books},
      {"SizeOf2To62", {Tar().Header({.name = "f", .size = int64_t{1} << 62}).Body("x").Build()}, kInvalid, {"entry f"}},
      {"SizesThatAddUpOver2To63",
       {Tar()
            .SparseFile("a", SparseFormat::kPax10, int64_t{1} << 39, {{int64_t{1} << 39, ""}})
            .Header({.name = "f", .size = INT64_MAX})
            .Body("x")
            .Build()},
       kInvalid,
       {"entry f"}},
      {"NegativeSize", {Tar().Header({.name = "f", .size = -1}).Body("x").Build()}, kInvalid, {"layer"}},
      {"NegativeSizeInPax", {Tar().Pax({{"size", "-5"}}).File("f", "x").Build()}, kInvalid, {"layer"}},
      {"SizeThatIsNoNumber", {Tar().Pax({{"size", "many"}}).File("f", "x").Build()}, kInvalid, {"layer"}},
  };
}

class LimitsTest : public ::testing::TestWithParam<RefusalCase> {};

TEST_P(LimitsTest, IsRefusedAtOnce) {
  const auto start = std::chrono::steady_clock::now();
  CheckRefuses(GetParam());
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
}

INSTANTIATE_TEST_SUITE_P(Limits, LimitsTest, ::testing::ValuesIn(Refusals()), CaseName());

struct Allowed {
  const char* name;
  std::string tar;
  UnpackLimits limits;
};
void PrintTo(const Allowed& allowed, std::ostream* out) { *out << allowed.name; }

std::vector<Allowed> JustAllowed() {
  return {
      {"TenEntries", Entries(10), Limits([](UnpackLimits& limits) { limits.max_entries = 10; })},
      {"FiveLevels", Tar().File(Deep(5)).Build(), Limits([](UnpackLimits& limits) { limits.max_depth = 5; })},
      {"FourThousandNinetySixLevels", Tar().File(Deep(4096)).Build(), {}},
      {"ThousandBytes", Tar().File("f", std::string(400, 'x')).File("g", std::string(600, 'y')).Build(),
       Limits([](UnpackLimits& limits) { limits.max_unpacked_bytes = 1000; })},
      {"SpecialHeaderOfItsLimit",
       Tar().Special('x', EncodePaxRecord("comment", std::string(4081, 'c'))).File("f").Build(),
       Limits([](UnpackLimits& limits) { limits.max_special_header_bytes = 4096; })},
      {"PaxHeaderOfAlmostAMegabyte", Tar().Pax({{"comment", std::string(900'000, 'c')}}).File("f").Build(), {}},
  };
}

class JustAllowedTest : public ::testing::TestWithParam<Allowed> {};

TEST_P(JustAllowedTest, Unpacks) {
  UnpackOptions options;
  options.limits = GetParam().limits;
  OverlayChain chain;
  EXPECT_OK(chain.Add(SourceOf(GetParam().tar, "layer 1"), options));
  const GuardedRoot root;
  EXPECT_OK(UnpackFlat(root.fd(), SourcesOf({GetParam().tar}), options));
}

INSTANTIATE_TEST_SUITE_P(Limits, JustAllowedTest, ::testing::ValuesIn(JustAllowed()), CaseName());

// A bomb: 200 MiB of zeros in some 200 KiB, against a limit of 50 MiB. The size in the header alone ends it.
TEST(BombTest, GzipOfZerosInOneFile) {
  const std::string tar = Tar().File("bomb", std::string(size_t{200} << 20, '\0')).Build();
  UnpackOptions options;
  options.limits.max_unpacked_bytes = int64_t{50} << 20;
  for (const std::string& blob : {Gzip(tar), Zstd(tar)}) {
    OverlayChain chain;
    EXPECT_THAT(chain.Add(SourceOf(blob, "layer 1", &tar), options), StatusIs(kInvalid, "entry bomb"));
    ASSERT_OK_AND_ASSIGN(const TreeListing listing, ListTree(chain.directory(0)));
    for (const auto& [path, entry] : listing) EXPECT_LE(entry.allocated_bytes, int64_t{50} << 20) << path;
  }
}

// Zeros after the end of the archive are hashed and never written: long, but harmless.
TEST(BombTest, ZerosAfterTheEnd) {
  const std::string tar = Tar().File("f").Build() + std::string(size_t{100} << 20, '\0');
  OverlayChain chain;
  EXPECT_OK(chain.Add(SourceOf(Gzip(tar), "layer 1", &tar)));
}

}  // namespace
}  // namespace sluice::testing
