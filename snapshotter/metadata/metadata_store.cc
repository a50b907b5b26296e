#include "snapshotter/metadata/metadata_store.h"

#include <fcntl.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/unique_fd.h"
#include "glog/logging.h"
#include "snapshotter/metadata/schema.h"

namespace sluice {
namespace {

constexpr int kReaders = 4;
// One write to the database gives this many directory numbers.
constexpr int64_t kIdBlock = 256;
constexpr char kReservedIdKey[] = "directory_ids_reserved_below";

// Room that stays the log's: on a disk that layers have filled, rows must still be deleted, or nothing would ever be
// freed again. SQLite begins anew in the same file after each checkpoint, which comes after 1000 pages of 4 KiB.
constexpr off_t kReservedLogBytes = 5 << 20;

void ReserveLog(const std::string& database_path) {
  const std::string path = database_path + "-wal";
  const UniqueFd log(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (log.valid() && fallocate(log.get(), FALLOC_FL_KEEP_SIZE, 0, kReservedLogBytes) == 0) return;
  LOG(WARNING) << "metadata: " << path << ": no room can be reserved, so a full disk may keep snapshots from being "
               << "removed: " << std::strerror(errno);
}

void EndTransaction(SqliteConnection& connection, absl::Status& status) {
  if (status.ok()) status = connection.Run("COMMIT");
  // A failed statement may have rolled back already; then this one fails, and that is no news.
  if (!status.ok()) connection.Run("ROLLBACK").IgnoreError();
}

}  // namespace

absl::StatusOr<std::unique_ptr<MetadataStore>> MetadataStore::Open(const std::string& path) {
  auto store = std::unique_ptr<MetadataStore>(new MetadataStore);
  const auto open = [&]() -> absl::Status {
    const MutexLock writer_lock(store->writer_mutex_);
    ASSIGN_OR_RETURN(store->writer_, SqliteConnection::Open(path, SqliteConnection::Mode::kReadWrite));
    RETURN_IF_ERROR(UpgradeSchema(*store->writer_, path));
    ReserveLog(path);
    const MutexLock readers_lock(store->readers_mutex_);
    for (int i = 0; i < kReaders; ++i) {
      ASSIGN_OR_RETURN(auto reader, SqliteConnection::Open(path, SqliteConnection::Mode::kReadOnly));
      store->readers_.push_back(std::move(reader));
    }
    return absl::OkStatus();
  };
  if (const absl::Status status = open(); !status.ok()) return Annotate(status, absl::StrCat("metadata: ", path));
  return store;
}

absl::Status MetadataStore::Write(absl::FunctionRef<absl::Status(MetadataWriter&)> body) {
  const MutexLock lock(writer_mutex_);
  RETURN_IF_ERROR(writer_->Run("BEGIN IMMEDIATE"));
  MetadataWriter writer(*writer_);
  absl::Status status = body(writer);
  EndTransaction(*writer_, status);
  return status;
}

absl::Status MetadataStore::Read(absl::FunctionRef<absl::Status(const MetadataReader&)> body) {
  std::unique_ptr<SqliteConnection> connection = BorrowReader();
  absl::Status status = connection->Run("BEGIN");
  if (status.ok()) {
    status = body(MetadataReader(*connection));
    EndTransaction(*connection, status);
  }
  ReturnReader(std::move(connection));
  return status;
}

std::unique_ptr<SqliteConnection> MetadataStore::BorrowReader() {
  const MutexLock lock(readers_mutex_);
  while (readers_.empty()) reader_returned_.Wait(readers_mutex_);
  std::unique_ptr<SqliteConnection> reader = std::move(readers_.back());
  readers_.pop_back();
  return reader;
}

void MetadataStore::ReturnReader(std::unique_ptr<SqliteConnection> reader) {
  {
    const MutexLock lock(readers_mutex_);
    readers_.push_back(std::move(reader));
  }
  reader_returned_.NotifyOne();
}

absl::StatusOr<int64_t> MetadataStore::NextDirectoryId() {
  const MutexLock lock(ids_mutex_);
  if (next_id_ == reserved_id_) {
    int64_t begin = 1;
    RETURN_IF_ERROR(Write([&begin](MetadataWriter& writer) -> absl::Status {
      ASSIGN_OR_RETURN(const std::optional<std::string> reserved, writer.Meta(kReservedIdKey));
      if (reserved.has_value() && (!absl::SimpleAtoi(*reserved, &begin) || begin < 1)) {
        return absl::DataLossError(absl::StrCat("metadata: ", kReservedIdKey, ": is not a number"));
      }
      return writer.SetMeta(kReservedIdKey, absl::StrCat(begin + kIdBlock));
    }));
    next_id_ = begin;
    reserved_id_ = begin + kIdBlock;
  }
  return next_id_++;
}

}  // namespace sluice
