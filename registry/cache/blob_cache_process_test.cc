// Several processes with one cache: they share downloads, hold what they read, and are killed at any moment.
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/unique_fd.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "registry/cache/cache_fixture.h"
#include "tests/testing/random.h"
#include "tests/testing/status_matchers.h"

namespace sluice {
namespace {

using ::sluice::testing::Gives;
using ::sluice::testing::MakeBlob;
using ::sluice::testing::Origin;
using ::sluice::testing::ReadBytes;
using ::sluice::testing::ReadFile;
using ::sluice::testing::ReadToEnd;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr size_t kSize = 10'000'000;

// A run of blob_cache_client; killed at the end if it still runs.
class Client {
 public:
  explicit Client(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), std::filesystem::absolute("registry/cache/blob_cache_client"));
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    std::array<int, 2> in = {};
    std::array<int, 2> out = {};
    if (pipe2(in.data(), O_CLOEXEC) != 0 || pipe2(out.data(), O_CLOEXEC) != 0) std::abort();
    pid_ = fork();
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      dup2(in[0], STDIN_FILENO);
      dup2(out[1], STDOUT_FILENO);
      execv(argv[0], argv.data());
      _exit(127);
    }
    close(in[0]);
    close(out[1]);
    input_.Reset(in[1]);
    output_.Reset(out[0]);
  }
  ~Client() { Kill(); }

  // Reads what it says until that has `text`.
  void Await(absl::string_view text) {
    while (!absl::StrContains(said_, text)) ASSERT_TRUE(ReadSome()) << "\"" << text << "\" was not said: " << said_;
  }
  // What a client that waits is waiting for.
  void CloseInput() { input_.Reset(); }
  void Kill() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
  // Its exit code, once it ended by itself.
  int Wait() {
    AllSaid();
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  const std::string& said() const { return said_; }
  // Until its end.
  const std::string& AllSaid() {
    while (ReadSome()) {
    }
    return said_;
  }

 private:
  bool ReadSome() {
    std::array<char, 4096> buffer;
    const ssize_t count = read(output_.get(), buffer.data(), buffer.size());
    if (count > 0) said_.append(buffer.data(), count);
    return count > 0;
  }

  pid_t pid_ = -1;
  UniqueFd input_;
  UniqueFd output_;
  std::string said_;
};

class BlobCacheProcessTest : public testing::CacheFixture {
 protected:
  std::vector<std::string> DownloadArguments(int64_t stop) const {
    return {"download", path_, "1", std::to_string(kSize), std::to_string(stop)};
  }
  Origin origin_{MakeBlob(1, kSize)};
};

TEST_F(BlobCacheProcessTest, OneDownloadsForAll) {
  Client downloader(DownloadArguments(kSize / 2));
  downloader.Await("stopped");
  Client follower(DownloadArguments(-1));
  const std::unique_ptr<ByteReader> here = Download(origin_);
  EXPECT_THAT(ReadBytes(*here, kSize / 2), Gives(origin_.content().substr(0, kSize / 2)));
  downloader.CloseInput();
  EXPECT_THAT(ReadToEnd(*here), Gives(origin_.content().substr(kSize / 2)));
  EXPECT_EQ(downloader.Wait(), 0);
  EXPECT_EQ(downloader.said(), "fetched 0\nstopped\nok\n");
  EXPECT_EQ(follower.Wait(), 0);
  EXPECT_EQ(follower.said(), "ok\n");
  EXPECT_THAT(origin_.fetches(), IsEmpty());
}

TEST_F(BlobCacheProcessTest, AKilledDownloaderIsFollowedByAnother) {
  Client downloader(DownloadArguments(kSize / 2));
  downloader.Await("stopped");
  Client follower(DownloadArguments(-1));
  downloader.Kill();
  EXPECT_EQ(follower.Wait(), 0) << follower.said();
  // All that had come before was written: not a byte is fetched twice.
  EXPECT_EQ(follower.said(), absl::StrCat("fetched ", kSize / 2, "\nok\n"));
  EXPECT_TRUE(cache_->Contains(origin_.digest(), kSize));
}

TEST_F(BlobCacheProcessTest, AFollowerIsThereAlreadyWhenTheDownloaderIsKilled) {
  Client downloader(DownloadArguments(kSize / 2));
  downloader.Await("stopped");
  const std::unique_ptr<ByteReader> follower = Download(origin_);
  EXPECT_THAT(ReadBytes(*follower, kSize / 2), Gives(origin_.content().substr(0, kSize / 2)));
  std::thread killer([&] { downloader.Kill(); });
  EXPECT_THAT(ReadToEnd(*follower), Gives(origin_.content().substr(kSize / 2)));
  killer.join();
  EXPECT_THAT(origin_.fetches(), ::testing::ElementsAre(kSize / 2));
  EXPECT_TRUE(cache_->Contains(origin_.digest(), kSize));
}

TEST_F(BlobCacheProcessTest, ARestartGoesOn) {
  Client killed(DownloadArguments(kSize / 4));
  killed.Await("stopped");
  killed.Kill();
  Client next(DownloadArguments(-1));
  EXPECT_EQ(next.Wait(), 0) << next.said();
  EXPECT_EQ(next.said(), absl::StrCat("fetched ", kSize / 4, "\nok\n"));
}

TEST_F(BlobCacheProcessTest, WhatAnotherProcessUsesIsNotEvicted) {
  Origin other(MakeBlob(2, 1000));
  ASSERT_OK(ReadToEnd(*Download(other)));
  Client reader({"read", path_, other.digest().Hex()});
  reader.Await("open");
  Client downloader(DownloadArguments(kSize / 2));
  downloader.Await("stopped");
  EXPECT_EQ(cache_->Prune(0).value(), 0);
  EXPECT_THAT(cache_->List().value(), ::testing::SizeIs(2));

  // Dropped it may be: who has it open reads on.
  EXPECT_OK(cache_->Drop(other.digest()));
  reader.CloseInput();
  EXPECT_EQ(reader.Wait(), 0) << reader.said();
  downloader.Kill();
  EXPECT_GE(cache_->Prune(0).value(), static_cast<int64_t>(kSize / 2));
  EXPECT_THAT(cache_->List().value(), IsEmpty());
}

TEST_F(BlobCacheProcessTest, NamesOfSeveralProcessesAreNotLost) {
  constexpr int kImages = 20;
  std::vector<std::unique_ptr<Client>> clients;
  for (const char* reference : {"a", "b", "c", "d"}) {
    clients.push_back(
        std::make_unique<Client>(std::vector<std::string>{"name", path_, reference, std::to_string(kImages)}));
  }
  for (const std::unique_ptr<Client>& client : clients) EXPECT_EQ(client->Wait(), 0) << client->said();
  const nlohmann::json index = nlohmann::json::parse(ReadFile(path_ + "/index.json"));
  EXPECT_EQ(index["manifests"].size(), clients.size() * kImages);
}

// A limit on the length of files stands for a disk that fails in the middle.
TEST_F(BlobCacheProcessTest, AFailingWriteIsNotTheReadersFailure) {
  Client limited({"limited", path_, "1", std::to_string(kSize), std::to_string(kSize / 3)});
  EXPECT_EQ(limited.Wait(), 0) << limited.said();
  EXPECT_EQ(limited.said(), "fetched 0\nok\n");
  EXPECT_THAT(cache_->List().value(), IsEmpty());
}

TEST_F(BlobCacheProcessTest, AFollowerOfAFailingDiskGoesOnByItself) {
  Client downloader(DownloadArguments(kSize / 2));
  downloader.Await("stopped");
  Client follower({"limited", path_, "1", std::to_string(kSize), std::to_string(kSize / 3)});
  downloader.Kill();
  EXPECT_EQ(follower.Wait(), 0) << follower.said();
  EXPECT_EQ(follower.said(), absl::StrCat("fetched ", kSize / 2, "\nok\n"));
  EXPECT_THAT(cache_->List().value(), IsEmpty());
}

// Several processes download, follow, drop and prune the same few blobs, and one after the other is killed.
TEST_F(BlobCacheProcessTest, WheneverTheyAreKilledTheCacheIsValid) {
  constexpr int kKills = 40;
  constexpr size_t kClients = 3;
  constexpr size_t kBlobSize = 2'000'000;
  testing::Random random(1);
  std::vector<std::unique_ptr<Client>> clients(kClients);
  int interrupted = 0;
  for (int i = 0; i < kKills; ++i) {
    for (size_t c = 0; c < kClients; ++c) {
      if (clients[c] == nullptr) {
        clients[c] = std::make_unique<Client>(
            std::vector<std::string>{"churn", path_, absl::StrCat(i, c), std::to_string(kBlobSize)});
      }
    }
    clients[i % kClients]->Await("fetched");
    std::this_thread::sleep_for(std::chrono::microseconds(random.Below(30'000)));
    clients[i % kClients]->Kill();
    EXPECT_THAT(clients[i % kClients]->AllSaid(), Not(HasSubstr("error")));
    clients[i % kClients].reset();
    interrupted += NamesIn(path_ + "/ingest").empty() ? 0 : 1;
    ExpectAllBlobsIntact();
    EXPECT_TRUE(nlohmann::json::accept(ReadFile(path_ + "/index.json")));
  }
  clients.clear();
  EXPECT_GT(interrupted, 0);
  ExpectAllBlobsIntact();
  for (uint64_t seed = 0; seed < 8; ++seed) {
    Origin origin(MakeBlob(seed, kBlobSize));
    EXPECT_THAT(ReadToEnd(*Download(origin)), Gives(origin.content()));
    EXPECT_TRUE(cache_->Contains(origin.digest(), origin.size()));
  }
  ExpectAllBlobsIntact();
  EXPECT_OK(cache_->Prune(0));
  EXPECT_THAT(cache_->List().value(), IsEmpty());
}

}  // namespace
}  // namespace sluice
