#include "snapshotter/metadata/schema.h"

#include <sys/stat.h>

#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace sluice {
namespace {

using testing::StatusIs;
using Mode = SqliteConnection::Mode;

class SchemaTest : public ::testing::Test {
 protected:
  SchemaTest() : path_(dir_.At("s.db")), connection_(SqliteConnection::Open(path_, Mode::kReadWrite).value()) {}

  int64_t Number(const char* sql, const std::string& path) {
    const auto connection = SqliteConnection::Open(path, Mode::kReadWrite).value();
    SqliteQuery query = connection->Query(sql);
    EXPECT_OK(query.Next());
    return query.Int(0);
  }
  bool Exists(const std::string& path) {
    struct stat info;
    return stat(path.c_str(), &info) == 0;
  }

  testing::TempDir dir_;
  const std::string path_;
  std::unique_ptr<SqliteConnection> connection_;
};

constexpr const char* kOne[] = {"CREATE TABLE a(x)"};
constexpr const char* kTwo[] = {"CREATE TABLE a(x)", "ALTER TABLE a ADD COLUMN y; UPDATE a SET y = x + 1"};
constexpr const char* kBroken[] = {"CREATE TABLE a(x)", "ALTER TABLE a ADD COLUMN y; INSERT INTO nowhere VALUES(1)"};

TEST_F(SchemaTest, ANewFileGetsTheNewestSchemaAndNoCopy) {
  ASSERT_OK(UpgradeSchema(*connection_, path_));
  EXPECT_EQ(Number("PRAGMA user_version", path_), static_cast<int64_t>(SchemaUpgrades().size()));
  EXPECT_FALSE(Exists(path_ + ".v0"));
  ASSERT_OK(UpgradeSchema(*connection_, path_));  // a second time changes nothing
}

TEST_F(SchemaTest, AnOldFileIsUpgradedAndKeptAsItWas) {
  ASSERT_OK(UpgradeSchema(*connection_, path_, kOne));
  ASSERT_OK(connection_->Run("INSERT INTO a VALUES(41)"));
  ASSERT_OK(UpgradeSchema(*connection_, path_, kTwo));
  EXPECT_EQ(Number("SELECT y FROM a", path_), 42);
  EXPECT_EQ(Number("PRAGMA user_version", path_ + ".v1"), 1);
  EXPECT_EQ(Number("SELECT x FROM a", path_ + ".v1"), 41);
}

// A database as the first version wrote it.
TEST_F(SchemaTest, TheFirstVersionsRowsAreKept) {
  ASSERT_OK(UpgradeSchema(*connection_, path_, SchemaUpgrades().first(1)));
  ASSERT_OK(connection_->Run("INSERT INTO layer VALUES(7, 'sha256:aa', NULL, 'sha256:bb', 10, 4096, 3, 1, 'boot', 5)"));
  ASSERT_OK(connection_->Run("INSERT INTO snapshot VALUES(1, 's', 'k', 3, NULL, 7, 1, 2, NULL, NULL, NULL, NULL)"));
  ASSERT_OK(UpgradeSchema(*connection_, path_));
  EXPECT_EQ(Number("SELECT count(*) FROM layer WHERE directory_id = 7 AND tar_bytes IS NULL", path_), 1);
  EXPECT_EQ(Number("SELECT count(*) FROM snapshot WHERE directory_id = 7 AND adopted_id IS NULL", path_), 1);
  EXPECT_EQ(Number("PRAGMA user_version", path_ + ".v1"), 1);
  EXPECT_EQ(Number("SELECT count(*) FROM layer", path_ + ".v1"), 1);
}

TEST_F(SchemaTest, AFailedUpgradeChangesNothingAndCanBeRepeated) {
  ASSERT_OK(UpgradeSchema(*connection_, path_, kOne));
  ASSERT_OK(connection_->Run("INSERT INTO a VALUES(41)"));
  EXPECT_THAT(UpgradeSchema(*connection_, path_, kBroken),
              StatusIs(absl::StatusCode::kInternal, "upgrade to schema 2"));
  EXPECT_EQ(Number("PRAGMA user_version", path_), 1);
  EXPECT_EQ(Number("SELECT count(*) FROM pragma_table_info('a')", path_), 1);
  ASSERT_OK(UpgradeSchema(*connection_, path_, kTwo));
  EXPECT_EQ(Number("SELECT y FROM a", path_), 42);
}

TEST_F(SchemaTest, ANewerFileIsRefusedWithTheMend) {
  ASSERT_OK(UpgradeSchema(*connection_, path_, kTwo));
  EXPECT_THAT(UpgradeSchema(*connection_, path_, kOne),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       "schema 2 is newer than this program's 1: install the version that wrote it, or put the copy " +
                           path_ + ".v1 in its place"));
  EXPECT_EQ(Number("PRAGMA user_version", path_), 2);
}

}  // namespace
}  // namespace sluice
