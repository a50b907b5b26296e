#include "registry/cache/cache_space.h"

#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "registry/cache/cache_fixture.h"
#include "tests/testing/status_matchers.h"

namespace sluice {
namespace {

using ::sluice::testing::Gives;
using ::sluice::testing::MakeBlob;
using ::sluice::testing::Origin;
using ::sluice::testing::ReadBytes;
using ::sluice::testing::ReadFile;
using ::sluice::testing::ReadToEnd;
using ::sluice::testing::StatusIs;
using ::sluice::testing::WriteFile;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// Bytes that no machine has.
constexpr int64_t kEndless = int64_t{1} << 60;
constexpr size_t kBlob = 100'000;

class CacheSpaceTest : public testing::CacheFixture {
 protected:
  // `count` blobs of kBlob bytes, the first one not used for longest.
  std::vector<Digest> Fill(int count) {
    std::vector<Digest> digests;
    for (int i = 0; i < count; ++i) digests.push_back(Add(MakeBlob(100 + i, kBlob), 1000 + i));
    return digests;
  }
  bool Has(const Digest& digest) const { return cache_->Contains(digest, std::nullopt); }
  void Get(Origin& origin) { EXPECT_THAT(ReadToEnd(*Download(origin)), Gives(origin.content())); }

  Origin origin_{MakeBlob(1, kBlob)};
};

TEST_F(CacheSpaceTest, TheLeastRecentlyUsedGoesFirst) {
  const std::vector<Digest> blobs = Fill(4);
  EXPECT_OK(cache_->OpenBlob(blobs[0], std::nullopt));
  cache_ = Open({.max_bytes = 3 * kBlob});
  Get(origin_);
  EXPECT_TRUE(Has(blobs[0]));
  EXPECT_FALSE(Has(blobs[1]));
  EXPECT_FALSE(Has(blobs[2]));
  EXPECT_TRUE(Has(blobs[3]));
  EXPECT_TRUE(Has(origin_.digest()));
}

TEST_F(CacheSpaceTest, NothingGoesAsLongAsThereIsRoom) {
  const std::vector<Digest> blobs = Fill(2);
  cache_ = Open({.max_bytes = 3 * kBlob});
  Get(origin_);
  EXPECT_THAT(cache_->List().value(), SizeIs(3));
}

TEST_F(CacheSpaceTest, WhatIsLargerThanTheCacheIsReadPastItAndCostsNobodyHisPlace) {
  const std::vector<Digest> blobs = Fill(2);
  cache_ = Open({.max_bytes = 2 * kBlob});
  Origin large(MakeBlob(1, 2 * kBlob + 1));
  Get(large);
  EXPECT_FALSE(Has(large.digest()));
  EXPECT_TRUE(Has(blobs[0]));
  EXPECT_TRUE(Has(blobs[1]));
  EXPECT_THAT(NamesIn(path_ + "/ingest"), IsEmpty());
  const std::string document(2 * kBlob + 1, 'x');
  EXPECT_THAT(cache_->WriteDocument(Digest::Of(document), document),
              StatusIs(absl::StatusCode::kResourceExhausted, path_));
  EXPECT_TRUE(Has(blobs[0]));
}

TEST_F(CacheSpaceTest, WhatWasBegunAndNoLongerFitsIsReadToItsEnd) {
  const Digest other = Add("other", 1000);
  EXPECT_OK(ReadBytes(*Download(origin_), kBlob / 2));
  cache_ = Open({.max_bytes = kBlob - 1});
  Get(origin_);
  EXPECT_TRUE(Has(other));
  EXPECT_THAT(origin_.fetches(), ::testing::ElementsAre(0, kBlob / 2));
  EXPECT_FALSE(Has(origin_.digest()));
  EXPECT_THAT(NamesIn(path_ + "/ingest"), IsEmpty());
}

TEST_F(CacheSpaceTest, DocumentsMakeRoomToo) {
  const std::vector<Digest> blobs = Fill(2);
  cache_ = Open({.max_bytes = 2 * kBlob});
  EXPECT_OK(cache_->WriteDocument(Digest::Of("x"), "x"));
  EXPECT_FALSE(Has(blobs[0]));
  EXPECT_TRUE(Has(blobs[1]));
}

TEST_F(CacheSpaceTest, WhatIsReadStays) {
  const std::vector<Digest> blobs = Fill(2);
  ASSERT_OK_AND_ASSIGN(std::unique_ptr<ByteReader> reader, cache_->OpenBlob(blobs[0], std::nullopt));
  SetUsed(BlobPath(blobs[0]), 1000);
  cache_ = Open({.max_bytes = 2 * kBlob});
  Get(origin_);
  EXPECT_TRUE(Has(blobs[0]));
  EXPECT_FALSE(Has(blobs[1]));
  // With both in use there is no room.
  ASSERT_OK_AND_ASSIGN(const std::unique_ptr<ByteReader> other, cache_->OpenBlob(origin_.digest(), std::nullopt));
  Origin next(MakeBlob(2, kBlob));
  Get(next);
  EXPECT_FALSE(Has(next.digest()));
  EXPECT_EQ(cache_->Prune(0).value(), 0);
  reader.reset();
  EXPECT_EQ(cache_->Prune(0).value(), static_cast<int64_t>(kBlob));
  EXPECT_FALSE(Has(blobs[0]));
}

TEST_F(CacheSpaceTest, WhoFollowedADownloadToItsEndHoldsIt) {
  const std::unique_ptr<ByteReader> follower = Download(origin_);
  std::unique_ptr<ByteReader> downloader = Download(origin_);
  EXPECT_OK(ReadBytes(*downloader, 1000));
  EXPECT_OK(ReadBytes(*follower, 1000));
  EXPECT_OK(ReadToEnd(*downloader));
  downloader.reset();
  EXPECT_OK(ReadBytes(*follower, 1000));
  EXPECT_EQ(cache_->Prune(0).value(), 0);
  EXPECT_TRUE(Has(origin_.digest()));
}

TEST_F(CacheSpaceTest, WhatIsDownloadedStaysAndWhatWasInterruptedGoes) {
  std::unique_ptr<ByteReader> reader = Download(origin_);
  EXPECT_OK(ReadBytes(*reader, kBlob / 2));
  SetUsed(IngestPath(origin_.digest()), 1000);
  EXPECT_EQ(cache_->Prune(0).value(), 0);
  reader.reset();
  EXPECT_GE(cache_->Prune(0).value(), static_cast<int64_t>(kBlob / 2));
  EXPECT_THAT(cache_->List().value(), IsEmpty());
}

TEST_F(CacheSpaceTest, AnInterruptedDownloadIsOneOfMany) {
  const std::vector<Digest> blobs = Fill(2);
  WriteFile(IngestPath(origin_.digest()), MakeBlob(7, kBlob));
  SetUsed(IngestPath(origin_.digest()), 500);
  cache_ = Open({.max_bytes = 3 * kBlob});
  Origin next(MakeBlob(2, kBlob));
  Get(next);
  EXPECT_TRUE(Has(blobs[0]));
  EXPECT_THAT(NamesIn(path_ + "/ingest"), IsEmpty());
}

// The file system under /tmp must have fallocate for this: ext4, xfs, btrfs and tmpfs do.
TEST_F(CacheSpaceTest, DownloadsAtTheSameTimeDoNotShareOneGap) {
  constexpr size_t kLarge = 10 * kBlob;
  cache_ = Open({.max_bytes = 2 * kLarge + kLarge / 10});
  std::vector<std::unique_ptr<Origin>> origins;
  std::vector<std::unique_ptr<ByteReader>> readers;
  for (int i = 0; i < 4; ++i) {
    origins.push_back(std::make_unique<Origin>(MakeBlob(i, kLarge)));
    readers.push_back(Download(*origins.back()));
    EXPECT_OK(ReadBytes(*readers.back(), 1000));
  }
  EXPECT_THAT(NamesIn(path_ + "/ingest"), SizeIs(2));
  for (int i = 0; i < 4; ++i) {
    EXPECT_THAT(ReadToEnd(*readers[i]), Gives(origins[i]->content().substr(1000)));
  }
  EXPECT_TRUE(Has(origins[0]->digest()));
  EXPECT_TRUE(Has(origins[1]->digest()));
  EXPECT_FALSE(Has(origins[2]->digest()));
}

TEST_F(CacheSpaceTest, LeavesRoomOnTheFileSystem) {
  Get(origin_);
  cache_ = Open({.max_bytes = kEndless, .min_free_bytes = kEndless});
  Origin next(MakeBlob(2, kBlob));
  Get(next);
  EXPECT_FALSE(Has(next.digest()));
  // Evicting could not have helped.
  EXPECT_TRUE(Has(origin_.digest()));
  cache_ = Open({.max_bytes = kEndless, .min_free_inodes = kEndless});
  Get(next);
  EXPECT_FALSE(Has(next.digest()));
  EXPECT_TRUE(Has(origin_.digest()));
}

TEST_F(CacheSpaceTest, PruneGoesAsFarAsItIsTold) {
  const std::vector<Digest> blobs = Fill(4);
  EXPECT_EQ(cache_->Prune(4 * kBlob).value(), 0);
  EXPECT_EQ(cache_->Prune(4 * kBlob - 1).value(), static_cast<int64_t>(kBlob));
  EXPECT_FALSE(Has(blobs[0]));
  EXPECT_EQ(cache_->Prune(kBlob).value(), static_cast<int64_t>(2 * kBlob));
  EXPECT_TRUE(Has(blobs[3]));
  EXPECT_EQ(cache_->Prune(0).value(), static_cast<int64_t>(kBlob));
  EXPECT_THAT(cache_->List().value(), IsEmpty());
}

TEST_F(CacheSpaceTest, WhatWasUsedSinceItWasListedStays) {
  const std::vector<Digest> blobs = Fill(1);
  ASSERT_OK_AND_ASSIGN(CacheDirectory directory, CacheDirectory::Open(path_));
  const CacheEntry listed = *directory.Find(BlobPlace::kWhole, blobs[0]);
  EXPECT_OK(cache_->OpenBlob(blobs[0], std::nullopt));
  EXPECT_FALSE(Evict(directory, listed));
  EXPECT_TRUE(Has(blobs[0]));
  EXPECT_TRUE(Evict(directory, *directory.Find(BlobPlace::kWhole, blobs[0])));
  EXPECT_FALSE(Has(blobs[0]));
}

}  // namespace
}  // namespace sluice
