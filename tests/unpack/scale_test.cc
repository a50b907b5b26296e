// Layers that are big in number: memory and time stay bounded. Each layer is made while it is read, and unpacked in a
// child process whose peak memory the kernel reports.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <functional>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/testing/compress.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/tar_builder.h"
#include "tests/unpack/unpack_case.h"
#include "unpack/flat_unpacker.h"
#include "unpack/overlay_unpacker.h"
#include "unpack/tar_export.h"

namespace sluice::testing {
namespace {

constexpr int64_t kMostMemory = int64_t{96} << 20;

// Calls `next` for more bytes until it gives none.
class GeneratedReader : public ByteReader {
 public:
  explicit GeneratedReader(std::function<std::string()> next) : next_(std::move(next)) {}

  absl::StatusOr<size_t> Read(absl::Span<char> buffer) override {
    if (offset_ == piece_.size()) {
      piece_ = next_();
      offset_ = 0;
    }
    const size_t count = std::min(buffer.size(), piece_.size() - offset_);
    std::memcpy(buffer.data(), piece_.data() + offset_, count);
    offset_ += count;
    return count;
  }

 private:
  std::function<std::string()> next_;
  std::string piece_;
  size_t offset_ = 0;
};

// A source of `pieces` pieces of tar and the end.
LayerSource Generated(int pieces, std::function<std::string(int piece)> make) {
  LayerSource source;
  source.name = "layer 1";
  source.open = [pieces, make]() -> absl::StatusOr<std::unique_ptr<ByteReader>> {
    return std::make_unique<GeneratedReader>([pieces, make, piece = 0]() mutable {
      if (piece < pieces) return make(piece++);
      return piece++ == pieces ? TarEnd() : std::string();
    });
  };
  return source;
}

struct Outcome {
  std::string message;  // of the status; empty: OK
  int64_t peak_bytes = 0;
  double seconds = 0;
};

// Runs `work` in a child.
Outcome InChild(const std::function<absl::Status()>& work) {
  int pipe_fds[2];
  EXPECT_EQ(::pipe(pipe_fds), 0);
  const auto start = std::chrono::steady_clock::now();
  const pid_t child = ::fork();
  EXPECT_GE(child, 0);
  if (child == 0) {
    const std::string message = work().ToString();
    const ssize_t written = ::write(pipe_fds[1], message.data(), message.size());
    ::_exit(written == static_cast<ssize_t>(message.size()) ? 0 : 1);
  }
  ::close(pipe_fds[1]);
  std::string message(size_t{4} << 10, '\0');
  const ssize_t size = ::read(pipe_fds[0], message.data(), message.size());
  ::close(pipe_fds[0]);
  message.resize(size > 0 ? static_cast<size_t>(size) : 0);
  rusage usage{};
  int status = 0;
  EXPECT_EQ(::wait4(child, &status, 0, &usage), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "the child died: wait status " << status;
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  return {message, int64_t{usage.ru_maxrss} << 10, elapsed.count()};
}

Outcome UnpackOverlayInChild(const LayerSource& source, const UnpackOptions& options = {}) {
  const GuardedRoot root;
  return InChild([&]() -> absl::Status {
    OverlayUnpacker unpacker(root.fd(), options);
    RETURN_IF_ERROR(unpacker.Stream(source));
    return unpacker.Finish({}).status();
  });
}

Outcome UnpackFlatInChild(const std::vector<LayerSource>& sources, const UnpackOptions& options = {}) {
  const GuardedRoot root;
  return InChild([&] { return UnpackFlat(root.fd(), sources, options).status(); });
}

void ExpectOk(const Outcome& outcome, double most_seconds) {
  EXPECT_EQ(outcome.message, "OK");
  EXPECT_LE(outcome.peak_bytes, kMostMemory);
  EXPECT_LE(outcome.seconds, most_seconds);
}

// 2,000 directories of 1,000 entries.
LayerSource TwoMillionEntries() {
  return Generated(2000, [](int directory) {
    TarBuilder tar;
    tar.Directory(absl::StrCat("directory-", directory));
    for (int i = 0; i < 999; ++i) tar.File(absl::StrCat("directory-", directory, "/file-", i));
    return tar.Take();
  });
}

TEST(ScaleTest, TwoMillionEntriesInOverlayForm) { ExpectOk(UnpackOverlayInChild(TwoMillionEntries()), 300); }

TEST(ScaleTest, TwoMillionEntriesInFlatForm) { ExpectOk(UnpackFlatInChild({TwoMillionEntries()}), 300); }

// Every file that is left must be known until it is written.
TEST(ScaleTest, TwoMillionEntriesExported) {
  constexpr int64_t kMostIndexMemory = int64_t{400} << 20;
  const auto ignore = [](absl::string_view /*piece*/) { return absl::OkStatus(); };
  const Outcome outcome = InChild([&] { return ExportTar({TwoMillionEntries()}, {}, ignore).status(); });
  EXPECT_EQ(outcome.message, "OK");
  EXPECT_LE(outcome.peak_bytes, kMostMemory + kMostIndexMemory);
  EXPECT_LE(outcome.seconds, 300);
}

// Their times must be set at the end, so they are remembered.
TEST(ScaleTest, TwoHundredThousandDirectories) {
  const LayerSource source = Generated(2000, [](int piece) {
    TarBuilder tar;
    for (int i = 0; i < 100; ++i) tar.Directory(absl::StrCat("directory-", piece * 100 + i), {.mtime = i});
    return tar.Take();
  });
  ExpectOk(UnpackOverlayInChild(source), 120);
  ExpectOk(UnpackFlatInChild({source}), 120);
}

// All of them must be remembered until the layers below are known: either there is room, or it is said that there
// isn't.
TEST(ScaleTest, AMillionWhiteoutsAreBoundedInMemory) {
  const LayerSource source = Generated(1000, [](int piece) {
    TarBuilder tar;
    for (int i = 0; i < 1000; ++i) tar.Whiteout(absl::StrCat("d/a-name-of-some-length-", piece, "-", i));
    return tar.Take();
  });
  const Outcome outcome = UnpackOverlayInChild(source);
  EXPECT_TRUE(outcome.message == "OK" || outcome.message.find("names to be remembered") != std::string::npos)
      << outcome.message;
  EXPECT_LE(outcome.peak_bytes, kMostMemory + (int64_t{64} << 20));
  EXPECT_LE(outcome.seconds, 120);
}

TEST(ScaleTest, AMillionPiecesOfASparseFile) {
  std::vector<SparseData> data;
  for (int i = 0; i < 1'000'000; ++i) data.push_back({int64_t{i} * 2, "x"});
  for (const SparseFormat format : {SparseFormat::kOldGnu, SparseFormat::kPax01, SparseFormat::kPax10}) {
    const std::string tar = TarBuilder().SparseFile("f", format, 2'000'000, data).Build();
    const GuardedRoot root;
    // The archive is in the memory of this process and so of its child: what counts is what comes on top.
    const Outcome nothing = InChild([] { return absl::OkStatus(); });
    const Outcome outcome = InChild([&]() -> absl::Status {
      OverlayUnpacker unpacker(root.fd(), {});
      LayerSource source;
      source.name = "layer 1";
      source.open = [&tar]() -> absl::StatusOr<std::unique_ptr<ByteReader>> {
        return std::make_unique<GeneratedReader>([&tar, offset = size_t{0}]() mutable {
          const std::string piece = tar.substr(std::min(offset, tar.size()), size_t{64} << 10);
          offset += piece.size();
          return piece;
        });
      };
      return unpacker.Stream(source);
    });
    EXPECT_TRUE(outcome.message == "OK" || outcome.message.find("layer 1") != std::string::npos) << outcome.message;
    EXPECT_LE(outcome.peak_bytes - nothing.peak_bytes, kMostMemory) << static_cast<int>(format);
    EXPECT_LE(outcome.seconds, 60) << static_cast<int>(format);
  }
}

TEST(ScaleTest, ThreeThousandLayers) {
  std::vector<LayerSource> sources;
  for (int i = 0; i < 3000; ++i) {
    const std::string name = absl::StrCat("f", i % 100);
    sources.push_back(SourceOf(Gzip(TarBuilder().File(name, absl::StrCat(i)).Build()), absl::StrCat("layer ", i)));
    sources.back().expected.diff_id.reset();
  }
  ExpectOk(UnpackFlatInChild(sources), 120);
}

// 100,000 special headers in a row must not be 100,000 stack frames.
TEST(ScaleTest, ManySpecialHeadersBeforeOneEntry) {
  for (const char type : {'x', 'g', 'L', 'K'}) {
    const LayerSource source = Generated(1000, [type](int piece) {
      TarBuilder tar;
      for (int i = 0; i < 100; ++i) tar.Special(type, type == 'x' || type == 'g' ? "13 comment=c\n" : "name");
      if (piece == 999) tar.File("f");
      return tar.Take();
    });
    const Outcome outcome = UnpackOverlayInChild(source);
    EXPECT_TRUE(outcome.message == "OK" || outcome.message.find("layer 1") != std::string::npos) << outcome.message;
    EXPECT_LE(outcome.peak_bytes, kMostMemory) << type;
    EXPECT_LE(outcome.seconds, 60) << type;
  }
}

// The deepest tree that is allowed, with a file at each level and the name of each level listed.
TEST(ScaleTest, EveryLevelOfTheDeepestTree) {
  const LayerSource source = Generated(4000, [](int depth) {
    std::string path;
    for (int i = 0; i <= depth; ++i) absl::StrAppend(&path, i == 0 ? "" : "/", "d");
    return TarBuilder().Directory(path).File(path + "/f").Take();
  });
  ExpectOk(UnpackOverlayInChild(source), 120);
  ExpectOk(UnpackFlatInChild({source}), 120);
}

}  // namespace
}  // namespace sluice::testing
