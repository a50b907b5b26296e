#include "unpack/flat_unpacker.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/cancellation.h"
#include "base/errno_status.h"
#include "base/mutex.h"
#include "base/remove_tree.h"
#include "base/status_macros.h"
#include "base/unique_fd.h"
#include "unpack/disk_tree.h"
#include "unpack/flat_below.h"
#include "unpack/interruption.h"
#include "unpack/layer_settler.h"
#include "unpack/layer_unpacking.h"
#include "unpack/overlay_below.h"
#include "unpack/tree_merge.h"

namespace sluice {
namespace {

// Layers are streamed into trees of their own, which are then moved over one another in order: a whiteout deletes what
// is below and never an entry of its own layer, and layers need not wait for each other.
constexpr size_t kStreams = 2;  // at a time
constexpr size_t kAhead = 4;    // layers that may be in the making beyond the one to be moved next

// A name that no image can know.
std::string StagingName() {
  std::random_device random;
  return absl::StrFormat(".sluice-%08x%08x%08x%08x", random(), random(), random(), random());
}

class FlatUnpacking {
 public:
  FlatUnpacking(int root_fd, absl::Span<const LayerSource> layers, const UnpackOptions& options, MetadataPolicy& policy)
      : root_fd_(root_fd),
        sources_(layers),
        options_(options),
        policy_(policy),
        interruption_(options.cancellation, &failed_),
        staging_name_(StagingName()),
        tree_(RootedDirectory(root_fd)),
        jobs_(layers.size()) {
    if (options.on_progress) {
      options_.on_progress = [this, report = options.on_progress](int64_t bytes) {
        MutexLock lock(progress_mutex_);
        report(bytes);
      };
    }
  }

  absl::StatusOr<std::vector<UnpackedLayer>> Run() {
    if (::mkdirat(root_fd_, staging_name_.c_str(), 0700) != 0) return ErrnoStatus(errno, "mkdirat", staging_name_);
    staging_fd_.Reset(::openat(root_fd_, staging_name_.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!staging_fd_.valid()) return ErrnoStatus(errno, "openat", staging_name_);
    std::vector<std::thread> threads;
    for (size_t i = 0; i < kStreams && i < jobs_.size(); ++i) threads.emplace_back([this] { StreamLayers(); });
    absl::Status status = MoveLayers();
    if (!status.ok()) Fail();
    for (std::thread& thread : threads) thread.join();
    if (!status.ok()) return FirstCause(std::move(status));
    RETURN_IF_ERROR(RemoveTreeAt(root_fd_, staging_name_));
    RETURN_IF_ERROR(FinishRoot());
    return std::move(results_);
  }

 private:
  struct Job {
    UniqueFd fd;  // its tree, where it is not the root
    std::unique_ptr<DiskTree> files;
    std::unique_ptr<LayerUnpacking> unpacking;
    bool streamed = false;
    absl::Status status;
  };

  // On each of the streaming threads.
  void StreamLayers() {
    for (;;) {
      size_t index = 0;
      {
        MutexLock lock(mutex_);
        while (next_ < jobs_.size() && next_ > moved_ + kAhead && !failed_.cancelled()) changed_.Wait(mutex_);
        if (next_ == jobs_.size() || failed_.cancelled()) return;
        index = next_++;
      }
      absl::Status status = StreamLayer(index);
      const bool ok = status.ok();
      {
        MutexLock lock(mutex_);
        jobs_[index].status = std::move(status);
        jobs_[index].streamed = true;
        changed_.NotifyAll();
      }
      if (!ok) {
        Fail();
        return;
      }
    }
  }

  absl::Status StreamLayer(size_t index) {
    Job& job = jobs_[index];
    int fd = root_fd_;
    if (index > 0) {
      const std::string name = absl::StrCat(index);
      if (::mkdirat(staging_fd_.get(), name.c_str(), 0700) != 0) return ErrnoStatus(errno, "mkdirat", name);
      job.fd.Reset(::openat(staging_fd_.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
      if (!job.fd.valid()) return ErrnoStatus(errno, "openat", name);
      fd = job.fd.get();
    }
    job.files = std::make_unique<DiskTree>(fd, policy_);
    job.unpacking = std::make_unique<LayerUnpacking>(*job.files, options_, interruption_);
    return Annotate(job.unpacking->Stream(sources_[index]), sources_[index].name);
  }

  absl::Status MoveLayers() {
    for (size_t index = 0; index < jobs_.size(); ++index) {
      Job& job = jobs_[index];
      {
        MutexLock lock(mutex_);
        while (!job.streamed && !failed_.cancelled()) changed_.Wait(mutex_);
        if (!job.streamed) return absl::CancelledError("cancelled");
      }
      RETURN_IF_ERROR(job.status);
      RETURN_IF_ERROR(Annotate(MoveLayer(index, job), sources_[index].name));
      results_.push_back(job.unpacking->result());
      results_.back().self_contained = false;
      job.unpacking.reset();
      job.files.reset();
      job.fd.Reset();
      MutexLock lock(mutex_);
      moved_ = index + 1;
      changed_.NotifyAll();
    }
    return absl::OkStatus();
  }

  absl::Status MoveLayer(size_t index, Job& job) {
    LayerTree& layer = job.unpacking->tree();
    DirectoryCache& directories = job.files->directories();
    if (job.unpacking->root_metadata().has_value()) root_metadata_ = *job.unpacking->root_metadata();
    if (index == 0) {
      OverlayBelow nothing(layer, *job.files, {});
      RETURN_IF_ERROR(LayerSettler(layer, nothing, interruption_).Settle());
      return directories.Flush();
    }
    FlatBelow below(layer, tree_, policy_, staging_name_);
    if (!job.unpacking->self_contained()) {
      RETURN_IF_ERROR(LayerSettler(layer, below, interruption_).Settle());
    }
    RETURN_IF_ERROR(directories.Flush());
    RETURN_IF_ERROR(TreeMerge(directories, tree_, policy_, interruption_).Run());
    RETURN_IF_ERROR(tree_.Flush());
    RETURN_IF_ERROR(directories.Flush());
    return RemoveTreeAt(staging_fd_.get(), absl::StrCat(index));
  }

  absl::Status FinishRoot() {
    RETURN_IF_ERROR(tree_.Flush());
    struct stat attributes {};
    if (::fstat(root_fd_, &attributes) != 0) return ErrnoStatus(errno, "fstat", "/");
    return policy_.Apply(FileRef{.fd = root_fd_}, attributes, root_metadata_, true, "/");
  }

  void Fail() {
    failed_.Cancel();
    MutexLock lock(mutex_);
    changed_.NotifyAll();
  }

  // The error of the lowest layer that failed by itself and was not only stopped.
  absl::Status FirstCause(absl::Status status) {
    if (!absl::IsCancelled(status)) return status;
    for (Job& job : jobs_) {
      if (!job.status.ok() && !absl::IsCancelled(job.status)) return job.status;
    }
    return status;
  }

  const int root_fd_;
  const absl::Span<const LayerSource> sources_;
  UnpackOptions options_;
  MetadataPolicy& policy_;
  Cancellation failed_;  // some layer has failed: the others stop
  const Interruption interruption_;
  const std::string staging_name_;
  UniqueFd staging_fd_;
  DirectoryCache tree_;
  FileMetadata root_metadata_;
  std::vector<UnpackedLayer> results_;
  Mutex progress_mutex_;

  Mutex mutex_;
  CondVar changed_;
  std::vector<Job> jobs_;
  size_t next_ SLUICE_GUARDED_BY(mutex_) = 0;
  size_t moved_ SLUICE_GUARDED_BY(mutex_) = 0;
};

}  // namespace

absl::StatusOr<std::vector<UnpackedLayer>> UnpackFlat(int root_fd, absl::Span<const LayerSource> layers,
                                                      const UnpackOptions& options, MetadataPolicy& policy) {
  return FlatUnpacking(root_fd, layers, options, policy).Run();
}

}  // namespace sluice
