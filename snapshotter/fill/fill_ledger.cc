#include "snapshotter/fill/fill_ledger.h"

#include "absl/time/clock.h"
#include "base/status_macros.h"

namespace sluice {
namespace {

class MeteredReader : public ByteReader {
 public:
  MeteredReader(std::unique_ptr<ByteReader> reader, std::atomic<int64_t>& bytes)
      : reader_(std::move(reader)), bytes_(bytes) {}

  absl::StatusOr<size_t> Read(absl::Span<char> buffer) override {
    ASSIGN_OR_RETURN(const size_t count, reader_->Read(buffer));
    bytes_.fetch_add(static_cast<int64_t>(count), std::memory_order_relaxed);
    return count;
  }

 private:
  const std::unique_ptr<ByteReader> reader_;
  std::atomic<int64_t>& bytes_;
};

}  // namespace

std::unique_ptr<FillLedger::Page> FillLedger::Begin(std::string image, const std::vector<PlannedBlob>& blobs) {
  std::unique_ptr<Page> page(new Page(*this));
  page->facts_.image = std::move(image);
  page->facts_.started = absl::Now();
  if (!blobs.empty()) {
    page->facts_.digest = blobs[0].digest.ToString();
    page->facts_.total_bytes = blobs[0].size;
  }
  const MutexLock lock(mutex_);
  pages_.push_back(page.get());
  return page;
}

FillLedger::Page::~Page() {
  const MutexLock lock(ledger_.mutex_);
  std::erase(ledger_.pages_, this);
}

void FillLedger::Page::QueuedForDownload() {
  const MutexLock lock(ledger_.mutex_);
  facts_.stage = FillStage::kQueuedForDownload;
}

void FillLedger::Page::Reading(Strategy strategy, const PlannedBlob& blob) {
  bytes_.store(0, std::memory_order_relaxed);
  const MutexLock lock(ledger_.mutex_);
  facts_.stage = FillStage::kReading;
  facts_.strategy = strategy;
  facts_.digest = blob.digest.ToString();
  facts_.total_bytes = blob.size;
  facts_.started = absl::Now();
}

std::unique_ptr<ByteReader> FillLedger::Page::Metered(std::unique_ptr<ByteReader> reader) {
  return std::make_unique<MeteredReader>(std::move(reader), bytes_);
}

void FillLedger::Page::Settling() {
  const MutexLock lock(ledger_.mutex_);
  facts_.stage = FillStage::kSettling;
}

void FillLedger::Page::GaveUp(Strategy strategy, const absl::Status& reason) {
  const MutexLock lock(ledger_.mutex_);
  ledger_.fallbacks_[{strategy, ReasonOf(reason)}].Note(reason);
}

void FillLedger::Page::Filled(const FilledLayer& layer) {
  const MutexLock lock(ledger_.mutex_);
  FillCount& count = ledger_.filled_[layer.strategy];
  ++count.layers;
  count.bytes += layer.bytes;
  count.source_bytes[layer.source] += layer.bytes;
  count.seconds.Observe(layer.busy);
  ledger_.unclaimed_.Insert(layer.layer_id, layer.strategy);
}

std::optional<Strategy> FillLedger::Claim(int64_t layer_id) {
  const MutexLock lock(mutex_);
  std::optional<Strategy>* const strategy = unclaimed_.Find(layer_id);
  return strategy == nullptr ? std::nullopt : std::exchange(*strategy, std::nullopt);
}

std::vector<FillInProgress> FillLedger::InProgress() const {
  std::vector<FillInProgress> fills;
  const MutexLock lock(mutex_);
  fills.reserve(pages_.size());
  for (const Page* page : pages_) {
    fills.push_back(page->facts_);
    fills.back().bytes = page->bytes_.load(std::memory_order_relaxed);
  }
  return fills;
}

std::map<FillStage, int64_t> FillLedger::Stages() const {
  std::map<FillStage, int64_t> stages;
  const MutexLock lock(mutex_);
  for (const Page* page : pages_) ++stages[page->facts_.stage];
  return stages;
}

std::map<Strategy, FillCount> FillLedger::Filled() const {
  const MutexLock lock(mutex_);
  return filled_;
}

std::vector<FallbackCount> FillLedger::Fallbacks() const {
  std::vector<FallbackCount> counts;
  const MutexLock lock(mutex_);
  for (const auto& [key, tally] : fallbacks_) counts.push_back({key.first, key.second, tally.count, tally.last});
  return counts;
}

}  // namespace sluice
