// What the tests of the Filler share: layer directories in memory, a store that can be stopped in the middle of a blob,
// and what the log said.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/mutex.h"
#include "base/remove_tree.h"
#include "glog/logging.h"
#include "gtest/gtest.h"
#include "registry/store/store.h"
#include "snapshotter/fill/filler.h"
#include "tests/testing/oci_layout_builder.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/tar_builder.h"
#include "tests/testing/temp_dir.h"

namespace sluice::testing {

// The layer directories without the database: the same promises, kept in memory.
class DirectoriesInMemory : public LayerDirectories {
 public:
  class Staged : public StagedLayer {
   public:
    Staged(std::string path, std::string name, int parent_fd)
        : path_(std::move(path)), name_(std::move(name)), parent_fd_(parent_fd) {
      EXPECT_EQ(mkdir(path_.c_str(), 0755), 0);
      fd_.Reset(open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    }
    ~Staged() override { EXPECT_OK(RemoveTreeAt(parent_fd_, name_)); }
    int fd() const override { return fd_.get(); }
    const std::string& path() const { return path_; }

   private:
    const std::string path_;
    const std::string name_;
    const int parent_fd_;
    UniqueFd fd_;
  };

  absl::StatusOr<std::optional<LayerRecord>> Find(const Digest& diff_id, const Digest& chain_id) override {
    MutexLock lock(mutex_);
    for (const LayerRecord& record : records_) {
      if (record.facts.diff_id == diff_id && record.facts.chain_id.value_or(chain_id) == chain_id) return record;
    }
    return std::nullopt;
  }

  absl::StatusOr<std::unique_ptr<StagedLayer>> Stage() override {
    MutexLock lock(mutex_);
    const std::string name = absl::StrCat("new-", ++staged_);
    return std::make_unique<Staged>(root_.At(name), name, root_.fd());
  }

  absl::StatusOr<LayerRecord> Publish(std::unique_ptr<StagedLayer> staged, const LayerFacts& facts) override {
    MutexLock lock(mutex_);
    LayerRecord record{.id = static_cast<int64_t>(records_.size()) + 1, .facts = facts};
    std::filesystem::rename(static_cast<Staged*>(staged.get())->path(), Path(record.id));
    records_.push_back(record);
    return record;
  }

  absl::StatusOr<UniqueFd> Open(int64_t id) override {
    UniqueFd fd(open(Path(id).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!fd.valid()) return absl::NotFoundError(absl::StrCat("layer directory ", id, " is gone"));
    return fd;
  }

  std::string Path(int64_t id) const { return root_.At(absl::StrCat(id)); }
  int published() const {
    MutexLock lock(mutex_);
    return static_cast<int>(records_.size());
  }
  // What lies about and was not published.
  int leftovers() const {
    int count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(root_.path())) {
      count += absl::StartsWith(entry.path().filename().string(), "new-") ? 1 : 0;
    }
    return count;
  }

 private:
  TempDir root_;
  mutable Mutex mutex_;
  int staged_ = 0;
  std::vector<LayerRecord> records_;
};

// A store that a test can stop in the middle of a blob.
class GatedStore : public Store {
 public:
  explicit GatedStore(std::unique_ptr<Store> store) : store_(std::move(store)) {}

  const std::string& name() const override { return store_->name(); }
  absl::string_view kind() const override { return store_->kind(); }
  const std::string& path() const override { return store_->path(); }
  bool OwnsTagsOf(absl::string_view host) const override { return store_->OwnsTagsOf(host); }
  absl::StatusOr<Descriptor> Resolve(const Reference& reference) const override { return store_->Resolve(reference); }
  absl::StatusOr<std::string> ReadDocument(const Digest& digest, int64_t max_bytes,
                                           absl::Span<const Endpoint> origins) const override {
    return store_->ReadDocument(digest, max_bytes, origins);
  }
  std::string BlobPath(const Digest& digest, absl::Span<const Endpoint> origins) const override {
    return store_->BlobPath(digest, origins);
  }
  absl::StatusOr<std::unique_ptr<ByteReader>> OpenBlob(const Digest& digest, std::optional<int64_t> size,
                                                       absl::Span<const Endpoint> origins) const override {
    auto reader = store_->OpenBlob(digest, size, origins);
    if (!reader.ok()) return reader.status();
    return std::make_unique<Reader>(*this, digest, *std::move(reader));
  }

  void Close(const Digest& digest) {
    MutexLock lock(mutex_);
    closed_.insert(digest);
  }
  void Open(const Digest& digest) {
    MutexLock lock(mutex_);
    closed_.erase(digest);
    changed_.NotifyAll();
  }
  // Waits until somebody stands at the gate, or has passed it, `times` times.
  void AwaitReader(const Digest& digest, int times = 1) {
    MutexLock lock(mutex_);
    while (readers_[digest] < times) changed_.Wait(mutex_);
  }
  int readers(const Digest& digest) {
    MutexLock lock(mutex_);
    return readers_[digest];
  }

 private:
  class Reader : public ByteReader {
   public:
    Reader(const GatedStore& store, const Digest& digest, std::unique_ptr<ByteReader> reader)
        : store_(store), digest_(digest), reader_(std::move(reader)) {}

    absl::StatusOr<size_t> Read(absl::Span<char> buffer) override {
      if (!std::exchange(started_, true)) store_.Pass(digest_);
      return reader_->Read(buffer);
    }

   private:
    const GatedStore& store_;
    const Digest digest_;
    const std::unique_ptr<ByteReader> reader_;
    bool started_ = false;
  };

  void Pass(const Digest& digest) const {
    MutexLock lock(mutex_);
    ++readers_[digest];
    changed_.NotifyAll();
    while (closed_.contains(digest)) changed_.Wait(mutex_);
  }

  const std::unique_ptr<Store> store_;
  mutable Mutex mutex_;
  mutable CondVar changed_;
  mutable std::map<Digest, int> readers_;
  std::set<Digest> closed_;
};

// What the log said while it lived.
class LogCapture : public google::LogSink {
 public:
  LogCapture() { google::AddLogSink(this); }
  ~LogCapture() override { google::RemoveLogSink(this); }

  void send(google::LogSeverity severity, const char*, const char*, int, const google::LogMessageTime&,
            const char* message, size_t length) override {
    MutexLock lock(mutex_);
    lines_.push_back(absl::StrCat(google::GetLogSeverityName(severity), " ", absl::string_view(message, length)));
  }

  std::vector<std::string> Containing(absl::string_view text) {
    MutexLock lock(mutex_);
    std::vector<std::string> found;
    for (const std::string& line : lines_) {
      if (absl::StrContains(line, text)) found.push_back(line);
    }
    return found;
  }

 private:
  Mutex mutex_;
  std::vector<std::string> lines_;
};

// The answer to one request.
class Answer {
 public:
  Filler::Done Callback() {
    return [this](absl::StatusOr<LayerRecord> record) {
      MutexLock lock(mutex_);
      EXPECT_FALSE(record_.has_value()) << "answered twice";
      record_ = std::move(record);
      changed_.NotifyAll();
    };
  }
  absl::StatusOr<LayerRecord> Wait() {
    MutexLock lock(mutex_);
    while (!record_.has_value()) changed_.Wait(mutex_);
    return *record_;
  }
  bool answered() {
    MutexLock lock(mutex_);
    return record_.has_value();
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  std::optional<absl::StatusOr<LayerRecord>> record_;
};

inline bool Eventually(const std::function<bool()>& condition) {
  for (int i = 0; i < 500; ++i) {
    if (condition()) return true;
    absl::SleepFor(absl::Milliseconds(10));
  }
  return false;
}

inline std::string ReadFile(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// A directory and a file in it; depends on nothing.
inline LayerSpec Plain(const std::string& name) {
  return {TarBuilder().Directory("d").File(absl::StrCat("d/", name), name).Build()};
}
// A file in a directory that the layer does not list, and a link to a file of the layer below.
inline LayerSpec Dependent(const std::string& name, const std::string& below) {
  return {TarBuilder()
              .File(absl::StrCat("d/", name), name)
              .HardLink(absl::StrCat("d/link-to-", below), absl::StrCat("d/", below))
              .Build()};
}

class FillerFixture : public ::testing::Test {
 protected:
  void StartFiller(int workers) {
    Filler::Options options;
    options.workers = workers;
    options.ledger = ledger_;
    filler_ = std::make_unique<Filler>(directories_, sources_, options);
  }

  // The jobs for `image` from layer `first` on, as the provider makes them.
  static std::vector<FillJob> Jobs(const BuiltImage& image, size_t first = 0) {
    std::vector<FillJob> jobs;
    for (size_t k = first; k < image.layers.size(); ++k) {
      FillJob job;
      job.claim.chain_id = image.layers[k].chain_id;
      job.claim.config_diff_id = image.layers[k].diff_id;
      job.claim.has_parent = k > 0;
      job.wanted.blobs = {{.digest = image.layers[k].digest, .size = image.layers[k].size}};
      job.wanted.image = "172.30.0.1:5000/app:1";
      job.wanted.containerd_namespace = "default";
      job.wanted.locality = Locality::kLocal;
      jobs.push_back(std::move(job));
    }
    return jobs;
  }

  void Ask(Answer& answer, std::vector<FillJob> jobs,
           std::optional<std::vector<int64_t>> parents = std::vector<int64_t>(),
           std::shared_ptr<Cancellation> cancellation = nullptr) {
    Filler::Request request;
    request.jobs = std::move(jobs);
    request.parent_directories = std::move(parents);
    request.cancellation = std::move(cancellation);
    request.done = answer.Callback();
    filler_->Fill(std::move(request));
  }

  void FlipByte(const Digest& digest) {
    std::fstream file(layout_.BlobPath(digest), std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(30);
    const char byte = static_cast<char>(file.get() ^ 1);
    file.seekp(30);
    file.put(byte);
  }

  TempDir layout_directory_;
  OciLayoutBuilder layout_{layout_directory_.path()};
  std::shared_ptr<GatedStore> store_ =
      std::make_shared<GatedStore>(MakeOciLayoutStore("registry", layout_directory_.path(), {}));
  DirectoriesInMemory directories_;
  std::shared_ptr<FillLedger> ledger_ = std::make_shared<FillLedger>();
  LayerSources sources_{{.stores = {store_}}};
  LogCapture log_;
  std::unique_ptr<Filler> filler_;
};

}  // namespace sluice::testing
