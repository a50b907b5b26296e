// Layers cut off or with one bit flipped, at every byte: never taken for good, never a crash, never a hang, and nothing
// outside touched.
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

// Small, with every kind of position: header, PAX record, GNU name, body, padding, sparse map, end.
std::string SmallTar() {
  return Tar()
      .Directory("d")
      .File("d/body", std::string(700, 'b'), {.nanoseconds = 5, .xattrs = {{"user.a", "b"}}})
      .File(std::string(110, 'n'), "long", {.gnu = true})
      .HardLink("d/link", "d/body")
      .Symlink("l", "d")
      .SparseFile("s", SparseFormat::kPax10, 5000, {{4096, "x"}, {5000, ""}})
      .Build();
}

struct Form {
  const char* name;
  std::string blob;
};
void PrintTo(const Form& form, std::ostream* out) { *out << form.name; }

std::vector<Form> Forms() {
  const std::string tar = SmallTar();
  return {
      {"Plain", tar},
      {"Gzip", Gzip(tar)},
      {"GzipOfTwoMembers", Gzip(tar.substr(0, 1000)) + Gzip(tar.substr(1000))},
      {"Zstd", Zstd(tar)},
      {"ZstdWithChecksum", Zstd(tar, {.checksum = true})},
  };
}

absl::StatusOr<UnpackedLayer> Unpack(const std::string& blob, const LayerExpectation& expected) {
  LayerSource source = SourceOf(blob, "layer 1");
  source.expected = expected;
  OverlayChain chain;
  absl::StatusOr<UnpackedLayer> layer = chain.Add(source);
  chain.ExpectNothingOutsideTouched();
  return layer;
}

LayerExpectation Expected(const std::string& blob) {
  const std::string tar = SmallTar();
  return SourceOf(blob, "", &tar).expected;
}

bool OneOfTheCodesOfBadInput(const absl::Status& status) {
  return status.code() == absl::StatusCode::kDataLoss || status.code() == absl::StatusCode::kInvalidArgument ||
         status.code() == absl::StatusCode::kFailedPrecondition;
}

class CorruptionTest : public ::testing::TestWithParam<Form> {};

TEST_P(CorruptionTest, TheSoundBlobIsGood) { EXPECT_OK(Unpack(GetParam().blob, Expected(GetParam().blob))); }

TEST_P(CorruptionTest, EveryTruncationIsRefused) {
  const std::string& blob = GetParam().blob;
  for (size_t length = 0; length < blob.size(); ++length) {
    // Whatever the bytes then look like, what is wrong is the blob.
    ASSERT_THAT(Unpack(blob.substr(0, length), Expected(blob)), StatusIs(absl::StatusCode::kDataLoss, "layer 1: "))
        << "cut to " << length << " bytes";
  }
}

TEST_P(CorruptionTest, EveryFlippedBitIsRefused) {
  const std::string& blob = GetParam().blob;
  for (size_t offset = 0; offset < blob.size(); ++offset) {
    std::string flipped = blob;
    flipped[offset] = static_cast<char>(flipped[offset] ^ (1 << (offset % 8)));
    ASSERT_THAT(Unpack(flipped, Expected(blob)), StatusIs(absl::StatusCode::kDataLoss, "layer 1: "))
        << "bit of byte " << offset;
  }
}

// Nothing is expected of the blob, so only its own checks are left: a cut compressed stream is still refused.
TEST_P(CorruptionTest, TruncationShowsWithoutAnyDigest) {
  if (std::string(GetParam().name) == "Plain") return;  // may end at any header: covered by the tar cases below
  const std::string& blob = GetParam().blob;
  const size_t first_member = Gzip(SmallTar().substr(0, 1000)).size();
  for (size_t length = 1; length < blob.size(); ++length) {
    if (std::string(GetParam().name) == "GzipOfTwoMembers" && length == first_member) continue;
    ASSERT_FALSE(Unpack(blob.substr(0, length), {}).ok()) << "cut to " << length << " bytes";
  }
}

TEST_P(CorruptionTest, FlippedBitsWithoutAnyDigestDoNoHarm) {
  const std::string& blob = GetParam().blob;
  for (size_t offset = 0; offset < blob.size(); ++offset) {
    std::string flipped = blob;
    flipped[offset] = static_cast<char>(flipped[offset] ^ (1 << (offset % 7)));
    const absl::Status status = Unpack(flipped, {}).status();
    ASSERT_TRUE(status.ok() || OneOfTheCodesOfBadInput(status)) << "bit of byte " << offset << ": " << status;
  }
}

INSTANTIATE_TEST_SUITE_P(Forms, CorruptionTest, ::testing::ValuesIn(Forms()), CaseName());

std::vector<RefusalCase> Refusals() {
  const auto code = absl::StatusCode::kInvalidArgument;
  const std::string whole = Tar().File("f", std::string(2000, 'x')).Take();
  return {
      {"CutInAHeader", {Tar().File("f").Take() + std::string(300, 'h')}, code, {"layer 1"}},
      {"CutInABody", {whole.substr(0, 512 + 700)}, code, {"entry f"}},
      {"CutInThePaddingOfABody", {whole.substr(0, 512 + 2000)}, code, {"layer 1"}},
      {"CutInAPaxHeader", {Tar().Pax({{"path", std::string(900, 'p')}}).Take().substr(0, 1024)}, code, {"layer 1"}},
      {"PaxHeaderWithoutAnEntry", {Tar().File("f").Pax({{"path", "x"}}).Build()}, code, {"layer 1"}},
      {"WrongChecksum", {Tar().File("a").Header({.name = "f", .checksum_error = 1}).Build()}, code, {"layer 1"}},
      {"PaxRecordWithoutLength", {Tar().Special('x', "path=x\n").File("f").Build()}, code, {"layer 1"}},
      {"PaxRecordLongerThanItsHeader", {Tar().Special('x', "99 path=x\n").File("f").Build()}, code, {"layer 1"}},
      {"PaxRecordShorterThanItself", {Tar().Special('x', "3 path=x\n").File("f").Build()}, code, {"layer 1"}},
      {"PaxRecordOfLengthZero", {Tar().Special('x', "0 path=x\n").File("f").Build()}, code, {"layer 1"}},
      {"PaxRecordWithoutEqualsSign", {Tar().Special('x', "7 path\n").File("f").Build()}, code, {"layer 1"}},
      {"PaxRecordWithoutNewline", {Tar().Special('x', "9 path=xy").File("f").Build()}, code, {"layer 1"}},
      {"PaxRecordWithAHugeLength",
       {Tar().Special('x', "99999999999999999999 path=x\n").File("f").Build()},
       code,
       {"layer 1"}},
      {"TenThousandNestedPaxHeaders",
       {[] {
         TarBuilder tar;
         for (int i = 0; i < 10'000; ++i) tar.Pax({{"comment", "c"}});
         return tar.File("f").Build();
       }()},
       code,
       {"layer 1"}},
      {"SizeFieldThatIsNoNumber",
       {Tar().Header({.name = "f", .raw_size = "99999999999\0"}).Build()},
       code,
       {"layer 1"}},
  };
}

class CorruptTarTest : public ::testing::TestWithParam<RefusalCase> {};
TEST_P(CorruptTarTest, IsRefused) { CheckRefuses(GetParam()); }
INSTANTIATE_TEST_SUITE_P(Corruption, CorruptTarTest, ::testing::ValuesIn(Refusals()), CaseName());

// The last of three layers is bad: the first two must not hide it, and the message names it and no other.
TEST(CorruptChainTest, MessageNamesTheBadLayerAndTheEntry) {
  const std::string good = Tar().Directory("d").Build();
  const std::string bad = Tar().File("d/f", std::string(2000, 'x')).Take().substr(0, 1500);
  CheckRefuses({"Bad", {good, good, bad}, absl::StatusCode::kInvalidArgument, {"layer 3: ", "entry d/f"}});
}

}  // namespace
}  // namespace sluice::testing
