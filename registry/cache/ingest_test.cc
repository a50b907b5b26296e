#include "registry/cache/ingest.h"

#include <filesystem>
#include <optional>
#include <string>
#include <utility>

#include "gtest/gtest.h"
#include "registry/cache/cache_fixture.h"
#include "tests/testing/status_matchers.h"

namespace sluice {
namespace {

using Holder = Ingest::Holder;
using ::sluice::testing::ReadFile;

class IngestTest : public testing::CacheFixture {
 protected:
  Ingest OpenIngest() const { return Ingest::Open(directory_, digest_).value(); }

  const CacheDirectory directory_ = CacheDirectory::Open(path_).value();
  const Digest digest_ = Digest::Of("content");
};

TEST_F(IngestTest, OneHoldsItUntilItGoes) {
  std::optional<Ingest> first = OpenIngest();
  Ingest second = OpenIngest();
  EXPECT_EQ(first->TryHold(), Holder::kSelf);
  EXPECT_EQ(first->TryHold(), Holder::kSelf);
  EXPECT_EQ(second.TryHold(), Holder::kOther);
  EXPECT_OK(first->Append(0, "cont"));
  EXPECT_EQ(second.Length(), 4);
  first.reset();
  EXPECT_EQ(second.TryHold(), Holder::kSelf);
  EXPECT_OK(second.Append(4, "ent"));
  EXPECT_EQ(ReadFile(IngestPath(digest_)), "content");
}

TEST_F(IngestTest, APublishedFileIsSharedAndHeldByNobody) {
  Ingest first = OpenIngest();
  Ingest second = OpenIngest();
  ASSERT_EQ(first.TryHold(), Holder::kSelf);
  EXPECT_FALSE(second.TryShare());
  EXPECT_OK(first.Append(0, "content"));
  EXPECT_OK(first.Publish());
  EXPECT_EQ(ReadFile(BlobPath(digest_)), "content");
  EXPECT_EQ(first.TryHold(), Holder::kNone);
  EXPECT_EQ(second.TryHold(), Holder::kNone);
  EXPECT_TRUE(second.TryShare());
  EXPECT_FALSE(cache_->Prune(0).value());
}

TEST_F(IngestTest, ADiscardedFileIsHeldByNobodyAndTheNextIsAnother) {
  Ingest first = OpenIngest();
  ASSERT_EQ(first.TryHold(), Holder::kSelf);
  EXPECT_OK(first.Append(0, "wrong"));
  EXPECT_OK(first.Discard());
  EXPECT_EQ(first.TryHold(), Holder::kNone);
  Ingest second = OpenIngest();
  EXPECT_EQ(second.TryHold(), Holder::kSelf);
  EXPECT_EQ(second.Length(), 0);
  EXPECT_EQ(first.TryHold(), Holder::kNone);
}

TEST_F(IngestTest, WhatCannotBePublishedIsGone) {
  Ingest first = OpenIngest();
  ASSERT_EQ(first.TryHold(), Holder::kSelf);
  std::filesystem::create_directory(BlobPath(digest_));
  EXPECT_FALSE(first.Publish().ok());
  EXPECT_FALSE(std::filesystem::exists(IngestPath(digest_)));
}

TEST_F(IngestTest, KnowsOfOtherNames) {
  const Ingest ingest = OpenIngest();
  EXPECT_FALSE(ingest.HasOtherNames());
  std::filesystem::create_hard_link(IngestPath(digest_), dir_.At("other"));
  EXPECT_TRUE(ingest.HasOtherNames());
}

}  // namespace
}  // namespace sluice
