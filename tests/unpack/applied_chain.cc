#include <filesystem>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/digest.h"
#include "base/status_macros.h"
#include "glog/logging.h"
#include "gtest/gtest.h"
#include "snapshotter/fill/applier_fixture.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/text_reader.h"
#include "tests/unpack/guarded_root.h"
#include "tests/unpack/overlay_chain.h"

namespace sluice::testing {
namespace {

// One root for all chains of the program: the tests have thousands.
ApplierFixture& Node() {
  static ApplierFixture node;
  FLAGS_minloglevel = google::GLOG_ERROR;  // not one line for each of them
  return node;
}

std::string NextKey() {
  static int keys = 0;
  return absl::StrCat("default/", ++keys, "/layer");
}

// In the unpacker's words, which the tests are written for.
absl::Status AsOfTheUnpacker(const absl::Status& status, const std::string& applied_name, const std::string& name) {
  return absl::Status(absl::IsUnimplemented(status) ? absl::StatusCode::kFailedPrecondition : status.code(),
                      absl::StrReplaceAll(status.message(), {{applied_name, name}}));
}

}  // namespace

class OverlayChain::Impl {
 public:
  ~Impl() {
    for (auto name = names_.rbegin(); name != names_.rend(); ++name)
      EXPECT_OK(Node().snapshotter()->Remove("sluice", *name));
  }

  absl::StatusOr<UnpackedLayer> Add(const LayerSource& source, const UnpackOptions& options) {
    const std::string key = NextKey();
    ASSIGN_OR_RETURN(const std::vector<sluice::Mount> mounts, Node().snapshotter().Prepare(key, parent_));
    directories_.push_back(Node().Directory(mounts));
    names_.push_back(key);

    Node().blobs().Clear();
    ASSIGN_OR_RETURN(const std::unique_ptr<ByteReader> reader, source.open());
    ASSIGN_OR_RETURN(const std::string blob, ReadToEnd(*reader));
    const Digest digest = source.expected.blob_digest.value_or(Digest::Of(blob));
    Node().blobs().PutAs(digest, blob);
    Node().Stop();
    Node().Start({.workers = 1, .limits = options.limits});
    const absl::StatusOr<AppliedLayer> applied =
        Node().Apply(ApplierFixture::Request(digest, mounts, source.expected.blob_bytes.value_or(0)));
    EXPECT_EQ(Node().leftovers(), 0);
    if (!applied.ok()) {
      EXPECT_TRUE(std::filesystem::is_empty(directories_.back())) << "something of a refused layer is left";
      return AsOfTheUnpacker(applied.status(), "layer " + digest.Short(), source.name);
    }
    EXPECT_EQ(applied->diff_id, source.expected.diff_id.value_or(applied->diff_id));
    parent_ = key + " committed";
    RETURN_IF_ERROR(Node().snapshotter()->Commit("sluice", parent_, key, {}));
    names_.back() = parent_;
    UnpackedLayer layer;
    layer.blob_digest = digest;
    layer.blob_bytes = static_cast<int64_t>(blob.size());
    layer.diff_id = applied->diff_id;
    layer.tar_bytes = applied->tar_bytes;
    return layer;
  }

  void ExpectNothingOutsideTouched() const {
    outside_.ExpectNothingOutsideTouched();
    for (const std::string& directory : directories_) {
      std::set<std::string> names;
      for (const auto& entry : std::filesystem::directory_iterator(std::filesystem::path(directory).parent_path())) {
        names.insert(entry.path().filename());
      }
      EXPECT_EQ(names, (std::set<std::string>{"fs", "work"}));
    }
  }

  const std::vector<std::string>& directories() const { return directories_; }

 private:
  const GuardedRoot outside_;
  std::string parent_;
  std::vector<std::string> names_;  // keys or names of the snapshots, base first
  std::vector<std::string> directories_;
};

OverlayChain::OverlayChain() : impl_(std::make_unique<Impl>()) {}
OverlayChain::~OverlayChain() = default;

absl::StatusOr<UnpackedLayer> OverlayChain::Add(const LayerSource& source, const UnpackOptions& options) {
  return impl_->Add(source, options);
}

absl::StatusOr<std::unique_ptr<OverlayMount>> OverlayChain::Mount(size_t count) const {
  std::vector<std::string> lowers;
  for (size_t i = count; i > 0; --i) lowers.push_back(directory(i - 1));
  return OverlayMount::Create(lowers);
}

const std::string& OverlayChain::directory(size_t layer) const { return impl_->directories()[layer]; }

size_t OverlayChain::size() const { return impl_->directories().size(); }

void OverlayChain::ExpectNothingOutsideTouched() const { impl_->ExpectNothingOutsideTouched(); }

}  // namespace sluice::testing
