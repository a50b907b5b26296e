#include "snapshotter/fill/filler.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/remove_tree.h"
#include "glog/logging.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "registry/store/store.h"
#include "tests/testing/oci_layout_builder.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/tar_builder.h"
#include "tests/testing/temp_dir.h"

namespace sluice {
namespace {

using absl::StatusCode;
using testing::BuiltImage;
using ::testing::HasSubstr;
using testing::LayerSpec;
using testing::OciLayoutBuilder;
using testing::StatusIs;
using testing::TarBuilder;
using testing::TempDir;

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
  absl::StatusOr<std::string> ReadDocument(const Digest& digest, int64_t max_bytes) const override {
    return store_->ReadDocument(digest, max_bytes);
  }
  std::string BlobPath(const Digest& digest) const override { return store_->BlobPath(digest); }
  absl::StatusOr<std::unique_ptr<ByteReader>> OpenBlob(const Digest& digest,
                                                       std::optional<int64_t> size) const override {
    auto reader = store_->OpenBlob(digest, size);
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

bool Eventually(const std::function<bool()>& condition) {
  for (int i = 0; i < 500; ++i) {
    if (condition()) return true;
    absl::SleepFor(absl::Milliseconds(10));
  }
  return false;
}

std::string ReadFile(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// A directory and a file in it; depends on nothing.
LayerSpec Plain(const std::string& name) {
  return {TarBuilder().Directory("d").File(absl::StrCat("d/", name), name).Build()};
}
// A file in a directory that the layer does not list, and a link to a file of the layer below.
LayerSpec Dependent(const std::string& name, const std::string& below) {
  return {TarBuilder()
              .File(absl::StrCat("d/", name), name)
              .HardLink(absl::StrCat("d/link-to-", below), absl::StrCat("d/", below))
              .Build()};
}

class FillerTest : public ::testing::Test {
 protected:
  void StartFiller(int workers) {
    Filler::Options options;
    options.workers = workers;
    filler_ = std::make_unique<Filler>(directories_, blobs_, options);
  }

  // The jobs for `image` from layer `first` on, as the provider makes them.
  static std::vector<FillJob> Jobs(const BuiltImage& image, size_t first = 0) {
    std::vector<FillJob> jobs;
    for (size_t k = first; k < image.layers.size(); ++k) {
      FillJob job;
      job.claim.chain_id = image.layers[k].chain_id;
      job.claim.config_diff_id = image.layers[k].diff_id;
      job.claim.has_parent = k > 0;
      job.blobs = {{.digest = image.layers[k].digest, .size = image.layers[k].size}};
      job.image = "172.30.0.1:5000/app:1";
      job.locality = Locality::kLocal;
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
  LocalBlobs blobs_{{store_}};
  LogCapture log_;
  std::unique_ptr<Filler> filler_;
};

TEST_F(FillerTest, FillsTheLayerAndThoseAboveOnceAndSaysSo) {
  const BuiltImage image = layout_.WriteImage({.layers = {Plain("a"), Plain("b"), Dependent("c", "b")}});
  StartFiller(2);
  Answer answer;
  Ask(answer, Jobs(image));
  ASSERT_OK_AND_ASSIGN(const LayerRecord base, answer.Wait());
  EXPECT_EQ(base.facts.diff_id, image.layers[0].diff_id);
  EXPECT_EQ(base.facts.blob_digest, image.layers[0].digest);
  EXPECT_FALSE(base.facts.chain_id.has_value()) << "a self-contained layer is shared";
  EXPECT_EQ(ReadFile(directories_.Path(base.id) + "/d/a"), "a");

  const std::string phrase = "using streaming unpack from layout for local registry image";
  ASSERT_TRUE(Eventually([&] { return log_.Containing(phrase).size() == 3; }));
  for (const testing::BuiltLayer& layer : image.layers) {
    const std::string line = absl::StrCat(
        "INFO ", phrase, " store=registry kind=oci-layout image=172.30.0.1:5000/app:1 digest=", layer.digest.ToString(),
        " bytes=", layer.size, " seconds=");
    EXPECT_EQ(log_.Containing(line).size(), 1u) << line;
  }
  ASSERT_OK_AND_ASSIGN(const auto top, directories_.Find(image.layers[2].diff_id, image.layers[2].chain_id));
  EXPECT_EQ(top->facts.chain_id, image.layers[2].chain_id) << "this one depends on those below";
  EXPECT_EQ(ReadFile(directories_.Path(top->id) + "/d/link-to-b"), "b");
}

TEST_F(FillerTest, OneWorkerIsEnoughForTenLayersThatDependOnEachOther) {
  testing::ImageSpec spec;
  spec.layers.push_back(Plain("0"));
  for (int i = 1; i < 10; ++i) spec.layers.push_back(Dependent(absl::StrCat(i), absl::StrCat(i - 1)));
  const BuiltImage image = layout_.WriteImage(spec);
  StartFiller(1);
  Answer answer;
  Ask(answer, Jobs(image));
  ASSERT_OK(answer.Wait().status());
  ASSERT_TRUE(Eventually([&] { return directories_.published() == 10; }));
  ASSERT_OK_AND_ASSIGN(const auto top, directories_.Find(image.layers[9].diff_id, image.layers[9].chain_id));
  EXPECT_EQ(ReadFile(directories_.Path(top->id) + "/d/link-to-8"), "8");
}

TEST_F(FillerTest, UpperLayersStreamWhileTheBaseIsSlowAndHoldNoWorker) {
  testing::ImageSpec spec;
  spec.layers.push_back(Plain("0"));
  for (int i = 1; i < 5; ++i) spec.layers.push_back(Dependent(absl::StrCat(i), absl::StrCat(i - 1)));
  const BuiltImage image = layout_.WriteImage(spec);
  store_->Close(image.layers[0].digest);
  StartFiller(2);
  Answer answer;
  Ask(answer, Jobs(image));
  for (const testing::BuiltLayer& layer : image.layers) store_->AwaitReader(layer.digest);
  EXPECT_EQ(directories_.published(), 0);
  store_->Open(image.layers[0].digest);
  ASSERT_OK(answer.Wait().status());
  EXPECT_TRUE(Eventually([&] { return directories_.published() == 5; }));
}

TEST_F(FillerTest, CallersShareAFill) {
  const BuiltImage image = layout_.WriteImage({.layers = {Plain("a")}});
  store_->Close(image.layers[0].digest);
  StartFiller(2);
  Answer first, second;
  Ask(first, Jobs(image));
  Ask(second, Jobs(image));
  store_->AwaitReader(image.layers[0].digest);
  store_->Open(image.layers[0].digest);
  ASSERT_OK_AND_ASSIGN(const LayerRecord a, first.Wait());
  ASSERT_OK_AND_ASSIGN(const LayerRecord b, second.Wait());
  EXPECT_EQ(a.id, b.id);
  EXPECT_EQ(store_->readers(image.layers[0].digest), 1);
}

TEST_F(FillerTest, CancelledCallerHarmsNobody) {
  const BuiltImage image = layout_.WriteImage({.layers = {Plain("a")}});
  store_->Close(image.layers[0].digest);
  StartFiller(1);
  auto cancellation = std::make_shared<Cancellation>();
  Answer cancelled, patient;
  Ask(cancelled, Jobs(image), std::vector<int64_t>(), cancellation);
  Ask(patient, Jobs(image));
  store_->AwaitReader(image.layers[0].digest);
  const absl::Time start = absl::Now();
  cancellation->Cancel();
  EXPECT_THAT(cancelled.Wait(), StatusIs(StatusCode::kCancelled));
  EXPECT_LT(absl::Now() - start, absl::Milliseconds(500));
  EXPECT_FALSE(patient.answered());
  store_->Open(image.layers[0].digest);
  EXPECT_OK(patient.Wait().status());
}

TEST_F(FillerTest, WorkThatNobodyWaitsForAnyMoreStops) {
  const BuiltImage image = layout_.WriteImage({.layers = {Plain("a"), Dependent("b", "a"), Plain("c")}});
  store_->Close(image.layers[0].digest);
  StartFiller(1);
  auto cancellation = std::make_shared<Cancellation>();
  Answer answer;
  Ask(answer, Jobs(image), std::vector<int64_t>(), cancellation);
  store_->AwaitReader(image.layers[0].digest);
  cancellation->Cancel();
  EXPECT_THAT(answer.Wait(), StatusIs(StatusCode::kCancelled));
  store_->Open(image.layers[0].digest);
  ASSERT_TRUE(Eventually([&] { return directories_.leftovers() == 0; }));
  EXPECT_EQ(directories_.published(), 0);
  // The next one begins anew.
  Answer again;
  Ask(again, Jobs(image));
  EXPECT_OK(again.Wait().status());
  EXPECT_TRUE(Eventually([&] { return directories_.published() == 3; }));
}

TEST_F(FillerTest, WhatAnAnsweredCallerStartedGoesOn) {
  const BuiltImage image = layout_.WriteImage({.layers = {Plain("a"), Plain("b")}});
  store_->Close(image.layers[1].digest);
  StartFiller(1);
  auto cancellation = std::make_shared<Cancellation>();
  Answer answer;
  Ask(answer, Jobs(image), std::vector<int64_t>(), cancellation);
  ASSERT_OK(answer.Wait().status());
  cancellation->Cancel();
  store_->AwaitReader(image.layers[1].digest);
  store_->Open(image.layers[1].digest);
  EXPECT_TRUE(Eventually([&] { return directories_.published() == 2; }));
}

TEST_F(FillerTest, DamagedBlobIsNamedAndNotReadTwice) {
  const BuiltImage image = layout_.WriteImage({.layers = {Plain("a")}});
  const Digest blob = image.layers[0].digest;
  FlipByte(blob);
  StartFiller(1);
  Answer first, second, third;
  Ask(first, Jobs(image));
  EXPECT_THAT(first.Wait().status().ToString(), HasSubstr("no usable copy on this host"));
  const auto warnings = log_.Containing(absl::StrCat("WARNING not used: ", layout_.BlobPath(blob)));
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_EQ(directories_.published(), 0);
  EXPECT_EQ(directories_.leftovers(), 0);

  Ask(second, Jobs(image));
  EXPECT_THAT(second.Wait(), StatusIs(StatusCode::kDataLoss, "has not changed since"));
  EXPECT_EQ(store_->readers(blob), 1);

  FlipByte(blob);  // repaired
  Ask(third, Jobs(image));
  EXPECT_OK(third.Wait().status());
}

TEST_F(FillerTest, SecondStoreHelpsWhereTheFirstIsDamaged) {
  TempDir other_directory;
  OciLayoutBuilder other(other_directory.path());
  const testing::ImageSpec spec{.layers = {Plain("a")}};
  const BuiltImage image = layout_.WriteImage(spec);
  other.WriteImage(spec);
  FlipByte(image.layers[0].digest);
  LocalBlobs both({store_, MakeOciLayoutStore("second", other_directory.path(), {})});
  filler_ = std::make_unique<Filler>(directories_, both, Filler::Options{.workers = 1, .limits = {}});
  Answer answer;
  Ask(answer, Jobs(image));
  EXPECT_OK(answer.Wait().status());
  EXPECT_EQ(log_.Containing("WARNING not used").size(), 1u);
  EXPECT_EQ(log_.Containing("store=second kind=oci-layout").size(), 1u);
  filler_.reset();
}

TEST_F(FillerTest, BlobThatVanishesIsAReasonWithItsMend) {
  const BuiltImage image = layout_.WriteImage({.layers = {Plain("a")}});
  std::filesystem::remove(layout_.BlobPath(image.layers[0].digest));
  StartFiller(1);
  Answer answer;
  Ask(answer, Jobs(image));
  EXPECT_THAT(answer.Wait(), StatusIs(StatusCode::kNotFound, "[[store]]"));
}

TEST_F(FillerTest, UnlinkedWhileItIsReadDoesNoHarm) {
  const BuiltImage image = layout_.WriteImage({.layers = {Plain("a")}});
  store_->Close(image.layers[0].digest);
  StartFiller(1);
  Answer answer;
  Ask(answer, Jobs(image));
  store_->AwaitReader(image.layers[0].digest);
  std::filesystem::remove(layout_.BlobPath(image.layers[0].digest));
  store_->Open(image.layers[0].digest);
  EXPECT_OK(answer.Wait().status());
}

TEST_F(FillerTest, RemoteImageFromAStoreIsCached) {
  const BuiltImage image = layout_.WriteImage({.layers = {Plain("a")}});
  StartFiller(1);
  std::vector<FillJob> jobs = Jobs(image);
  jobs[0].locality = Locality::kRemote;
  Answer answer;
  Ask(answer, jobs);
  ASSERT_OK(answer.Wait().status());
  EXPECT_EQ(log_.Containing("INFO using cached unpack store=registry").size(), 1u);
}

TEST_F(FillerTest, OverUnprovenDirectoriesOnlyIndependentLayersAreFilled) {
  const BuiltImage image = layout_.WriteImage({.layers = {Plain("a"), Plain("b"), Dependent("c", "b")}});
  StartFiller(1);
  Answer plain, dependent, proven;
  Ask(plain, {Jobs(image, 1)[0]}, std::nullopt);
  ASSERT_OK_AND_ASSIGN(const LayerRecord b, plain.Wait());
  Ask(dependent, Jobs(image, 2), std::nullopt);
  EXPECT_THAT(dependent.Wait(), StatusIs(StatusCode::kFailedPrecondition, "containerd unpacked"));
  EXPECT_EQ(directories_.leftovers(), 0);
  Ask(proven, Jobs(image, 2), std::vector<int64_t>{b.id});
  EXPECT_OK(proven.Wait().status());
}

TEST_F(FillerTest, LayerOverAFailedOneFailsUnlessItIsIndependent) {
  const BuiltImage image = layout_.WriteImage({.layers = {Plain("a"), Plain("b"), Dependent("c", "a")}});
  std::filesystem::remove(layout_.BlobPath(image.layers[0].digest));
  StartFiller(2);
  Answer base, top;
  Ask(base, Jobs(image));
  EXPECT_THAT(base.Wait(), StatusIs(StatusCode::kNotFound));
  ASSERT_TRUE(Eventually([&] { return directories_.published() == 1 && directories_.leftovers() == 0; }));
  EXPECT_TRUE(directories_.Find(image.layers[1].diff_id, image.layers[1].chain_id)->has_value());
}

TEST_F(FillerTest, NothingIsKeptThatIsNotProven) {
  const BuiltImage image = layout_.WriteImage({.layers = {Plain("a")}});
  StartFiller(1);
  std::vector<FillJob> jobs = Jobs(image);
  jobs[0].claim.config_diff_id.reset();  // as from labels alone
  jobs[0].claim.chain_id = Digest::Of("another layer");
  Answer lie, truth;
  Ask(lie, jobs);
  EXPECT_THAT(lie.Wait(), StatusIs(StatusCode::kFailedPrecondition, "does not give chainID"));
  EXPECT_EQ(directories_.published(), 0);
  EXPECT_EQ(directories_.leftovers(), 0);
  EXPECT_TRUE(log_.Containing("using ").empty());

  jobs[0].claim.chain_id = image.layers[0].diff_id;
  Ask(truth, jobs);
  EXPECT_OK(truth.Wait().status());
}

TEST_F(FillerTest, BlobOfAnotherLayerIsRefused) {
  const BuiltImage image = layout_.WriteImage({.layers = {Plain("a"), Plain("b")}});
  StartFiller(1);
  std::vector<FillJob> jobs = {Jobs(image)[0]};
  jobs[0].blobs = {{.digest = image.layers[1].digest, .size = std::nullopt}};
  Answer answer;
  Ask(answer, jobs);
  EXPECT_FALSE(answer.Wait().ok());
  EXPECT_EQ(directories_.published(), 0);
}

TEST_F(FillerTest, ShutdownAnswersWhoWaitsAndLeavesNothing) {
  const BuiltImage image = layout_.WriteImage({.layers = {Plain("a"), Dependent("b", "a"), Dependent("c", "b")}});
  store_->Close(image.layers[0].digest);
  StartFiller(2);
  Answer answer;
  Ask(answer, Jobs(image));
  for (const testing::BuiltLayer& layer : image.layers) store_->AwaitReader(layer.digest);
  std::thread shutdown([&] { filler_.reset(); });
  EXPECT_THAT(answer.Wait(), StatusIs(StatusCode::kCancelled, "shutting down"));
  store_->Open(image.layers[0].digest);
  shutdown.join();
  EXPECT_EQ(directories_.leftovers(), 0);
}

TEST_F(FillerTest, ManyCallersAndCancellationsInDisorder) {
  testing::ImageSpec spec;
  spec.layers.push_back(Plain("0"));
  for (int i = 1; i < 8; ++i) spec.layers.push_back(Dependent(absl::StrCat(i), absl::StrCat(i - 1)));
  const BuiltImage image = layout_.WriteImage(spec);
  StartFiller(3);
  std::vector<std::unique_ptr<Answer>> answers;
  std::vector<std::shared_ptr<Cancellation>> cancellations;
  for (int i = 0; i < 60; ++i) {
    answers.push_back(std::make_unique<Answer>());
    cancellations.push_back(std::make_shared<Cancellation>());
    Ask(*answers.back(), Jobs(image), std::vector<int64_t>(), cancellations.back());
    if (i % 2 == 0) cancellations[static_cast<size_t>(i) / 2]->Cancel();
  }
  for (size_t i = 0; i < answers.size(); ++i) {
    const absl::StatusOr<LayerRecord> record = answers[i]->Wait();
    if (!cancellations[i]->cancelled()) {
      EXPECT_OK(record.status());
    }
  }
  Answer last;
  Ask(last, Jobs(image));
  ASSERT_OK(last.Wait().status());
  EXPECT_TRUE(Eventually([&] {
    return directories_.Find(image.layers[7].diff_id, image.layers[7].chain_id)->has_value() &&
           directories_.leftovers() == 0;
  }));
}

}  // namespace
}  // namespace sluice
