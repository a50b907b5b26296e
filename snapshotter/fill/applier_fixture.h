// An Applier over real snapshots; containerd's content store is in memory, unless a test has a real one.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/mutex.h"
#include "gtest/gtest.h"
#include "snapshotter/active_snapshots.h"
#include "snapshotter/fill/applier.h"
#include "snapshotter/fill/content_store.h"
#include "snapshotter/fill/worker_pool.h"
#include "snapshotter/snapshotter_fixture.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/tree_listing.h"

namespace sluice::testing {

// Blobs of the namespace "default", and nothing that a resolver asks for. Its readers can be stopped.
class BlobsInMemory : public ContentStore {
 public:
  Digest Put(const std::string& blob) {
    const Digest digest = Digest::Of(blob);
    PutAs(digest, blob);
    return digest;
  }
  // Content that is not what its name says.
  void PutAs(const Digest& digest, const std::string& blob) {
    const MutexLock lock(mutex_);
    blobs_[digest] = blob;
  }
  void Clear() {
    const MutexLock lock(mutex_);
    blobs_.clear();
  }

  // From now on no reader gets more than `bytes` until Release().
  void StopAfter(size_t bytes) {
    const MutexLock lock(mutex_);
    allowed_ = bytes;
  }
  void Release() {
    const MutexLock lock(mutex_);
    allowed_ = SIZE_MAX;
    changed_.NotifyAll();
  }
  // Until as many readers stand still as that.
  void AwaitStopped(int readers) {
    const MutexLock lock(mutex_);
    while (stopped_ < readers) changed_.Wait(mutex_);
  }
  int opened() {
    const MutexLock lock(mutex_);
    return opened_;
  }

  absl::StatusOr<std::unique_ptr<ByteReader>> OpenBlob(const std::string& containerd_namespace, const Digest& digest,
                                                       const Cancellation* cancellation) override {
    const MutexLock lock(mutex_);
    ++opened_;
    const auto found = blobs_.find(digest);
    if (containerd_namespace != "default" || found == blobs_.end()) {
      return absl::NotFoundError(absl::StrCat("containerd: read ", digest.ToString(), ": not found"));
    }
    return std::make_unique<Reader>(*this, found->second, cancellation);
  }

  absl::StatusOr<std::vector<ContentInfo>> ListManifests(const std::string&, absl::Time) override { return Nothing(); }
  absl::StatusOr<std::vector<Digest>> ListLeased(const std::string&, absl::Time) override { return Nothing(); }
  absl::StatusOr<ContentInfo> Stat(const std::string&, const Digest&, absl::Time) override { return Nothing(); }
  absl::StatusOr<std::string> ReadDocument(const std::string&, const Digest&, int64_t, absl::Time) override {
    return Nothing();
  }
  bool HasBlob(const std::string&, const Digest&, std::optional<int64_t>, absl::Time) override { return false; }
  absl::StatusOr<std::vector<ImageRecord>> ListImages(const std::string&, absl::Time) override { return Nothing(); }

 private:
  static absl::Status Nothing() { return absl::UnavailableError("only blobs are here"); }

  class Reader : public ByteReader {
   public:
    Reader(BlobsInMemory& store, std::string blob, const Cancellation* cancellation)
        : store_(store), blob_(std::move(blob)), cancellation_(cancellation) {}

    absl::StatusOr<size_t> Read(absl::Span<char> buffer) override {
      const absl::StatusOr<size_t> allowed = store_.Allowed(used_, cancellation_);
      if (!allowed.ok()) return allowed.status();
      const size_t count = std::min({buffer.size(), blob_.size() - used_, *allowed - used_});
      std::memcpy(buffer.data(), blob_.data() + used_, count);
      used_ += count;
      return count;
    }

   private:
    BlobsInMemory& store_;
    const std::string blob_;
    const Cancellation* const cancellation_;
    size_t used_ = 0;
  };

  // More than `used`, once there is more.
  absl::StatusOr<size_t> Allowed(size_t used, const Cancellation* cancellation) {
    const MutexLock lock(mutex_);
    if (allowed_ > used) return allowed_;
    ++stopped_;
    changed_.NotifyAll();
    while (allowed_ <= used) {
      if (cancellation->cancelled()) break;
      changed_.WaitFor(mutex_, std::chrono::milliseconds(10));
    }
    --stopped_;
    if (allowed_ <= used) return absl::CancelledError("cancelled");
    return allowed_;
  }

  Mutex mutex_;
  CondVar changed_;
  std::map<Digest, std::string> blobs_ SLUICE_GUARDED_BY(mutex_);
  size_t allowed_ SLUICE_GUARDED_BY(mutex_) = SIZE_MAX;
  int stopped_ SLUICE_GUARDED_BY(mutex_) = 0;
  int opened_ SLUICE_GUARDED_BY(mutex_) = 0;
};

// The answer of an Apply, waited for.
class ApplyResult {
 public:
  Applier::Done Callback() {
    return [this](absl::StatusOr<AppliedLayer> applied) {
      const MutexLock lock(mutex_);
      ++answers_;
      applied_ = std::move(applied);
      answered_.NotifyAll();
    };
  }
  absl::StatusOr<AppliedLayer> Wait() {
    const MutexLock lock(mutex_);
    while (answers_ == 0) answered_.Wait(mutex_);
    return applied_;
  }
  int answers() {
    const MutexLock lock(mutex_);
    return answers_;
  }

 private:
  Mutex mutex_;
  CondVar answered_;
  int answers_ SLUICE_GUARDED_BY(mutex_) = 0;
  absl::StatusOr<AppliedLayer> applied_ SLUICE_GUARDED_BY(mutex_);
};

// What is in a directory tree, the root left out.
inline std::vector<std::string> LinesOf(const std::string& path) {
  std::vector<std::string> lines;
  const absl::StatusOr<TreeListing> listing = ListTree(path);
  EXPECT_OK(listing);
  if (!listing.ok()) return lines;
  for (const auto& [name, entry] : *listing) {
    if (name != ".") lines.push_back(FormatBriefly(entry));
  }
  return lines;
}

class ApplierFixture {
 public:
  explicit ApplierFixture(const Applier::Options& options = {.workers = 2}, ContentStore* content = nullptr) {
    Start(options, content);
  }
  ~ApplierFixture() { Stop(); }

  // `content`, borrowed: instead of blobs().
  void Start(const Applier::Options& options, ContentStore* content = nullptr) {
    quick_ = std::make_unique<WorkerPool>(1);
    active_ = std::make_unique<ActiveSnapshots>(snapshotter_.tree(), snapshotter_.metadata());
    applier_ = std::make_unique<Applier>(*active_, snapshotter_.layers(), content != nullptr ? *content : blobs_,
                                         *quick_, options);
  }
  void Stop() {
    if (applier_ != nullptr) applier_->Shutdown();
    quick_.reset();
    applier_.reset();
  }

  SnapshotterFixture& snapshotter() { return snapshotter_; }
  BlobsInMemory& blobs() { return blobs_; }
  WorkerPool& quick() { return *quick_; }
  Applier& operator*() { return *applier_; }
  Applier* operator->() { return applier_.get(); }

  static ApplyRequest Request(const Digest& digest, std::vector<Mount> mounts, int64_t size = 0) {
    ApplyRequest request;
    request.containerd_namespace = "default";
    request.media_type = "application/vnd.oci.image.layer.v1.tar+gzip";
    request.digest = digest.ToString();
    request.size = size;
    request.mounts = std::move(mounts);
    return request;
  }
  absl::StatusOr<AppliedLayer> Apply(ApplyRequest request) {
    ApplyResult result;
    applier_->Apply(std::move(request), std::make_shared<Cancellation>(), result.Callback());
    return result.Wait();
  }
  // Puts the blob into the content store first.
  absl::StatusOr<AppliedLayer> Apply(const std::string& blob, std::vector<Mount> mounts) {
    return Apply(Request(blobs_.Put(blob), std::move(mounts), static_cast<int64_t>(blob.size())));
  }

  // The own directory that these mounts name.
  std::string Directory(const std::vector<Mount>& mounts) {
    return snapshotter_.tree().layout().FsPath(active_->Find(mounts)->directory_id);
  }
  // Directories that were staged and are not in place.
  int leftovers() const {
    int count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(snapshotter_.Path(""))) {
      count += absl::StartsWith(entry.path().filename().string(), "new-") ? 1 : 0;
    }
    return count;
  }

 private:
  SnapshotterFixture snapshotter_;
  BlobsInMemory blobs_;
  std::unique_ptr<WorkerPool> quick_;
  std::unique_ptr<ActiveSnapshots> active_;
  std::unique_ptr<Applier> applier_;
};

}  // namespace sluice::testing
