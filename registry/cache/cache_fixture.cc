#include "registry/cache/cache_fixture.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <random>
#include <sstream>
#include <utility>

#include "base/status_macros.h"

namespace sluice::testing {

std::string MakeBlob(uint64_t seed, size_t size) {
  std::mt19937_64 engine(seed);
  std::string bytes(size, '\0');
  for (size_t i = 0; i < size; i += sizeof(uint64_t)) {
    const uint64_t word = engine();
    std::memcpy(&bytes[i], &word, std::min(sizeof(word), size - i));
  }
  return bytes;
}

class Origin::Reader : public ByteReader {
 public:
  Reader(Origin& origin, int64_t offset, const Cancellation* cancellation)
      : origin_(origin), offset_(offset), cancellation_(cancellation) {}

  absl::StatusOr<size_t> Read(absl::Span<char> buffer) override {
    ASSIGN_OR_RETURN(const size_t count, origin_.Read(offset_, buffer, cancellation_));
    offset_ += static_cast<int64_t>(count);
    return count;
  }

 private:
  Origin& origin_;
  int64_t offset_;
  const Cancellation* const cancellation_;
};

BlobCache::Fetch Origin::Fetch(const Cancellation* cancellation) {
  return [this, cancellation](int64_t offset) -> absl::StatusOr<std::unique_ptr<ByteReader>> {
    const MutexLock lock(mutex_);
    fetches_.push_back(offset);
    return std::make_unique<Reader>(*this, offset, cancellation);
  };
}

absl::StatusOr<size_t> Origin::Read(int64_t offset, absl::Span<char> buffer, const Cancellation* cancellation) {
  const MutexLock lock(mutex_);
  while (offset == stop_at_ && (cancellation == nullptr || !cancellation->cancelled())) {
    is_stopped_ = true;
    changed_.NotifyAll();
    changed_.WaitFor(mutex_, std::chrono::milliseconds(5));
  }
  if (cancellation != nullptr) RETURN_IF_ERROR(cancellation->Check());
  if (offset == fail_at_) return error_;
  int64_t end = static_cast<int64_t>(served_.size());
  if (stop_at_ > offset) end = std::min(end, stop_at_);
  if (fail_at_ > offset) end = std::min(end, fail_at_);
  if (offset >= end) return 0;
  const size_t count = std::min(buffer.size(), static_cast<size_t>(end - offset));
  std::memcpy(buffer.data(), served_.data() + offset, count);
  bytes_ += static_cast<int64_t>(count);
  return count;
}

void Origin::FailAt(int64_t offset, absl::Status error) {
  const MutexLock lock(mutex_);
  fail_at_ = offset;
  error_ = std::move(error);
}

void Origin::Heal() {
  const MutexLock lock(mutex_);
  fail_at_ = -1;
}

void Origin::StopAt(int64_t offset) {
  const MutexLock lock(mutex_);
  stop_at_ = offset;
}

void Origin::Continue() {
  const MutexLock lock(mutex_);
  stop_at_ = -1;
  changed_.NotifyAll();
}

void Origin::AwaitStopped() {
  const MutexLock lock(mutex_);
  while (!is_stopped_) changed_.Wait(mutex_);
}

std::vector<int64_t> Origin::fetches() const {
  const MutexLock lock(mutex_);
  return fetches_;
}

int64_t Origin::bytes() const {
  const MutexLock lock(mutex_);
  return bytes_;
}

absl::StatusOr<std::string> ReadToEnd(ByteReader& reader, size_t piece) {
  std::string read;
  std::vector<char> buffer(piece);
  while (true) {
    ASSIGN_OR_RETURN(const size_t count, reader.Read(absl::MakeSpan(buffer)));
    if (count == 0) return read;
    read.append(buffer.data(), count);
  }
}

absl::StatusOr<std::string> ReadBytes(ByteReader& reader, size_t count) {
  std::string read(count, '\0');
  size_t filled = 0;
  while (filled < count) {
    ASSIGN_OR_RETURN(const size_t more, reader.Read(absl::MakeSpan(read).subspan(filled)));
    if (more == 0) break;
    filled += more;
  }
  read.resize(filled);
  return read;
}

std::string ReadFile(const std::string& path) {
  std::stringstream content;
  content << std::ifstream(path, std::ios::binary).rdbuf();
  return content.str();
}

void WriteFile(const std::string& path, absl::string_view content) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(content.data(), static_cast<std::streamsize>(content.size()));
  file.close();
  if (!file) std::cerr << path << ": cannot be written" << std::endl, std::abort();
}

std::unique_ptr<BlobCache> CacheFixture::Open(const BlobCacheOptions& options) const {
  return BlobCache::Open(path_, options).value();
}

std::unique_ptr<ByteReader> CacheFixture::Download(Origin& origin, const Cancellation* cancellation) const {
  return cache_->OpenOrFetch(origin.digest(), origin.size(), origin.Fetch(cancellation), cancellation).value();
}

Digest CacheFixture::Add(const std::string& content, int64_t used_at) const {
  Origin origin(content);
  EXPECT_THAT(ReadToEnd(*Download(origin)), Gives(content));
  SetUsed(BlobPath(origin.digest()), used_at);
  return origin.digest();
}

void CacheFixture::SetUsed(const std::string& path, int64_t used_at) const {
  const timespec times[2] = {{used_at, 0}, {used_at, 0}};
  EXPECT_EQ(utimensat(AT_FDCWD, path.c_str(), times, 0), 0) << path;
}

void CacheFixture::ExpectAllBlobsIntact() const {
  for (const std::string& name : NamesIn(path_ + "/blobs/sha256")) {
    std::ifstream file(path_ + "/blobs/sha256/" + name, std::ios::binary);
    // Another process may have removed it.
    if (!file) continue;
    std::stringstream content;
    content << file.rdbuf();
    EXPECT_EQ(Digest::Of(content.str()).Hex(), name);
  }
}

std::vector<std::string> CacheFixture::NamesIn(const std::string& directory) const {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace sluice::testing
