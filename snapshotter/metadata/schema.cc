#include "snapshotter/metadata/schema.h"

#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/errno_status.h"
#include "base/status_macros.h"

namespace sluice {
namespace {

// Times are nanoseconds since 1970; digests are "sha256:…"; directory numbers are never used twice.
constexpr const char* kUpgrades[] = {
    R"sql(
CREATE TABLE meta (
  key TEXT PRIMARY KEY,
  value TEXT NOT NULL
) WITHOUT ROWID;

-- Filled layer directories. A layer belongs to the snapshots whose directory_id names it; with none it is unclaimed.
CREATE TABLE layer (
  directory_id INTEGER PRIMARY KEY,
  diff_id TEXT NOT NULL,
  chain_id TEXT,                  -- NULL: self-contained, right over any parent
  blob_digest TEXT NOT NULL,
  blob_bytes INTEGER NOT NULL,
  usage_bytes INTEGER NOT NULL,
  usage_inodes INTEGER NOT NULL,
  synced INTEGER NOT NULL,        -- 1: known to be on the disk
  boot_id TEXT NOT NULL,          -- the boot in which it was filled
  published_ns INTEGER NOT NULL
);
CREATE UNIQUE INDEX layer_self_contained ON layer(diff_id) WHERE chain_id IS NULL;
CREATE UNIQUE INDEX layer_of_chain ON layer(chain_id) WHERE chain_id IS NOT NULL;
CREATE INDEX layer_unsynced ON layer(directory_id) WHERE synced = 0;

-- Each proxy name (snapshotter) is a key space of its own.
CREATE TABLE snapshot (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  snapshotter TEXT NOT NULL,
  key TEXT NOT NULL,
  kind INTEGER NOT NULL CHECK (kind IN (1, 2, 3)),
  parent_id INTEGER REFERENCES snapshot(id),
  directory_id INTEGER,           -- NULL: a view with parents
  created_ns INTEGER NOT NULL,
  updated_ns INTEGER NOT NULL,
  usage_bytes INTEGER,            -- NULL: not counted yet
  usage_inodes INTEGER,
  ref TEXT,                       -- the label containerd.io/snapshot.ref
  chain_id TEXT,                  -- NULL: not proven by this daemon
  UNIQUE (snapshotter, key)
);
CREATE INDEX snapshot_parent ON snapshot(parent_id);
CREATE INDEX snapshot_directory ON snapshot(directory_id);
-- Not unique: containerd may commit a second snapshot of the same layer over the same parent.
CREATE INDEX snapshot_ref ON snapshot(snapshotter, ref, parent_id) WHERE ref IS NOT NULL;

CREATE TABLE label (
  snapshot_id INTEGER NOT NULL REFERENCES snapshot(id) ON DELETE CASCADE,
  key TEXT NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY (snapshot_id, key)
) WITHOUT ROWID;
)sql",
    R"sql(
ALTER TABLE layer ADD COLUMN tar_bytes INTEGER;  -- the uncompressed stream; NULL: filled before it was noted
CREATE INDEX layer_blob ON layer(blob_digest);

-- A layer's directory between the snapshot's own and those of its parents: what a differ was to put into its own was
-- there already.
ALTER TABLE snapshot ADD COLUMN adopted_id INTEGER;
CREATE INDEX snapshot_adopted ON snapshot(adopted_id) WHERE adopted_id IS NOT NULL;
)sql",
    R"sql(
CREATE INDEX label_value ON label(key, value);  -- clients list by a label
)sql",
};

absl::StatusOr<int64_t> Version(SqliteConnection& connection) {
  SqliteQuery query = connection.Query("PRAGMA user_version");
  ASSIGN_OR_RETURN(const bool row, query.Next());
  return row ? query.Int(0) : 0;
}

// VACUUM INTO refuses to overwrite; a leftover copy of the same version is of a failed upgrade and is replaced.
absl::Status KeepCopy(SqliteConnection& connection, const std::string& path, int64_t version) {
  const std::string copy = absl::StrCat(path, ".v", version);
  if (unlink(copy.c_str()) != 0 && errno != ENOENT) return ErrnoStatus(errno, "unlink", copy);
  return connection.Execute(absl::StrCat("VACUUM INTO '", absl::StrReplaceAll(copy, {{"'", "''"}}), "'"));
}

}  // namespace

absl::Span<const char* const> SchemaUpgrades() { return kUpgrades; }

absl::Status UpgradeSchema(SqliteConnection& connection, const std::string& path,
                           absl::Span<const char* const> upgrades) {
  ASSIGN_OR_RETURN(int64_t version, Version(connection));
  const int64_t newest = static_cast<int64_t>(upgrades.size());
  if (version < 0 || version > newest) {
    return absl::FailedPreconditionError(absl::StrCat("schema ", version, " is newer than this program's ", newest,
                                                      ": install the version that wrote it, or put the copy ", path,
                                                      ".v", newest, " in its place"));
  }
  if (version > 0 && version < newest) RETURN_IF_ERROR(KeepCopy(connection, path, version));
  for (; version < newest; ++version) {
    const absl::Status status = connection.Execute(
        absl::StrCat("BEGIN IMMEDIATE;", upgrades[version], ";PRAGMA user_version=", version + 1, ";COMMIT"));
    if (!status.ok()) {
      // Fails if the transaction never began; the first error is the one to tell.
      connection.Execute("ROLLBACK").IgnoreError();
      return Annotate(status, absl::StrCat("upgrade to schema ", version + 1));
    }
  }
  return absl::OkStatus();
}

}  // namespace sluice
