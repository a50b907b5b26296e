// Compressed forms and ends of archives: what is one stream, what is padding, and what is an error; and what the layer
// is reported to be.
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/compress.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/tar_builder.h"
#include "tests/unpack/unpack_case.h"
#include "unpack/flat_unpacker.h"

namespace sluice::testing {
namespace {

using Tar = TarBuilder;

std::string SomeTar() {
  std::string text;
  for (int i = 0; i < 20'000; ++i) absl::StrAppend(&text, i * 7919 % 10'007, " ");
  return Tar()
      .Directory("d")
      .File("d/text", text)
      .File("d/zeros", std::string(300'000, '\0'))
      .File("last", "l")
      .Build();
}

std::string Half(const std::string& text, int which) {
  const size_t middle = text.size() / 2 + 77;
  return which == 0 ? text.substr(0, middle) : text.substr(middle);
}

struct Blob {
  const char* name;
  std::string tar;
  std::string blob;
  std::vector<std::string> paths = {"d", "d/text", "d/zeros", "last"};
};

std::vector<Blob> Blobs() {
  const std::string tar = SomeTar();
  const std::string empty = Tar().Build();
  const std::string zeros(10'000, '\0');
  return {
      {"Plain", tar, tar},
      {"Gzip", tar, Gzip(tar)},
      {"GzipStored", tar, Gzip(tar, {.level = 0})},
      {"GzipBestWithFixedCodes", tar, Gzip(tar, {.level = 9, .fixed_codes = true})},
      {"GzipWithEveryHeaderField", tar,
       Gzip(tar, {.name = "layer.tar", .comment = "c", .extra = std::string(60'000, 'e'), .header_crc = true})},
      {"GzipOfTwoMembers", tar, Gzip(Half(tar, 0)) + Gzip(Half(tar, 1))},
      {"GzipWithEmptyMembers", tar, Gzip("") + Gzip(Half(tar, 0)) + Gzip("") + Gzip(Half(tar, 1)) + Gzip("")},
      {"GzipFollowedByZeros", tar, Gzip(tar) + std::string(1000, '\0')},
      {"GzipFollowedByOneZero", tar, Gzip(tar) + std::string(1, '\0')},
      {"Zstd", tar, Zstd(tar)},
      {"ZstdBestWithChecksum", tar, Zstd(tar, {.level = 19, .checksum = true, .content_size = false})},
      {"ZstdOfTwoFrames", tar, Zstd(Half(tar, 0)) + Zstd(Half(tar, 1), {.checksum = true})},
      {"ZstdWithSkippableFrames", tar, ZstdSkippable("head") + Zstd(tar) + ZstdSkippable(std::string(100'000, 't'))},
      {"ZstdOfAnEmptyFrameFirst", tar, Zstd("") + Zstd(tar)},
      {"ZstdWindowOf128MiB", tar, Zstd(tar, {.window_log = 27, .content_size = false})},
      {"NoByteAtAll", "", "", {}},
      {"GzipOfNothing", "", Gzip(""), {}},
      {"ZstdOfNothing", "", Zstd(""), {}},
      {"OnlyTheEnd", empty, empty, {}},
      {"OneZeroBlock", std::string(512, '\0'), std::string(512, '\0'), {}},
      {"NoEnd", tar.substr(0, tar.size() - 1024), tar.substr(0, tar.size() - 1024)},
      {"HalfAnEnd", tar.substr(0, tar.size() - 512), Gzip(tar.substr(0, tar.size() - 512))},
      {"ManyZerosAfterTheEnd", tar + zeros, Gzip(tar + zeros)},
      // containerd hashes what follows the end and does not parse it: a second archive is not unpacked.
      {"BytesAfterTheEndAreHashedOnly", tar + "garbage", Gzip(tar + "garbage")},
      {"SecondArchiveAfterTheEndIsNotUnpacked", tar + Tar().File("second").Build(),
       Zstd(tar + Tar().File("second").Build())},
      {"PlainWithBytesAfterTheEnd", tar + std::string(100'001, 'x'), tar + std::string(100'001, 'x')},
  };
}

std::vector<std::string> Paths(const std::string& root) {
  const absl::StatusOr<TreeListing> listing = ListTree(root);
  EXPECT_OK(listing);
  std::vector<std::string> paths;
  if (!listing.ok()) return paths;
  for (const auto& [path, entry] : *listing) {
    if (path != ".") paths.push_back(path);
  }
  return paths;
}

void PrintTo(const Blob& blob, std::ostream* out) { *out << blob.name; }

class FormatsTest : public ::testing::TestWithParam<Blob> {};

void ExpectReported(const UnpackedLayer& layer, const Blob& blob) {
  EXPECT_EQ(layer.blob_digest, Digest::Of(blob.blob));
  EXPECT_EQ(layer.blob_bytes, static_cast<int64_t>(blob.blob.size()));
  EXPECT_EQ(layer.diff_id, Digest::Of(blob.tar));
  EXPECT_EQ(layer.tar_bytes, static_cast<int64_t>(blob.tar.size()));
  EXPECT_EQ(layer.entries, static_cast<int64_t>(blob.paths.size()));
}

TEST_P(FormatsTest, UnpacksAndReportsBothDigests) {
  const Blob& blob = GetParam();
  OverlayChain chain;
  ASSERT_OK_AND_ASSIGN(const UnpackedLayer layer, chain.Add(SourceOf(blob.blob, "layer", &blob.tar)));
  ExpectReported(layer, blob);
  EXPECT_EQ(Paths(chain.directory(0)), blob.paths);
  EXPECT_TRUE(layer.self_contained);

  const GuardedRoot root;
  ASSERT_OK_AND_ASSIGN(const auto layers, UnpackFlat(root.fd(), {SourceOf(blob.blob, "layer", &blob.tar)}, {}));
  ASSERT_EQ(layers.size(), 1u);
  ExpectReported(layers[0], blob);
  EXPECT_EQ(Paths(root.path()), blob.paths);
}

// However the source cuts the stream into pieces, the result is the same.
TEST_P(FormatsTest, PiecesOfEverySize) {
  const Blob& blob = GetParam();
  for (const size_t piece : {size_t{1}, size_t{7}, size_t{511}, size_t{4097}}) {
    if (blob.blob.size() / piece > 400'000) continue;
    OverlayChain chain;
    LayerSource source = SourceOf(blob.blob, "layer", &blob.tar);
    source.open = [&blob, piece] { return StringReader(blob.blob, piece); };
    ASSERT_OK_AND_ASSIGN(const UnpackedLayer layer, chain.Add(source));
    ExpectReported(layer, blob);
    EXPECT_EQ(Paths(chain.directory(0)), blob.paths) << piece;
  }
}

TEST_P(FormatsTest, NothingIsExpectedAndNothingIsVerified) {
  const Blob& blob = GetParam();
  OverlayChain chain;
  LayerSource source = SourceOf(blob.blob, "layer");
  source.expected = {};
  ASSERT_OK_AND_ASSIGN(const UnpackedLayer layer, chain.Add(source));
  ExpectReported(layer, blob);
}

INSTANTIATE_TEST_SUITE_P(Blobs, FormatsTest, ::testing::ValuesIn(Blobs()), CaseName());

struct BadBlob {
  const char* name;
  std::string blob;
  absl::StatusCode code;
};
void PrintTo(const BadBlob& blob, std::ostream* out) { *out << blob.name; }

std::string WithByte(std::string bytes, size_t offset, char byte) {
  bytes[offset] = byte;
  return bytes;
}

std::vector<BadBlob> BadBlobs() {
  const std::string tar = SomeTar();
  const auto data_loss = absl::StatusCode::kDataLoss;
  const auto invalid = absl::StatusCode::kInvalidArgument;
  return {
      {"GarbageAfterGzip", Gzip(tar) + "garbage", data_loss},
      {"GarbageAfterZerosAfterGzip", Gzip(tar) + std::string(100, '\0') + "x", data_loss},
      {"HalfAGzipHeaderAfterGzip", Gzip(tar) + std::string("\x1f\x8b\x08", 3), data_loss},
      {"GarbageAfterZstd", Zstd(tar) + "garbage", data_loss},
      {"GzipInGzip", Gzip(Gzip(tar)), invalid},
      {"ZstdInGzip", Gzip(Zstd(tar)), invalid},
      {"GzipInZstd", Zstd(Gzip(tar)), invalid},
      {"Text", std::string(5000, 'x'), invalid},
      {"ShortText", "hello", invalid},
      {"Bzip2", "BZh91AY&SY" + std::string(1000, 'x'), invalid},
      {"Xz",
       std::string("\xfd"
                   "7zXZ\0",
                   6) +
           std::string(1000, 'x'),
       invalid},
      // Another format that libarchive knows must not be taken for a tar.
      {"Cpio",
       "07070100000001000081a4000000000000000000000001000000000000000000000000000000000000000000000000000000020000"
       "0000a\0" +
           std::string(2000, '\0'),
       invalid},
      {"GzipUnknownMethod", std::string("\x1f\x8b\x07", 3) + Gzip(tar).substr(3), data_loss},
      {"GzipReservedFlag", std::string("\x1f\x8b\x08\x20", 4) + Gzip(tar).substr(4), data_loss},
      {"GzipWrongHeaderChecksum", WithByte(Gzip(tar, {.header_crc = true}), 4, 'm'), data_loss},
  };
}

class BadFormatsTest : public ::testing::TestWithParam<BadBlob> {};

TEST_P(BadFormatsTest, IsRefused) {
  // Both digests are right: the form alone is wrong.
  for (const bool flat : {false, true}) {
    LayerSource source = SourceOf(GetParam().blob, "layer 1");
    source.expected.diff_id.reset();
    const GuardedRoot root;
    OverlayChain chain;
    const absl::Status status = flat ? UnpackFlat(root.fd(), {source}, {}).status() : chain.Add(source).status();
    EXPECT_THAT(status, StatusIs(GetParam().code, "layer 1")) << flat;
  }
}

INSTANTIATE_TEST_SUITE_P(Blobs, BadFormatsTest, ::testing::ValuesIn(BadBlobs()), CaseName());

struct Mismatch {
  const char* name;
  void (*spoil)(LayerExpectation& expected);
};
void PrintTo(const Mismatch& mismatch, std::ostream* out) { *out << mismatch.name; }

class MismatchTest : public ::testing::TestWithParam<Mismatch> {};

// peers.md §1.2 e: every digest that a client knows is compared.
TEST_P(MismatchTest, IsDataLossForEveryForm) {
  const std::string tar = SomeTar();
  for (const std::string& blob : {tar, Gzip(tar), Zstd(tar)}) {
    LayerSource source = SourceOf(blob, "layer 1", &tar);
    GetParam().spoil(source.expected);
    OverlayChain chain;
    EXPECT_THAT(chain.Add(source), StatusIs(absl::StatusCode::kDataLoss, "layer 1"));
    const GuardedRoot root;
    EXPECT_THAT(UnpackFlat(root.fd(), {source}, {}), StatusIs(absl::StatusCode::kDataLoss, "layer 1"));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Expectations, MismatchTest,
    ::testing::Values(Mismatch{"BlobDigest",
                               [](LayerExpectation& expected) { expected.blob_digest = Digest::Of("other"); }},
                      Mismatch{"DiffId", [](LayerExpectation& expected) { expected.diff_id = Digest::Of("other"); }},
                      Mismatch{"OneByteTooMany", [](LayerExpectation& expected) { --*expected.blob_bytes; }},
                      Mismatch{"OneByteTooFew", [](LayerExpectation& expected) { ++*expected.blob_bytes; }}),
    CaseName());

TEST(ZstdWindowTest, OverTheLimitIsLeftToContainerd) {
  const std::string tar = SomeTar();
  OverlayChain chain;
  EXPECT_THAT(chain.Add(SourceOf(Zstd(tar, {.window_log = 28, .content_size = false}), "layer 1", &tar)),
              StatusIs(absl::StatusCode::kFailedPrecondition, "layer 1"));
}

TEST(ZstdWindowTest, TheLimitItselfIsAllowed) {
  const std::string tar = SomeTar();
  const std::string blob = Zstd(tar, {.window_log = 20, .content_size = false});
  UnpackOptions options;
  options.limits.max_zstd_window_bytes = uint64_t{1} << 20;
  OverlayChain chain;
  EXPECT_OK(chain.Add(SourceOf(blob, "layer 1", &tar), options));
  --options.limits.max_zstd_window_bytes;
  EXPECT_THAT(chain.Add(SourceOf(blob, "layer 2", &tar), options),
              StatusIs(absl::StatusCode::kFailedPrecondition, "1048576 bytes, more than the limit of 1048575"));
}

}  // namespace
}  // namespace sluice::testing
