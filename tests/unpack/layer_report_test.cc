// What unpacking says about a layer beside its tree: whether it stands alone, how much it takes, how far it got; and
// how it stops.
#include <algorithm>
#include <chrono>
#include <thread>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "base/cancellation.h"
#include "gtest/gtest.h"
#include "tests/testing/compress.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/tar_builder.h"
#include "tests/unpack/unpack_case.h"
#include "unpack/flat_unpacker.h"
#include "unpack/overlay_unpacker.h"

namespace sluice::testing {
namespace {

using Tar = TarBuilder;

struct Standing {
  const char* name;
  std::string tar;
  bool self_contained;
};
void PrintTo(const Standing& standing, std::ostream* out) { *out << standing.name; }

class SelfContainedTest : public ::testing::TestWithParam<Standing> {};

// A layer that depends on nothing below is shared by every chain that has its diffID; a wrong "yes" would show one
// image's files in another.
TEST_P(SelfContainedTest, IsReportedBeforeAndAfterFinish) {
  const GuardedRoot below;
  const GuardedRoot root;
  OverlayUnpacker unpacker(root.fd(), {});
  ASSERT_OK(unpacker.Stream(SourceOf(GetParam().tar, "layer 1")));
  EXPECT_EQ(unpacker.self_contained(), GetParam().self_contained);
  const absl::StatusOr<UnpackedLayer> layer = unpacker.Finish({below.fd()});
  if (layer.ok()) {
    EXPECT_EQ(layer->self_contained, GetParam().self_contained);
    EXPECT_GT(layer->seconds, 0);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Layers, SelfContainedTest,
    ::testing::Values(Standing{"Empty", Tar().Build(), true},
                      Standing{"FilesInTheRoot", Tar().File("a").File("b").Build(), true},
                      Standing{"ListedDirectories", Tar().Directory("d").File("d/f").Symlink("l", "d").Build(), true},
                      Standing{"DirectoriesListedLater", Tar().File("d/f").Directory("d").Build(), true},
                      Standing{"LinksWithinTheLayer",
                               Tar().File("a").HardLink("b", "a").HardLink("c", "d").File("d").Build(), true},
                      Standing{"Whiteout", Tar().Whiteout("a").Build(), false},
                      Standing{"Opaque", Tar().Directory("d").Opaque("d").Build(), false},
                      Standing{"ImpliedDirectory", Tar().File("d/f").Build(), false},
                      Standing{"DirectoryInAnImpliedOne", Tar().Directory("a/b").Build(), false},
                      Standing{"LinkToANameBelow", Tar().HardLink("a", "below").Build(), false}),
    CaseName());

// As the layer's own directory says it.
void ExpectUsage(const UnpackedLayer& layer, const std::string& directory, int64_t want_inodes) {
  ASSERT_OK_AND_ASSIGN(const TreeListing disk, ListTree(directory));
  int64_t bytes = 0;
  int64_t inodes = 0;
  for (const auto& [path, entry] : disk) {
    if (!entry.linked_to.empty()) continue;
    bytes += entry.allocated_bytes;
    ++inodes;
  }
  EXPECT_EQ(layer.usage_bytes, bytes);
  EXPECT_EQ(layer.usage_inodes, inodes);
  EXPECT_EQ(inodes, want_inodes);
}

// What was written and replaced in the same layer does not count.
TEST(UsageTest, IsOfWhatIsLeft) {
  const std::string big(100'000, 'x');
  OverlayChain chain;
  ASSERT_OK_AND_ASSIGN(const UnpackedLayer layer, chain.Add(SourceOf(Tar()
                                                                         .Directory("d")
                                                                         .File("d/a", big)
                                                                         .File("also", big)
                                                                         .HardLink("names", "also")
                                                                         .File("d", "a file in place of a directory")
                                                                         .File("f", big)
                                                                         .File("f", "shorter")
                                                                         .Build(),
                                                                     "layer 1")));
  ExpectUsage(layer, chain.directory(0), 4);  // the root, d, f, and also, which is names
}

// The same without a directory that goes, after which all is counted anew.
TEST(UsageTest, IsOfWhatIsLeftOfFiles) {
  const std::string big(100'000, 'x');
  OverlayChain chain;
  ASSERT_OK_AND_ASSIGN(const UnpackedLayer layer, chain.Add(SourceOf(Tar()
                                                                         .File("f", big)
                                                                         .File("f", "shorter")
                                                                         .File("two", big)
                                                                         .HardLink("names", "two")
                                                                         .File("two", "one name left")
                                                                         .Build(),
                                                                     "layer 1")));
  ExpectUsage(layer, chain.directory(0), 4);  // the root, f, two, names
}

TEST(UsageTest, IsAllocatedBytesAndDistinctInodesOfTheLayersOwnDirectory) {
  OverlayChain chain;
  ASSERT_OK(chain.Add(SourceOf(Tar().File("f", "1").Directory("d").Build(), "layer 1")));
  ASSERT_OK_AND_ASSIGN(const UnpackedLayer layer,
                       chain.Add(SourceOf(Tar()
                                              .Whiteout("f")
                                              .File("d/big", std::string(100'000, 'x'))
                                              .HardLink("d/link", "d/big")
                                              .SparseFile("s", SparseFormat::kPax10, 1 << 20, {{1 << 20, ""}})
                                              .Symlink("l", "d")
                                              .Build(),
                                          "layer 2")));
  ExpectUsage(layer, chain.directory(1), 6);  // the root, d, d/big, s, l and the whiteout of f
}

TEST(ProgressTest, AddsUpToTheBlob) {
  const std::string tar = Tar().File("f", std::string(3 << 20, 'x')).Build();
  for (const std::string& blob : {tar, Gzip(tar, {.level = 0}), Zstd(tar)}) {
    int64_t sum = 0;
    UnpackOptions options;
    options.on_progress = [&sum](int64_t bytes) { sum += bytes; };
    OverlayChain chain;
    ASSERT_OK(chain.Add(SourceOf(blob, "layer 1", &tar), options));
    EXPECT_EQ(sum, static_cast<int64_t>(blob.size()));
  }
}

// Gives a good beginning, then for ever more of the same body.
class EndlessReader : public ByteReader {
 public:
  absl::StatusOr<size_t> Read(absl::Span<char> buffer) override {
    const size_t count = std::min(buffer.size(), head_.size() - offset_);
    if (count > 0) {
      std::copy_n(head_.data() + offset_, count, buffer.data());
      offset_ += count;
      return count;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    buffer[0] = 'x';
    return 1;
  }

 private:
  const std::string head_ = EncodeTarHeader({.name = "f", .size = int64_t{1} << 35});
  size_t offset_ = 0;
};

TEST(CancellationTest, StopsWithinAMomentInBothForms) {
  for (const bool flat : {false, true}) {
    Cancellation cancellation;
    UnpackOptions options;
    options.cancellation = &cancellation;
    LayerSource source;
    source.name = "layer 1";
    source.open = []() -> absl::StatusOr<std::unique_ptr<ByteReader>> { return std::make_unique<EndlessReader>(); };
    std::chrono::steady_clock::time_point cancelled;
    std::thread canceller([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
      cancelled = std::chrono::steady_clock::now();
      cancellation.Cancel();
    });
    const GuardedRoot root;
    OverlayUnpacker unpacker(root.fd(), options);
    const absl::Status status = flat ? UnpackFlat(root.fd(), {source}, options).status() : unpacker.Stream(source);
    canceller.join();
    EXPECT_EQ(status.code(), absl::StatusCode::kCancelled) << status;
    EXPECT_LT(std::chrono::steady_clock::now() - cancelled, std::chrono::seconds(1)) << flat;
  }
}

class FailingReader : public ByteReader {
 public:
  absl::StatusOr<size_t> Read(absl::Span<char>) override { return absl::UnavailableError("registry: gone"); }
};

TEST(SourceErrorTest, OpenAndReadErrorsComeThroughWithTheLayersName) {
  LayerSource fails_to_open = SourceOf("", "layer 1");
  fails_to_open.open = []() -> absl::StatusOr<std::unique_ptr<ByteReader>> {
    return absl::NotFoundError("blob: no such file");
  };
  LayerSource fails_to_read = SourceOf("", "layer 1");
  fails_to_read.open = []() -> absl::StatusOr<std::unique_ptr<ByteReader>> {
    return std::make_unique<FailingReader>();
  };
  for (const auto& [source, code, words] :
       {std::tuple{fails_to_open, absl::StatusCode::kNotFound, "layer 1: blob: no such file"},
        std::tuple{fails_to_read, absl::StatusCode::kUnavailable, "layer 1: registry: gone"}}) {
    OverlayChain chain;
    EXPECT_THAT(chain.Add(source), StatusIs(code, words));
    const GuardedRoot root;
    EXPECT_THAT(UnpackFlat(root.fd(), {source}, {}), StatusIs(code, words));
    const GuardedRoot second;
    EXPECT_THAT(UnpackFlat(second.fd(), {SourceOf(Tar().File("f").Build(), "layer 0"), source}, {}),
                StatusIs(code, words));
  }
}

// Upper layers are streamed while those below are still on their way: only Finish() looks at them.
TEST(OrderTest, AllStreamedFromTheTopThenFinishedFromTheBase) {
  const std::vector<std::string> tars = {
      Tar().Directory("usr").Directory("usr/bin", {.mode = 0711}).Symlink("bin", "usr/bin").File("f", "1").Build(),
      Tar().File("bin/x", "2").Whiteout("f").Build(),
      Tar().HardLink("bin/y", "usr/bin/x").File("f", "3").Build(),
  };
  const GuardedRoot roots[3];
  std::vector<std::unique_ptr<OverlayUnpacker>> unpackers;
  for (const GuardedRoot& root : roots)
    unpackers.push_back(std::make_unique<OverlayUnpacker>(root.fd(), UnpackOptions()));
  const std::vector<LayerSource> sources = SourcesOf(tars);
  for (size_t i = 3; i > 0; --i) ASSERT_OK(unpackers[i - 1]->Stream(sources[i - 1]));
  ASSERT_OK(unpackers[0]->Finish({}));
  ASSERT_OK(unpackers[1]->Finish({roots[0].fd()}));
  ASSERT_OK(unpackers[2]->Finish({roots[1].fd(), roots[0].fd()}));
  ASSERT_OK_AND_ASSIGN(const auto mount, OverlayMount::Create({roots[2].path(), roots[1].path(), roots[0].path()}));
  ASSERT_OK_AND_ASSIGN(const TreeListing view, ListTree(mount->path()));
  EXPECT_EQ(Lines(view),
            (std::vector<std::string>{"bin l0777 -> usr/bin", R"(f -0644 "3")", "usr d0755", "usr/bin d0711",
                                      R"(usr/bin/x -0644 "2")", R"(usr/bin/y -0644 "2" =usr/bin/x)"}));
}

}  // namespace
}  // namespace sluice::testing
