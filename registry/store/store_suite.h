// The fixture of the tests that every kind of store has to pass.
#pragma once

#include <sys/inotify.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/types/span.h"
#include "base/byte_reader.h"
#include "base/unique_fd.h"
#include "gtest/gtest.h"
#include "registry/manifest.h"
#include "registry/store/store.h"
#include "registry/store/store_tree.h"
#include "tests/testing/oci_layout_builder.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/tar_builder.h"
#include "tests/testing/temp_dir.h"

namespace sluice {

inline constexpr const char* kHost = StoreTree::kHost;

inline std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// In place, as those writers do that can be caught at it.
inline void Overwrite(const std::string& path, const std::string& content) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
}

inline std::string ReadRest(ByteReader& reader) {
  std::string all;
  std::vector<char> buffer(10'000);
  while (true) {
    const absl::StatusOr<size_t> count = reader.Read(absl::MakeSpan(buffer));
    EXPECT_OK(count);
    if (!count.ok() || *count == 0) return all;
    all.append(buffer.data(), *count);
  }
}

// A file that is torn until somebody has read it once: then its writer comes to the end.
class TornFile {
 public:
  TornFile(std::string path, const std::string& torn)
      : path_(std::move(path)), whole_(ReadFile(path_)), events_(inotify_init1(IN_CLOEXEC)) {
    Overwrite(path_, torn);
    EXPECT_GE(inotify_add_watch(events_.get(), path_.c_str(), IN_CLOSE_NOWRITE), 0);
    writer_ = std::thread([this] {
      inotify_event event = {};
      EXPECT_EQ(read(events_.get(), &event, sizeof(event)), static_cast<ssize_t>(sizeof(event)));
      Overwrite(path_, whole_);
    });
  }
  ~TornFile() { writer_.join(); }

 private:
  const std::string path_;
  const std::string whole_;
  const UniqueFd events_;
  std::thread writer_;
};

// Whether `ask`, which finds the file torn at first, gets its answer all the same. A reader waits for 85 ms only, so on
// a busy machine the writer may be too late: some tries are given to it.
template <typename Ask>
bool IsReadAgain(const std::string& path, const std::string& torn, const Ask& ask) {
  for (int tries = 0; tries < 20; ++tries) {
    const TornFile file(path, torn);
    if (ask()) return true;
  }
  return false;
}

class StoreSuite : public ::testing::TestWithParam<const char*> {
 protected:
  static Reference Ref(const std::string& repository, const std::string& tag, const std::string& host = kHost) {
    return {host, repository, tag, std::nullopt};
  }
  static Reference Ref(const std::string& repository, const Digest& digest, const std::string& host = kHost) {
    return {host, repository, "", digest};
  }
  static std::vector<Endpoint> From(const std::string& repository, const std::string& host = kHost) {
    return {{host, repository}};
  }

  // An image with one layer that has `name` in it, of some size.
  static testing::ImageSpec Spec(const std::string& name) {
    std::string content = name;
    for (int i = 0; content.size() < 50'000; ++i) absl::StrAppend(&content, name, i * i);
    testing::ImageSpec spec;
    spec.layers = {{.tar = testing::TarBuilder().File(name, content).Build()}};
    spec.config = {{"Labels", {{"name", name}}}};
    return spec;
  }

  testing::BuiltImage Push(const std::string& name, const std::string& repository, const std::string& tag) {
    const testing::BuiltImage image = source_.AddImage(Spec(name), name);
    tree_->Push(source_.directory(), name, repository, tag);
    return image;
  }

  // All of the image is there, under the name of `repository`.
  void ExpectWhole(const Store& store, const testing::BuiltImage& image, const std::string& repository) {
    const std::vector<Endpoint> origins = From(repository);
    const absl::StatusOr<std::string> manifest = store.ReadDocument(image.manifest, kMaxManifestBytes, origins);
    ASSERT_OK(manifest);
    EXPECT_EQ(*manifest, image.manifest_json);
    const absl::StatusOr<std::string> config = store.ReadDocument(image.config, 100'000, origins);
    ASSERT_OK(config);
    EXPECT_EQ(*config, image.config_json);
    for (const testing::BuiltLayer& layer : image.layers) {
      const auto reader = store.OpenBlob(layer.digest, layer.size, origins);
      ASSERT_OK(reader);
      EXPECT_EQ(Digest::Of(ReadRest(**reader)), layer.digest);
    }
  }

  bool has_repositories() const { return GetParam() != std::string("oci-layout"); }

  testing::TempDir dir_;
  testing::OciLayoutBuilder source_{dir_.MakeDirectory("source")};
  std::unique_ptr<StoreTree> tree_ = StoreTree::Make(GetParam(), dir_.MakeDirectory("tree"));
  std::unique_ptr<Store> store_ = tree_->Open({kHost});
};

// Without the dash, which the name of a test can't have.
inline std::string KindName(const ::testing::TestParamInfo<const char*>& test) {
  return absl::StrReplaceAll(test.param, {{"-", ""}});
}

}  // namespace sluice
