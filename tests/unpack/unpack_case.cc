#include "tests/unpack/unpack_case.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/tar_builder.h"
#include "tests/testing/temp_dir.h"
#include "unpack/flat_unpacker.h"
#include "unpack/tar_export.h"

namespace sluice::testing {
namespace {

using ::testing::ElementsAreArray;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class StringReaderImpl : public ByteReader {
 public:
  StringReaderImpl(std::string bytes, size_t piece) : bytes_(std::move(bytes)), piece_(piece) {}

  absl::StatusOr<size_t> Read(absl::Span<char> buffer) override {
    const size_t count = std::min({buffer.size(), piece_, bytes_.size() - offset_});
    std::memcpy(buffer.data(), bytes_.data() + offset_, count);
    offset_ += count;
    return count;
  }

 private:
  const std::string bytes_;
  const size_t piece_;
  size_t offset_ = 0;
};

TreeListing ListOrFail(const std::string& path) {
  absl::StatusOr<TreeListing> listing = ListTree(path);
  EXPECT_OK(listing);
  return listing.ok() ? *std::move(listing) : TreeListing{};
}

// Without the root, whose attributes are decided differently in the two forms.
TreeListing Comparable(TreeListing listing) {
  listing.erase(".");
  return listing;
}

TreeListing ListFlat(const std::vector<std::string>& layers) {
  const GuardedRoot root;
  EXPECT_OK(UnpackFlat(root.fd(), SourcesOf(layers), {}));
  root.ExpectNothingOutsideTouched();
  return Comparable(ListOrFail(root.path()));
}

absl::Status RefuseExport(const RefusalCase& refusal) {
  UnpackOptions options;
  options.limits = refusal.limits;
  size_t bytes = 0;
  const auto count = [&bytes](absl::string_view piece) {
    bytes += piece.size();
    return absl::OkStatus();
  };
  const absl::Status status = ExportTar(SourcesOf(refusal.layers), options, count).status();
  EXPECT_EQ(bytes, 0u);
  return status;
}

absl::Status RefuseOverlay(const RefusalCase& refusal) {
  OverlayChain chain;
  absl::Status last;
  const std::vector<LayerSource> sources = SourcesOf(refusal.layers);
  for (size_t i = 0; i < sources.size(); ++i) {
    UnpackOptions options;
    options.limits = refusal.limits;
    last = chain.Add(sources[i], options).status();
    if (i + 1 < sources.size()) {
      EXPECT_OK(last);
    }
  }
  chain.ExpectNothingOutsideTouched();
  return last;
}

absl::Status RefuseFlat(const RefusalCase& refusal) {
  const GuardedRoot root;
  UnpackOptions options;
  options.limits = refusal.limits;
  const absl::Status status = UnpackFlat(root.fd(), SourcesOf(refusal.layers), options).status();
  root.ExpectNothingOutsideTouched();
  return status;
}

}  // namespace

std::unique_ptr<ByteReader> StringReader(std::string bytes, size_t piece) {
  return std::make_unique<StringReaderImpl>(std::move(bytes), piece);
}

LayerSource SourceOf(std::string blob, std::string name, const std::string* tar) {
  LayerSource source;
  source.name = std::move(name);
  source.expected.blob_digest = Digest::Of(blob);
  source.expected.blob_bytes = static_cast<int64_t>(blob.size());
  source.expected.diff_id = Digest::Of(tar != nullptr ? *tar : blob);
  source.open = [blob = std::move(blob)] { return StringReader(blob); };
  return source;
}

std::vector<LayerSource> SourcesOf(const std::vector<std::string>& tars) {
  std::vector<LayerSource> sources;
  for (const std::string& tar : tars) sources.push_back(SourceOf(tar, absl::StrCat("layer ", sources.size() + 1)));
  return sources;
}

absl::StatusOr<std::string> ExportToString(const std::vector<std::string>& tars, const UnpackOptions& options) {
  std::string exported;
  const auto append = [&exported](absl::string_view piece) {
    absl::StrAppend(&exported, piece);
    return absl::OkStatus();
  };
  RETURN_IF_ERROR(ExportTar(SourcesOf(tars), options, append).status());
  return exported;
}

TreeListing ListUntarred(const std::string& tar) {
  const TempDir dir(TempDir::Place::kMemory);
  const std::string archive = dir.At("tar");
  const std::string messages = dir.At("messages");
  std::ofstream(archive) << tar;
  // It doesn't know pax's "hdrcharset", and unpacks the name as it is.
  const std::string command = absl::StrCat(
      "tar -xf ", archive,
      " --warning=no-unknown-keyword --warning=no-timestamp --xattrs --xattrs-include='*' --numeric-owner -C ",
      dir.MakeDirectory("tree"), " >", messages, " 2>&1");
  EXPECT_EQ(::system(command.c_str()), 0);
  std::stringstream said;
  said << std::ifstream(messages).rdbuf();
  EXPECT_EQ(said.str(), "");
  return ListOrFail(dir.At("tree"));
}

std::vector<std::string> Lines(const TreeListing& listing) {
  std::vector<std::string> lines;
  for (const auto& [path, entry] : listing) {
    if (path != ".") lines.push_back(FormatBriefly(entry));
  }
  return lines;
}

void CheckUnpacks(const UnpackCase& unpack_case) {
  OverlayChain chain;
  TreeListing view;
  for (const LayerSource& source : SourcesOf(unpack_case.layers)) {
    const absl::StatusOr<UnpackedLayer> layer = chain.Add(source);
    ASSERT_OK(layer);
    ASSERT_OK_AND_ASSIGN(const auto mount, chain.Mount(chain.size()));
    view = Comparable(ListOrFail(mount->path()));
    const auto prefix_end = unpack_case.layers.begin() + static_cast<std::ptrdiff_t>(chain.size());
    EXPECT_THAT(DiffListings(view, ListFlat({unpack_case.layers.begin(), prefix_end})), IsEmpty())
        << "overlay (first) and flat (second) after " << chain.size() << " layers";
  }
  chain.ExpectNothingOutsideTouched();
  EXPECT_THAT(Lines(view), ElementsAreArray(unpack_case.want));
  ASSERT_OK_AND_ASSIGN(const std::string exported, ExportToString(unpack_case.layers));
  EXPECT_THAT(Lines(ListUntarred(exported)), ElementsAreArray(unpack_case.want)) << "exported, and unpacked by GNU tar";
}

void CheckRefuses(const RefusalCase& refusal) {
  const std::string layer = absl::StrCat("layer ", refusal.layers.size());
  const std::pair<const char*, absl::Status> refusals[] = {
      {"overlay", RefuseOverlay(refusal)}, {"flat", RefuseFlat(refusal)}, {"export", RefuseExport(refusal)}};
  for (const auto& [form, status] : refusals) {
    EXPECT_THAT(status, StatusIs(refusal.code, layer)) << form;
    for (const std::string& word : refusal.words) {
      EXPECT_THAT(std::string(status.message()), HasSubstr(word)) << form;
    }
  }
}

}  // namespace sluice::testing
