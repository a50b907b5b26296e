#include "registry/cache/blob_cache.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
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
using ::testing::ElementsAre;
using ::testing::IsEmpty;

mode_t ModeOf(const std::string& path) {
  struct stat attributes = {};
  EXPECT_EQ(lstat(path.c_str(), &attributes), 0) << path;
  return attributes.st_mode & 07777;
}

class BlobCacheTest : public testing::CacheFixture {};

TEST_F(BlobCacheTest, MakesAnOciLayoutThatIsItsOwnersAlone) {
  EXPECT_THAT(NamesIn(path_), ElementsAre("blobs", "index.json", "ingest", "lock", "oci-layout"));
  EXPECT_EQ(ReadFile(path_ + "/oci-layout"), R"({"imageLayoutVersion":"1.0.0"})");
  const nlohmann::json index = nlohmann::json::parse(ReadFile(path_ + "/index.json"));
  EXPECT_EQ(index["schemaVersion"], 2);
  EXPECT_EQ(index["manifests"], nlohmann::json::array());
  for (const char* directory : {"", "/blobs", "/blobs/sha256", "/ingest"}) EXPECT_EQ(ModeOf(path_ + directory), 0700u);
  for (const char* file : {"/index.json", "/oci-layout", "/lock"}) EXPECT_EQ(ModeOf(path_ + file), 0600u);
  EXPECT_EQ(cache_->path(), path_);
}

TEST_F(BlobCacheTest, FetchesWhatIsMissingAndKeepsIt) {
  Origin origin(MakeBlob(1, 300'000));
  EXPECT_FALSE(cache_->Contains(origin.digest(), origin.size()));
  EXPECT_THAT(cache_->OpenBlob(origin.digest(), std::nullopt), StatusIs(absl::StatusCode::kNotFound, path_));

  EXPECT_THAT(ReadToEnd(*Download(origin)), Gives(origin.content()));
  EXPECT_TRUE(cache_->Contains(origin.digest(), origin.size()));
  EXPECT_TRUE(cache_->Contains(origin.digest(), std::nullopt));
  EXPECT_FALSE(cache_->Contains(origin.digest(), origin.size() - 1));
  EXPECT_EQ(ModeOf(BlobPath(origin.digest())), 0444u);
  EXPECT_THAT(NamesIn(path_ + "/ingest"), IsEmpty());

  EXPECT_THAT(ReadToEnd(*Download(origin)), Gives(origin.content()));
  ASSERT_OK_AND_ASSIGN(const std::unique_ptr<ByteReader> again, cache_->OpenBlob(origin.digest(), origin.size()));
  EXPECT_THAT(ReadToEnd(*again), Gives(origin.content()));
  EXPECT_THAT(origin.fetches(), ElementsAre(0));
  EXPECT_EQ(origin.bytes(), origin.size());
}

TEST_F(BlobCacheTest, ReadsInPiecesOfAnySize) {
  for (const size_t piece : {1u, 7u, 999u, 1000u, 1001u}) {
    Origin origin(MakeBlob(piece, 1000));
    EXPECT_THAT(ReadToEnd(*Download(origin), piece), Gives(origin.content()));
    EXPECT_TRUE(cache_->Contains(origin.digest(), 1000));
  }
}

TEST_F(BlobCacheTest, AnEmptyBlobIsABlob) {
  Origin origin("");
  EXPECT_THAT(ReadToEnd(*Download(origin)), Gives(""));
  EXPECT_TRUE(cache_->Contains(origin.digest(), 0));
  EXPECT_THAT(origin.fetches(), IsEmpty());
  EXPECT_THAT(ReadToEnd(*cache_->OpenOrFetch(Digest::Of("x"), 0, origin.Fetch(), nullptr).value()),
              StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_THAT(cache_->OpenOrFetch(Digest::Of("x"), -1, origin.Fetch(), nullptr),
              StatusIs(absl::StatusCode::kInvalidArgument, "-1 bytes"));
}

TEST_F(BlobCacheTest, IsInPlaceBeforeItsLastByteIsHandedOn) {
  Origin origin(MakeBlob(1, 1000));
  const std::unique_ptr<ByteReader> reader = Download(origin);
  EXPECT_THAT(ReadBytes(*reader, 999), Gives(origin.content().substr(0, 999)));
  EXPECT_FALSE(cache_->Contains(origin.digest(), 1000));
  EXPECT_EQ(ReadFile(IngestPath(origin.digest())), origin.content().substr(0, 999));
  EXPECT_THAT(ReadBytes(*reader, 1), Gives(origin.content().substr(999)));
  EXPECT_TRUE(cache_->Contains(origin.digest(), 1000));
}

TEST_F(BlobCacheTest, AReaderOutlivesTheCache) {
  Origin origin(MakeBlob(1, 1000));
  const std::unique_ptr<ByteReader> reader = Download(origin);
  EXPECT_THAT(ReadBytes(*reader, 100), Gives(origin.content().substr(0, 100)));
  cache_.reset();
  EXPECT_THAT(ReadToEnd(*reader), Gives(origin.content().substr(100)));
  EXPECT_TRUE(Open()->Contains(origin.digest(), 1000));
}

TEST_F(BlobCacheTest, ADroppedBlobIsFetchedAgainAndHurtsNoReader) {
  Origin origin(MakeBlob(1, 100'000));
  ASSERT_OK(ReadToEnd(*Download(origin)));
  const std::unique_ptr<ByteReader> reader = Download(origin);
  EXPECT_THAT(ReadBytes(*reader, 10), Gives(origin.content().substr(0, 10)));
  EXPECT_OK(cache_->Drop(origin.digest()));
  EXPECT_FALSE(cache_->Contains(origin.digest(), origin.size()));
  EXPECT_THAT(ReadToEnd(*reader), Gives(origin.content().substr(10)));

  EXPECT_THAT(ReadToEnd(*Download(origin)), Gives(origin.content()));
  EXPECT_THAT(origin.fetches(), ElementsAre(0, 0));
  EXPECT_OK(cache_->Drop(origin.digest()));
  EXPECT_OK(cache_->Drop(origin.digest()));
}

TEST_F(BlobCacheTest, ACorruptBlobIsHandedOnUntilItIsDropped) {
  Origin origin(MakeBlob(1, 100'000));
  const std::string corrupt = MakeBlob(2, 100'000);
  WriteFile(BlobPath(origin.digest()), corrupt);
  EXPECT_THAT(ReadToEnd(*Download(origin)), Gives(corrupt));
  EXPECT_OK(cache_->Drop(origin.digest()));
  EXPECT_THAT(ReadToEnd(*Download(origin)), Gives(origin.content()));
  EXPECT_EQ(ReadFile(BlobPath(origin.digest())), origin.content());
}

TEST_F(BlobCacheTest, ABlobOfAnotherLengthIsReplaced) {
  Origin origin(MakeBlob(1, 1000));
  WriteFile(BlobPath(origin.digest()), "short");
  EXPECT_THAT(cache_->OpenBlob(origin.digest(), 1000),
              StatusIs(absl::StatusCode::kNotFound, "5 bytes instead of 1000"));
  EXPECT_THAT(ReadToEnd(*Download(origin)), Gives(origin.content()));
  EXPECT_EQ(ReadFile(BlobPath(origin.digest())), origin.content());
}

TEST_F(BlobCacheTest, DocumentsAreWrittenReadAndVerified) {
  const std::string document = R"({"a": 1})";
  const Digest digest = Digest::Of(document);
  EXPECT_THAT(cache_->ReadDocument(digest, 100), StatusIs(absl::StatusCode::kNotFound, digest.Hex()));
  EXPECT_THAT(cache_->WriteDocument(digest, "other"), StatusIs(absl::StatusCode::kInvalidArgument, digest.Hex()));
  EXPECT_OK(cache_->WriteDocument(digest, document));
  EXPECT_OK(cache_->WriteDocument(digest, document));
  EXPECT_EQ(ModeOf(BlobPath(digest)), 0444u);
  EXPECT_THAT(NamesIn(path_ + "/ingest"), IsEmpty());
  EXPECT_EQ(cache_->ReadDocument(digest, 8).value(), document);
  EXPECT_THAT(cache_->ReadDocument(digest, 7), StatusIs(absl::StatusCode::kNotFound, "larger than 7 bytes"));
  EXPECT_TRUE(cache_->Contains(digest, 8));
}

TEST_F(BlobCacheTest, ACorruptDocumentIsDropped) {
  const std::string document = R"({"a": 1})";
  const Digest digest = Digest::Of(document);
  WriteFile(BlobPath(digest), R"({"a": 2})");
  EXPECT_THAT(cache_->ReadDocument(digest, 100), StatusIs(absl::StatusCode::kNotFound, "dropped"));
  EXPECT_FALSE(std::filesystem::exists(BlobPath(digest)));
  EXPECT_OK(cache_->WriteDocument(digest, document));
  EXPECT_EQ(cache_->ReadDocument(digest, 100).value(), document);
}

TEST_F(BlobCacheTest, ADocumentOfAnotherLengthIsReplaced) {
  const std::string document = R"({"a": 1})";
  WriteFile(BlobPath(Digest::Of(document)), "");
  EXPECT_OK(cache_->WriteDocument(Digest::Of(document), document));
  EXPECT_EQ(cache_->ReadDocument(Digest::Of(document), 100).value(), document);
}

TEST_F(BlobCacheTest, ListsWhatThereIsLeastRecentlyUsedFirst) {
  const Digest second = Add("second", 2000);
  const Digest first = Add("first", 1000);
  Origin half(MakeBlob(1, 1000));
  EXPECT_OK(ReadBytes(*Download(half), 400));
  SetUsed(IngestPath(half.digest()), 1500);
  WriteFile(path_ + "/blobs/sha256/oci-put-blob123", "another program's");

  ASSERT_OK_AND_ASSIGN(const std::vector<CachedBlob> blobs, cache_->List());
  ASSERT_EQ(blobs.size(), 3u);
  EXPECT_EQ(blobs[0].digest, first);
  EXPECT_EQ(blobs[0].bytes, 5);
  EXPECT_EQ(blobs[0].used_at, absl::FromUnixSeconds(1000));
  EXPECT_TRUE(blobs[0].complete);
  EXPECT_EQ(blobs[1].digest, half.digest());
  EXPECT_EQ(blobs[1].bytes, 400);
  EXPECT_FALSE(blobs[1].complete);
  EXPECT_EQ(blobs[2].digest, second);
}

TEST_F(BlobCacheTest, EveryUseCounts) {
  const Digest opened = Add("opened", 1000);
  Add("fetched", 1001);
  const Digest read = Add("read", 1002);
  const Digest written = Add("written", 1003);
  const Digest asked = Add("asked for", 1004);
  Origin origin("fetched");
  EXPECT_OK(cache_->OpenBlob(opened, std::nullopt));
  EXPECT_OK(ReadToEnd(*Download(origin)));
  EXPECT_OK(cache_->ReadDocument(read, 100));
  EXPECT_OK(cache_->WriteDocument(written, "written"));
  EXPECT_TRUE(cache_->Contains(asked, 9));
  ASSERT_OK_AND_ASSIGN(const std::vector<CachedBlob> blobs, cache_->List());
  EXPECT_EQ(blobs.size(), 5u);
  for (const CachedBlob& blob : blobs) {
    const bool is_old = blob.used_at < absl::FromUnixSeconds(2000);
    EXPECT_EQ(is_old, blob.digest == asked) << blob.digest.ToString();
  }
}

TEST(BlobCacheOpenTest, MakesTheParentsAndFindsItsOwnAgain) {
  const testing::TempDir dir;
  const std::string path = dir.At("a/b/cache");
  ASSERT_OK(BlobCache::Open(path + "/", {}));
  EXPECT_EQ(ModeOf(dir.At("a/b")), 0700u);
  ASSERT_OK_AND_ASSIGN(const std::unique_ptr<BlobCache> cache, BlobCache::Open(path, {}));
  ASSERT_OK(cache->WriteDocument(Digest::Of("x"), "x"));
  EXPECT_TRUE(BlobCache::Open(path, {}).value()->Contains(Digest::Of("x"), 1));
}

TEST(BlobCacheOpenTest, GoesOnWhereMakingItWasCutShort) {
  const testing::TempDir dir;
  // Each prefix of what Open makes, in its order.
  for (const std::vector<std::string>& names :
       std::vector<std::vector<std::string>>{{}, {"lock"}, {"lock", "ingest/"}, {"lock", "ingest/", "ingest/new"}}) {
    const std::string path = dir.MakeDirectory(std::to_string(names.size()));
    for (const std::string& name : names) {
      if (name.back() == '/') {
        std::filesystem::create_directory(path + "/" + name);
      } else {
        WriteFile(path + "/" + name, "");
      }
    }
    ASSERT_OK(BlobCache::Open(path, {}));
    EXPECT_TRUE(std::filesystem::exists(path + "/index.json"));
    EXPECT_FALSE(std::filesystem::exists(path + "/ingest/new"));
  }
}

TEST(BlobCacheOpenTest, TakesALayoutThatAnotherProgramMade) {
  const testing::TempDir dir;
  WriteFile(dir.At("oci-layout"), R"({"imageLayoutVersion": "1.0.0"})");
  ASSERT_OK(BlobCache::Open(dir.path(), {}));
  EXPECT_EQ(ReadFile(dir.At("oci-layout")), R"({"imageLayoutVersion": "1.0.0"})");
}

TEST(BlobCacheOpenTest, LeavesAloneWhatIsNoLayout) {
  const testing::TempDir dir;
  struct Case {
    const char* name;
    const char* content;
    const char* cause;
  };
  for (const Case& c : std::vector<Case>{{"photo.jpg", "x", "neither empty nor an OCI image layout"},
                                         {"oci-layout", "", "not JSON"},
                                         {"oci-layout", "[]", "not a JSON object"},
                                         {"oci-layout", "{}", "not version 1 of the OCI layout"},
                                         {"oci-layout", R"({"imageLayoutVersion":"2.0.0"})", "not version 1"},
                                         {"oci-layout", R"({"imageLayoutVersion":1})", "not version 1"}}) {
    const std::string path = dir.MakeDirectory("d");
    WriteFile(path + "/" + c.name, c.content);
    EXPECT_THAT(BlobCache::Open(path, {}), StatusIs(absl::StatusCode::kFailedPrecondition, path)) << c.cause;
    EXPECT_THAT(BlobCache::Open(path, {}), StatusIs(absl::StatusCode::kFailedPrecondition, c.cause));
    const auto entries = std::filesystem::directory_iterator(path);
    EXPECT_EQ(std::distance(begin(entries), end(entries)), 1) << "something was made in a foreign directory";
    std::filesystem::remove_all(path);
  }
  WriteFile(dir.At("file"), "x");
  EXPECT_THAT(BlobCache::Open(dir.At("file"), {}), StatusIs(absl::StatusCode::kFailedPrecondition, dir.At("file")));
  EXPECT_THAT(BlobCache::Open(dir.At("file/cache"), {}), StatusIs(absl::StatusCode::kFailedPrecondition, "file/cache"));
}

}  // namespace
}  // namespace sluice
