// Sparse files in GNU's four formats: the bytes are right, and the holes are holes (GNU tar manual, "Storing Sparse
// Files").
#include "absl/strings/str_cat.h"
#include "base/digest.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/tar_builder.h"
#include "tests/unpack/unpack_case.h"
#include "unpack/flat_unpacker.h"

namespace sluice::testing {
namespace {

using Tar = TarBuilder;

constexpr SparseFormat kFormats[] = {SparseFormat::kOldGnu, SparseFormat::kPax00, SparseFormat::kPax01,
                                     SparseFormat::kPax10};

struct Shape {
  const char* name;
  int64_t size;
  std::vector<SparseData> data;
  int64_t most_allocated;
};

std::vector<Shape> Shapes() {
  constexpr int64_t kMiB = int64_t{1} << 20;
  std::vector<SparseData> many;
  for (int i = 0; i < 60; ++i) many.push_back({i * 65536, std::string(512, static_cast<char>('a' + i % 26))});
  many.push_back({8 * kMiB, ""});
  return {
      {"DataInTheMiddle", 64 * kMiB, {{32 * kMiB, "middle"}, {64 * kMiB, ""}}, 64 << 10},
      {"OnlyAHole", 16 * kMiB, {{16 * kMiB, ""}}, 16 << 10},
      {"HoleFirstDataLast", kMiB, {{kMiB - 4, "last"}}, 64 << 10},
      {"DataFirstHoleLast", kMiB, {{0, "first"}, {kMiB, ""}}, 64 << 10},
      {"NoHole", 6, {{0, "nohole"}}, 64 << 10},
      {"MoreThanTwoExtensionHeaders", 8 * kMiB, many, 512 << 10},
  };
}

std::string Expanded(const Shape& shape) {
  std::string content(static_cast<size_t>(shape.size), '\0');
  for (const SparseData& piece : shape.data) {
    content.replace(static_cast<size_t>(piece.offset), piece.bytes.size(), piece.bytes);
  }
  return content;
}

void ExpectShape(const std::string& root, const Shape& shape, absl::string_view what) {
  ASSERT_OK_AND_ASSIGN(const TreeListing listing, ListTree(root));
  ASSERT_EQ(listing.count("f"), 1u) << what;
  const ListedEntry& entry = listing.at("f");
  EXPECT_EQ(entry.size, shape.size) << what;
  EXPECT_EQ(entry.sha256, Digest::Of(Expanded(shape)).Hex()) << what;
  EXPECT_LE(entry.allocated_bytes, shape.most_allocated) << what;
  EXPECT_EQ(FormatBriefly(listing.at("next")), R"(next -0644 "n")") << what;
}

class SparseTest : public ::testing::TestWithParam<Shape> {};

TEST_P(SparseTest, ContentIsExactAndHolesAreHoles) {
  const Shape& shape = GetParam();
  for (const SparseFormat format : kFormats) {
    const std::string tar = Tar().SparseFile("f", format, shape.size, shape.data).File("next", "n").Build();
    const std::string what = absl::StrCat("format ", static_cast<int>(format));
    OverlayChain chain;
    ASSERT_OK(chain.Add(SourceOf(tar, what)));
    ExpectShape(chain.directory(0), shape, what);
    const GuardedRoot root;
    ASSERT_OK(UnpackFlat(root.fd(), SourcesOf({tar}), {}));
    ExpectShape(root.path(), shape, what);
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, SparseTest, ::testing::ValuesIn(Shapes()),
                         [](const auto& test) { return std::string(test.param.name); });

// A hole that only a lower layer has stays one when a hard link copies the file up.
TEST(SparseCopyUpTest, HolesStayHoles) {
  constexpr int64_t kSize = int64_t{64} << 20;
  OverlayChain chain;
  ASSERT_OK(chain.Add(
      SourceOf(Tar().SparseFile("f", SparseFormat::kPax10, kSize, {{0, "x"}, {kSize / 2, "y"}, {kSize, ""}}).Build(),
               "layer 1")));
  ASSERT_OK(chain.Add(SourceOf(Tar().HardLink("h", "f").Build(), "layer 2")));
  ASSERT_OK_AND_ASSIGN(const TreeListing listing, ListTree(chain.directory(1)));
  EXPECT_EQ(listing.at("h").size, kSize);
  EXPECT_LE(listing.at("h").allocated_bytes, 64 << 10);
}

std::vector<RefusalCase> Refusals() {
  const auto code = absl::StatusCode::kInvalidArgument;
  constexpr int64_t kTenTiB = int64_t{10} << 40;
  std::vector<RefusalCase> refusals;
  for (const SparseFormat format : kFormats) {
    const std::string suffix = absl::StrCat("InFormat", static_cast<int>(format));
    refusals.push_back({"TenTerabytesOfHole" + suffix,
                        {Tar().SparseFile("d/huge", format, kTenTiB, {{0, "x"}, {kTenTiB, ""}}).Build()},
                        code,
                        {"entry d/huge", "1099511627776"}});
  }
  refusals.push_back({"DataBeyondTheClaimedSize",
                      {Tar().SparseFile("f", SparseFormat::kPax01, 100, {{5000, "beyond"}}).Build()},
                      code,
                      {"entry f"}});
  refusals.push_back(
      {"MapThatIsNoMap",
       {Tar()
            .Pax({{"GNU.sparse.size", "100"}, {"GNU.sparse.numblocks", "1"}, {"GNU.sparse.map", "nonsense"}})
            .File("f", "x")
            .Build()},
       code,
       {"layer"}});
  refusals.push_back({"NegativeOffset",
                      {Tar()
                           .Pax({{"GNU.sparse.size", "100"}, {"GNU.sparse.numblocks", "1"}, {"GNU.sparse.map", "-5,1"}})
                           .File("f", "x")
                           .Build()},
                      code,
                      {"layer"}});
  return refusals;
}

class SparseRefusalTest : public ::testing::TestWithParam<RefusalCase> {};
TEST_P(SparseRefusalTest, IsRefused) { CheckRefuses(GetParam()); }
INSTANTIATE_TEST_SUITE_P(Sparse, SparseRefusalTest, ::testing::ValuesIn(Refusals()), CaseName());

}  // namespace
}  // namespace sluice::testing
