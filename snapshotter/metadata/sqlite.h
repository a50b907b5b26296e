// SQLite as the metadata store uses it: one connection, statements prepared once, errors as absl::Status. The only
// place where sqlite3.h is known.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

struct sqlite3;
struct sqlite3_stmt;

namespace sluice {

// The rows of one statement. One thread at a time; not to outlive its connection, nor another Query of the same text.
class SqliteQuery {
 public:
  SqliteQuery(SqliteQuery&& other) noexcept;
  SqliteQuery& operator=(SqliteQuery&&) = delete;
  ~SqliteQuery();

  // True: a row is there to be read. False: no more. Errors of preparing and binding come here too.
  absl::StatusOr<bool> Next();

  // Columns of the current row, from 0.
  bool IsNull(int column) const;
  int64_t Int(int column) const;
  std::string Text(int column) const;
  std::optional<int64_t> OptionalInt(int column) const;

 private:
  friend class SqliteConnection;
  SqliteQuery(sqlite3* connection, sqlite3_stmt* statement, absl::Status status);

  void Bind(int index, int64_t value);
  void Bind(int index, int value) { Bind(index, int64_t{value}); }
  void Bind(int index, bool value) { Bind(index, int64_t{value}); }
  // Not copied: must live until the last Next().
  void Bind(int index, absl::string_view value);
  void Bind(int index, const std::string& value) { Bind(index, absl::string_view(value)); }
  void Bind(int index, const char* value) { Bind(index, absl::string_view(value)); }
  template <typename T>
  void Bind(int index, const std::optional<T>& value) {
    if (value.has_value()) Bind(index, *value);  // else stays NULL
  }
  void Check(int result);

  sqlite3* connection_;
  sqlite3_stmt* statement_;  // owned by the connection's cache
  absl::Status status_;
};

// One thread at a time.
class SqliteConnection {
 public:
  enum class Mode { kReadWrite, kReadOnly };

  // Creates the file (0600) in mode kReadWrite. WAL, synchronous=FULL, foreign keys on.
  // Errors: DataLoss when the file is no database or damaged.
  static absl::StatusOr<std::unique_ptr<SqliteConnection>> Open(const std::string& path, Mode mode);
  ~SqliteConnection();

  // Several statements without results or parameters.
  absl::Status Execute(const std::string& sql);

  // `sql` is a string literal: its address is the key under which the prepared statement is kept.
  template <typename... Args>
  SqliteQuery Query(const char* sql, const Args&... args) {
    SqliteQuery query = Prepare(sql);
    int index = 0;
    (query.Bind(++index, args), ...);
    return query;
  }

  // A statement without rows. AlreadyExists when it would break a UNIQUE constraint.
  template <typename... Args>
  absl::Status Run(const char* sql, const Args&... args) {
    SqliteQuery query = Query(sql, args...);
    return query.Next().status();
  }

  int64_t last_insert_id() const;
  // Rows that the last INSERT, UPDATE or DELETE touched.
  int64_t changes() const;

 private:
  SqliteConnection() = default;
  SqliteQuery Prepare(const char* sql);

  sqlite3* connection_ = nullptr;
  absl::flat_hash_map<const char*, sqlite3_stmt*> statements_;
};

}  // namespace sluice
