// One tar of all layers: the trees are in the table tests; here is what is the export's alone.
#include "unpack/tar_export.h"

#include <locale.h>

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/random.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/tar_builder.h"
#include "tests/testing/temp_dir.h"
#include "tests/unpack/random_layers.h"
#include "tests/unpack/unpack_case.h"
#include "unpack/flat_unpacker.h"

namespace sluice::testing {
namespace {

using ::testing::IsEmpty;
using Tar = TarBuilder;

absl::StatusOr<TreeListing> UnpackAndList(const std::vector<std::string>& tars) {
  const TempDir dir(TempDir::Place::kMemory);
  RETURN_IF_ERROR(UnpackFlat(dir.fd(), SourcesOf(tars), {}).status());
  return ListTree(dir.path());
}

// The root too. False if both refuse the layers.
bool ExportIsTheFlatTree(const std::vector<std::string>& tars) {
  const absl::StatusOr<TreeListing> flat = UnpackAndList(tars);
  const absl::StatusOr<std::string> exported = ExportToString(tars);
  EXPECT_EQ(flat.ok(), exported.ok()) << flat.status() << "\n" << exported.status();
  if (!flat.ok() || !exported.ok()) return false;
  EXPECT_THAT(DiffListings(*flat, ListUntarred(*exported)), IsEmpty()) << "the flat tree (first) and the tar (second)";
  const absl::StatusOr<TreeListing> as_layer = UnpackAndList({*exported});
  EXPECT_OK(as_layer);
  if (!as_layer.ok()) return false;
  EXPECT_THAT(DiffListings(*flat, *as_layer), IsEmpty()) << "the flat tree (first) and that of the tar as a layer";
  return true;
}

TEST(TarExportTest, EveryRandomChainIsTheFlatTree) {
  size_t compared = 0;
  const std::vector<uint64_t> seeds = Seeds(250);
  for (const uint64_t seed : seeds) {
    RandomLayers random(seed);
    std::vector<std::string> tars;
    std::string described;
    do {
      const std::vector<RandomEntry> layer = random.Next({});
      tars.push_back(TarOf(layer));
      absl::StrAppend(&described, "layer ", tars.size(), "\n", Describe(layer), "\n");
      SCOPED_TRACE(absl::StrCat(SeedTrace(seed), "\n", described));
      if (!ExportIsTheFlatTree(tars)) break;
      ++compared;
    } while (tars.size() < 4 && !HasFailure());
    if (HasFailure()) return;
  }
  EXPECT_TRUE(seeds.size() == 1 || compared > seeds.size()) << compared;
}

TEST(TarExportTest, NoLayersAreAnEmptyRoot) {
  ASSERT_OK_AND_ASSIGN(const std::string exported, ExportToString({}));
  const TreeListing listing = ListUntarred(exported);
  ASSERT_EQ(listing.size(), 1u);
  EXPECT_EQ(FormatEntry(listing.at(".")), ". d0755 0:0 @0");
}

TEST(TarExportTest, TheRootIsTheTopmostEntrys) {
  ASSERT_OK_AND_ASSIGN(const std::string exported,
                       ExportToString({Tar().Directory("./", {.mode = 0700, .uid = 1}).Build(),
                                       Tar().Directory("./", {.mode = 0711, .uid = 3, .mtime = 1'550'000'000}).Build(),
                                       Tar().File("f").Build()}));
  EXPECT_EQ(FormatEntry(ListUntarred(exported).at(".")), ". d0711 3:0 @1550000000");
}

std::vector<std::string> SomeImage() {
  return {Tar()
              .Directory("d", {.mode = 0})
              .File("d/f", std::string(100'000, 'f'), {.nanoseconds = 5})
              .File("caf\xe9", "latin")
              .File("Gr\xc3\xbc\xc3\x9f"
                    "e",
                    "utf-8")
              .Symlink("l", "\xff\xfe")
              .Build(),
          Tar().HardLink("d/g", "d/f").File("x").Build()};
}

TEST(TarExportTest, TheSameLayersGiveTheSameBytesInAnyLocale) {
  ASSERT_OK_AND_ASSIGN(const std::string first, ExportToString(SomeImage()));
  ASSERT_NE(::setlocale(LC_ALL, "C.UTF-8"), nullptr);
  ASSERT_OK_AND_ASSIGN(const std::string second, ExportToString(SomeImage()));
  ASSERT_NE(::setlocale(LC_ALL, "C"), nullptr);
  EXPECT_TRUE(first == second);
  EXPECT_TRUE(absl::StrContains(first,
                                "path=Gr\xc3\xbc\xc3\x9f"
                                "e"));
}

// What has made two files of one: both have the content, and the tar is still written in one go.
TEST(TarExportTest, AFileThatWasCopiedUpIsWrittenTwice) {
  const std::string content(300'000, 'c');
  ASSERT_OK_AND_ASSIGN(const std::string exported,
                       ExportToString({Tar().File("a", content).HardLink("b", "a").File("z", "last").Build(),
                                       Tar().HardLink("c", "a").Build(), Tar().HardLink("e", "a").Build()}));
  const TreeListing listing = ListUntarred(exported);
  EXPECT_EQ(listing.at("b").sha256, listing.at("a").sha256);
  EXPECT_EQ(listing.at("a").size, 300'000);
  EXPECT_EQ(listing.at("z").head, "last");
  EXPECT_EQ(listing.at("b").linked_to, "");
  EXPECT_EQ(listing.at("e").linked_to, "a");
}

TEST(TarExportTest, NothingIsWrittenBeforeAllLayersAreVerified) {
  std::vector<LayerSource> sources = SourcesOf({Tar().File("a").Build(), Tar().File("b").Build()});
  sources[1].expected.blob_digest = Digest::Of("something else");
  size_t bytes = 0;
  const auto count = [&bytes](absl::string_view piece) {
    bytes += piece.size();
    return absl::OkStatus();
  };
  EXPECT_THAT(ExportTar(sources, {}, count), StatusIs(absl::StatusCode::kDataLoss, "layer 2"));
  EXPECT_EQ(bytes, 0u);
}

// Between the two readings the blob was changed: every byte of the output counts on it.
TEST(TarExportTest, ABlobThatChangesBetweenTheReadingsIsRefused) {
  const std::string good = Tar().File("a", std::string(2000, 'x')).Build();
  for (const std::string& bad : {Tar().File("a", std::string(2000, 'y')).Build(), Tar().File("a", "short").Build(),
                                 Tar().Build(), std::string(10'240, 'g')}) {
    LayerSource source = SourceOf(good, "layer 1");
    int readings = 0;
    source.open = [&]() -> absl::StatusOr<std::unique_ptr<ByteReader>> {
      return StringReader(readings++ == 0 ? good : bad);
    };
    const auto ignore = [](absl::string_view /*piece*/) { return absl::OkStatus(); };
    EXPECT_THAT(ExportTar({source}, {}, ignore), StatusIs(absl::StatusCode::kDataLoss, "layer 1"));
    EXPECT_EQ(readings, 2);
  }
}

TEST(TarExportTest, TheSinksErrorIsTheResult) {
  for (const size_t room : {size_t{0}, size_t{1} << 20}) {
    size_t taken = 0;
    const auto fail = [&taken, room](absl::string_view piece) {
      taken += piece.size();
      return taken > room ? absl::ResourceExhaustedError("no space") : absl::OkStatus();
    };
    const std::string tar = Tar().File("big", std::string(3'000'000, 'b')).Build();
    EXPECT_THAT(ExportTar(SourcesOf({tar}), {}, fail), StatusIs(absl::StatusCode::kResourceExhausted, "no space"));
  }
}

TEST(TarExportTest, CanBeCancelledInTheSecondReading) {
  Cancellation cancellation;
  UnpackOptions options;
  options.cancellation = &cancellation;
  const std::string tar = Tar().File("big", std::string(30'000'000, 'b')).Build();
  size_t pieces = 0;
  const auto cancel = [&](absl::string_view /*piece*/) {
    ++pieces;
    cancellation.Cancel();
    return absl::OkStatus();
  };
  EXPECT_THAT(ExportTar(SourcesOf({tar}), options, cancel), StatusIs(absl::StatusCode::kCancelled));
  EXPECT_LT(pieces, 100u);
}

TEST(TarExportTest, TheIndexHasABound) {
  UnpackOptions options;
  options.limits.max_index_bytes = 100'000;
  Tar tar;
  for (int i = 0; i < 1000; ++i) tar.File(absl::StrCat("file", i));
  EXPECT_THAT(ExportToString({tar.Build()}, options), StatusIs(absl::StatusCode::kInvalidArgument, "max_index_bytes"));
  // What is gone again takes nothing.
  std::vector<std::string> layers;
  for (int i = 0; i < 100; ++i) {
    Tar layer;
    layer.Whiteout(absl::StrCat("d", i - 1)).Directory(absl::StrCat("d", i));
    for (int j = 0; j < 100; ++j) layer.File(absl::StrCat("d", i, "/", j), "", {.xattrs = {{"user.a", "b"}}});
    layers.push_back(layer.Build());
  }
  EXPECT_OK(ExportToString(layers, options));
}

TEST(TarExportTest, SaysWhatTheLayersWere) {
  const auto ignore = [](absl::string_view /*piece*/) { return absl::OkStatus(); };
  const std::string tar = Tar().File("a").File("b").Build();
  ASSERT_OK_AND_ASSIGN(const std::vector<UnpackedLayer> layers, ExportTar(SourcesOf({tar}), {}, ignore));
  ASSERT_EQ(layers.size(), 1u);
  EXPECT_EQ(layers[0].entries, 2);
  EXPECT_EQ(layers[0].diff_id, Digest::Of(tar));
}

}  // namespace
}  // namespace sluice::testing
