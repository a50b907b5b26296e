#include "registry/download_limit.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "base/status_macros.h"

namespace sluice {
namespace {

constexpr std::chrono::milliseconds kLookInterval(50);
// What is read at once under a rate: small, so that a slow rate is not a stall between large pieces.
constexpr size_t kPieceBytes = 64 * 1024;

absl::Status CheckCancelled(const Cancellation* cancellation) {
  return cancellation == nullptr ? absl::OkStatus() : cancellation->Check();
}

}  // namespace

// One of max_downloads_.
class DownloadLimit::Turn {
 public:
  explicit Turn(std::shared_ptr<DownloadLimit> limit) : limit_(std::move(limit)) {}
  ~Turn() {
    MutexLock lock(limit_->mutex_);
    --limit_->running_;
    limit_->freed_.NotifyOne();
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

  DownloadLimit& limit() const { return *limit_; }

 private:
  const std::shared_ptr<DownloadLimit> limit_;
};

class DownloadLimit::Reader : public ByteReader {
 public:
  Reader(std::unique_ptr<Turn> turn, std::unique_ptr<ByteReader> source, const Cancellation* cancellation)
      : turn_(std::move(turn)), source_(std::move(source)), cancellation_(cancellation) {}

  absl::StatusOr<size_t> Read(absl::Span<char> buffer) override {
    if (turn_->limit().max_bytes_per_second_ == 0) return source_->Read(buffer);
    ASSIGN_OR_RETURN(const size_t count, source_->Read(buffer.first(std::min(buffer.size(), kPieceBytes))));
    Clock::duration wait = turn_->limit().Account(count);
    while (wait > Clock::duration::zero()) {
      RETURN_IF_ERROR(CheckCancelled(cancellation_));
      const Clock::duration nap = std::min<Clock::duration>(wait, kLookInterval);
      std::this_thread::sleep_for(nap);
      wait -= nap;
    }
    return count;
  }

 private:
  const std::unique_ptr<Turn> turn_;  // before source_: the connection is closed before the turn ends
  const std::unique_ptr<ByteReader> source_;
  const Cancellation* const cancellation_;
};

std::shared_ptr<DownloadLimit> DownloadLimit::Create(int max_downloads, int64_t max_bytes_per_second) {
  return std::shared_ptr<DownloadLimit>(new DownloadLimit(max_downloads, max_bytes_per_second));
}

absl::StatusOr<std::unique_ptr<ByteReader>> DownloadLimit::Start(const Open& open, const Cancellation* cancellation) {
  {
    MutexLock lock(mutex_);
    while (max_downloads_ > 0 && running_ >= max_downloads_) {
      RETURN_IF_ERROR(CheckCancelled(cancellation));
      freed_.WaitFor(mutex_, kLookInterval);
    }
    ++running_;
  }
  auto turn = std::make_unique<Turn>(shared_from_this());
  ASSIGN_OR_RETURN(std::unique_ptr<ByteReader> source, open());
  return std::make_unique<Reader>(std::move(turn), std::move(source), cancellation);
}

DownloadLimit::Clock::duration DownloadLimit::Account(size_t bytes) {
  const auto cost = std::chrono::duration_cast<Clock::duration>(
      std::chrono::duration<double>(static_cast<double>(bytes) / static_cast<double>(max_bytes_per_second_)));
  const Clock::time_point now = Clock::now();
  MutexLock lock(mutex_);
  paid_until_ = std::max(paid_until_, now) + cost;
  return paid_until_ - now;
}

}  // namespace sluice
