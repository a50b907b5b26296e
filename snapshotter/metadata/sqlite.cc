#include "snapshotter/metadata/sqlite.h"

#include <fcntl.h>
#include <sqlite3.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/errno_status.h"
#include "base/status_macros.h"
#include "base/unique_fd.h"

namespace sluice {
namespace {

// Only for strangers who look into the file; the daemon's own writers queue on a mutex.
constexpr int kBusyTimeoutMilliseconds = 5000;

absl::StatusCode CodeOf(int extended_result) {
  switch (extended_result) {
    case SQLITE_CONSTRAINT_UNIQUE:
    case SQLITE_CONSTRAINT_PRIMARYKEY:
      return absl::StatusCode::kAlreadyExists;
    default:
      break;
  }
  switch (extended_result & 0xff) {
    case SQLITE_FULL:
      return absl::StatusCode::kResourceExhausted;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_IOERR:
      return absl::StatusCode::kUnavailable;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return absl::StatusCode::kDataLoss;
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_READONLY:
      return absl::StatusCode::kPermissionDenied;
    default:
      return absl::StatusCode::kInternal;
  }
}

absl::Status ErrorOf(sqlite3* connection, int result) {
  const int extended = connection == nullptr ? result : sqlite3_extended_errcode(connection);
  const char* text = connection == nullptr ? sqlite3_errstr(result) : sqlite3_errmsg(connection);
  return absl::Status(CodeOf(extended), absl::StrCat("sqlite: ", text));
}

}  // namespace

SqliteQuery::SqliteQuery(sqlite3* connection, sqlite3_stmt* statement, absl::Status status)
    : connection_(connection), statement_(statement), status_(std::move(status)) {}

SqliteQuery::SqliteQuery(SqliteQuery&& other) noexcept
    : connection_(other.connection_),
      statement_(std::exchange(other.statement_, nullptr)),
      status_(std::move(other.status_)) {}

SqliteQuery::~SqliteQuery() {
  if (statement_ == nullptr) return;
  // Repeats the error that Next() has returned.
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
}

void SqliteQuery::Check(int result) {
  if (result != SQLITE_OK && status_.ok()) status_ = ErrorOf(connection_, result);
}

void SqliteQuery::Bind(int index, int64_t value) {
  if (status_.ok()) Check(sqlite3_bind_int64(statement_, index, value));
}

void SqliteQuery::Bind(int index, absl::string_view value) {
  if (!status_.ok()) return;
  // A null data pointer would bind NULL.
  const char* data = value.empty() ? "" : value.data();
  Check(sqlite3_bind_text64(statement_, index, data, value.size(), SQLITE_STATIC, SQLITE_UTF8));
}

absl::StatusOr<bool> SqliteQuery::Next() {
  RETURN_IF_ERROR(status_);
  const int result = sqlite3_step(statement_);
  if (result == SQLITE_ROW) return true;
  if (result == SQLITE_DONE) return false;
  status_ = ErrorOf(connection_, result);
  return status_;
}

bool SqliteQuery::IsNull(int column) const { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }

int64_t SqliteQuery::Int(int column) const { return sqlite3_column_int64(statement_, column); }

std::string SqliteQuery::Text(int column) const {
  const unsigned char* text = sqlite3_column_text(statement_, column);
  const int size = sqlite3_column_bytes(statement_, column);
  return text == nullptr ? std::string() : std::string(reinterpret_cast<const char*>(text), static_cast<size_t>(size));
}

std::optional<int64_t> SqliteQuery::OptionalInt(int column) const {
  if (IsNull(column)) return std::nullopt;
  return Int(column);
}

absl::StatusOr<std::unique_ptr<SqliteConnection>> SqliteConnection::Open(const std::string& path, Mode mode) {
  // SQLite would make the file for everybody to read; what it puts beside it takes the file's mode.
  if (mode == Mode::kReadWrite) {
    const UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!fd.valid()) return ErrnoStatus(errno, "open", path);
  }
  auto opened = std::unique_ptr<SqliteConnection>(new SqliteConnection);
  const int flags = (mode == Mode::kReadWrite ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY) |
                    SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
  const int result = sqlite3_open_v2(path.c_str(), &opened->connection_, flags, nullptr);
  if (result != SQLITE_OK) return ErrorOf(opened->connection_, result);
  sqlite3_extended_result_codes(opened->connection_, 1);
  sqlite3_busy_timeout(opened->connection_, kBusyTimeoutMilliseconds);
  if (mode == Mode::kReadWrite) RETURN_IF_ERROR(opened->Execute("PRAGMA journal_mode=WAL"));
  RETURN_IF_ERROR(opened->Execute("PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON"));
  return opened;
}

SqliteConnection::~SqliteConnection() {
  for (const auto& [sql, statement] : statements_) sqlite3_finalize(statement);
  sqlite3_close(connection_);
}

absl::Status SqliteConnection::Execute(const std::string& sql) {
  const int result = sqlite3_exec(connection_, sql.c_str(), nullptr, nullptr, nullptr);
  return result == SQLITE_OK ? absl::OkStatus() : ErrorOf(connection_, result);
}

SqliteQuery SqliteConnection::Prepare(const char* sql) {
  sqlite3_stmt*& statement = statements_[sql];
  if (statement == nullptr) {
    const int result = sqlite3_prepare_v3(connection_, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
    if (result != SQLITE_OK) return SqliteQuery(connection_, nullptr, ErrorOf(connection_, result));
  }
  return SqliteQuery(connection_, statement, absl::OkStatus());
}

int64_t SqliteConnection::last_insert_id() const { return sqlite3_last_insert_rowid(connection_); }

int64_t SqliteConnection::changes() const { return sqlite3_changes64(connection_); }

}  // namespace sluice
