#include "snapshotter/metadata/sqlite.h"

#include <sys/stat.h>

#include <fstream>

#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace sluice {
namespace {

using testing::StatusIs;
using Mode = SqliteConnection::Mode;

class SqliteTest : public ::testing::Test {
 protected:
  SqliteTest() : path_(dir_.At("t.db")) {
    connection_ = SqliteConnection::Open(path_, Mode::kReadWrite).value();
    EXPECT_OK(connection_->Execute("CREATE TABLE t(a TEXT UNIQUE, n INTEGER)"));
  }

  testing::TempDir dir_;
  const std::string path_;
  std::unique_ptr<SqliteConnection> connection_;
};

TEST_F(SqliteTest, IsDurableAndPrivate) {
  SqliteQuery journal = connection_->Query("PRAGMA journal_mode");
  ASSERT_OK(journal.Next());
  EXPECT_EQ(journal.Text(0), "wal");
  SqliteQuery synchronous = connection_->Query("PRAGMA synchronous");
  ASSERT_OK(synchronous.Next());
  EXPECT_EQ(synchronous.Int(0), 2);  // FULL
  SqliteQuery foreign_keys = connection_->Query("PRAGMA foreign_keys");
  ASSERT_OK(foreign_keys.Next());
  EXPECT_EQ(foreign_keys.Int(0), 1);
  struct stat info;
  for (const char* suffix : {"", "-wal", "-shm"}) {
    ASSERT_EQ(stat((path_ + suffix).c_str(), &info), 0) << suffix;
    EXPECT_EQ(info.st_mode & 0777, 0600u) << suffix;
  }
}

TEST_F(SqliteTest, TextIsBytesAndNullIsNull) {
  const std::string bytes("a\0b\xff", 4);
  ASSERT_OK(connection_->Run("INSERT INTO t VALUES(?, ?)", bytes, std::optional<int64_t>()));
  SqliteQuery query = connection_->Query("SELECT a, n FROM t WHERE a = ?", bytes);
  ASSERT_OK_AND_ASSIGN(const bool row, query.Next());
  ASSERT_TRUE(row);
  EXPECT_EQ(query.Text(0), bytes);
  EXPECT_TRUE(query.IsNull(1));
  EXPECT_EQ(query.OptionalInt(1), std::nullopt);
  ASSERT_OK_AND_ASSIGN(const bool more, query.Next());
  EXPECT_FALSE(more);
}

TEST_F(SqliteTest, EmptyTextIsNotNull) {
  ASSERT_OK(connection_->Run("INSERT INTO t VALUES(?, 7)", absl::string_view()));
  SqliteQuery query = connection_->Query("SELECT n FROM t WHERE a = ''");
  ASSERT_OK_AND_ASSIGN(const bool row, query.Next());
  ASSERT_TRUE(row);
  EXPECT_EQ(query.Int(0), 7);
}

TEST_F(SqliteTest, StatementsAreUsedAgainWithoutOldParameters) {
  for (const int value : {1, 2}) ASSERT_OK(connection_->Run("INSERT INTO t VALUES(NULL, ?)", value));
  SqliteQuery query = connection_->Query("SELECT count(*), sum(n) FROM t");
  ASSERT_OK(query.Next());
  EXPECT_EQ(query.Int(0), 2);
  EXPECT_EQ(query.Int(1), 3);
}

TEST_F(SqliteTest, ErrorsHaveTheirCodes) {
  ASSERT_OK(connection_->Run("INSERT INTO t VALUES('k', 1)"));
  EXPECT_THAT(connection_->Run("INSERT INTO t VALUES('k', 2)"), StatusIs(absl::StatusCode::kAlreadyExists, "t.a"));
  EXPECT_THAT(connection_->Run("INSERT INTO nowhere VALUES(1)"),
              StatusIs(absl::StatusCode::kInternal, "no such table"));
  ASSERT_OK_AND_ASSIGN(const auto reader, SqliteConnection::Open(path_, Mode::kReadOnly));
  EXPECT_THAT(reader->Run("INSERT INTO t VALUES('z', 2)"), StatusIs(absl::StatusCode::kPermissionDenied));
}

TEST_F(SqliteTest, AFileThatIsNoDatabaseIsDataLoss) {
  const std::string path = dir_.At("text.db");
  std::ofstream(path) << std::string(8192, 'x');
  EXPECT_THAT(SqliteConnection::Open(path, Mode::kReadWrite), StatusIs(absl::StatusCode::kDataLoss, "not a database"));
}

}  // namespace
}  // namespace sluice
