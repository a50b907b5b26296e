// A blob cache in a directory of its own, and somewhere to download from that can be watched and stopped.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/byte_reader.h"
#include "base/cancellation.h"
#include "base/digest.h"
#include "base/mutex.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "registry/cache/blob_cache.h"
#include "tests/testing/temp_dir.h"

namespace sluice::testing {

// Bytes that are the same for the same seed, in every process.
std::string MakeBlob(uint64_t seed, size_t size);

// A registry that has one blob. Thread-safe; outlives its readers.
class Origin {
 public:
  explicit Origin(std::string content) : content_(std::move(content)), digest_(Digest::Of(content_)) {}

  const std::string& content() const { return content_; }
  const Digest& digest() const { return digest_; }
  int64_t size() const { return static_cast<int64_t>(content_.size()); }

  // What goes over the wire where that is not the content.
  void Serve(std::string other) { served_ = std::move(other); }
  // Every reader gives this error once it comes to `offset`.
  void FailAt(int64_t offset, absl::Status error);
  void Heal();
  // Readers wait when they come to `offset`, until they are cancelled or Continue() is called.
  void StopAt(int64_t offset);
  void Continue();
  // Returns when a reader has come there.
  void AwaitStopped();

  // `cancellation` may be null.
  BlobCache::Fetch Fetch(const Cancellation* cancellation = nullptr);

  // The offsets that were asked for, in order, and all bytes that were handed out.
  std::vector<int64_t> fetches() const;
  int64_t bytes() const;

 private:
  class Reader;
  absl::StatusOr<size_t> Read(int64_t offset, absl::Span<char> buffer, const Cancellation* cancellation);

  const std::string content_;
  const Digest digest_;
  std::string served_ = content_;
  mutable Mutex mutex_;
  CondVar changed_;
  int64_t stop_at_ SLUICE_GUARDED_BY(mutex_) = -1;
  int64_t fail_at_ SLUICE_GUARDED_BY(mutex_) = -1;
  absl::Status error_ SLUICE_GUARDED_BY(mutex_);
  bool is_stopped_ SLUICE_GUARDED_BY(mutex_) = false;
  std::vector<int64_t> fetches_ SLUICE_GUARDED_BY(mutex_);
  int64_t bytes_ SLUICE_GUARDED_BY(mutex_) = 0;
};

// The rest of the stream, `piece` bytes at a time.
absl::StatusOr<std::string> ReadToEnd(ByteReader& reader, size_t piece = 64 << 10);
// Up to `count` bytes, less only at the end of the stream.
absl::StatusOr<std::string> ReadBytes(ByteReader& reader, size_t count);

// EXPECT_THAT(ReadToEnd(*reader), Gives(origin.content()));
// Says where the first difference is: nobody wants to read a million bytes.
MATCHER_P(Gives, content, "") {
  if (!arg.ok()) {
    *result_listener << arg.status().ToString();
    return false;
  }
  const std::string& expected = content;
  const auto [at, expected_at] = std::mismatch(arg->begin(), arg->end(), expected.begin(), expected.end());
  *result_listener << arg->size() << " of " << expected.size() << " bytes, of which the first " << at - arg->begin()
                   << " are right";
  return *arg == expected;
}

std::string ReadFile(const std::string& path);
void WriteFile(const std::string& path, absl::string_view content);

class CacheFixture : public ::testing::Test {
 protected:
  explicit CacheFixture(TempDir::Place place = TempDir::Place::kDisk) : dir_(place) { cache_ = Open(); }

  std::unique_ptr<BlobCache> Open(const BlobCacheOptions& options = {.max_bytes = int64_t{1} << 40}) const;

  std::string BlobPath(const Digest& digest) const { return path_ + "/blobs/sha256/" + digest.Hex(); }
  std::string IngestPath(const Digest& digest) const { return path_ + "/ingest/" + digest.Hex(); }
  // A download from `origin`; ends the test program if the cache refuses.
  std::unique_ptr<ByteReader> Download(Origin& origin, const Cancellation* cancellation = nullptr) const;
  // Puts a whole blob into the cache, as if it had been used at `used_at`, seconds since 1970.
  Digest Add(const std::string& content, int64_t used_at) const;
  void SetUsed(const std::string& path, int64_t used_at) const;
  // Each blob that is there is what its name says.
  void ExpectAllBlobsIntact() const;
  std::vector<std::string> NamesIn(const std::string& directory) const;

  TempDir dir_;
  const std::string path_ = dir_.At("cache");
  std::unique_ptr<BlobCache> cache_;
};

}  // namespace sluice::testing
