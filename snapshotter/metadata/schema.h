// The database's tables and how an older file gets to them.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "snapshotter/metadata/sqlite.h"

namespace sluice {

// Element i takes a database from version i (PRAGMA user_version) to i + 1. Append only.
absl::Span<const char* const> SchemaUpgrades();

// Brings the database at `path`, open as `connection`, to the newest version: each upgrade in one transaction, after a
// copy of the file as it was, "<path>.v<version>". A new file has version 0 and gets no copy.
// FailedPrecondition for a version that is newer than `upgrades`, with the mend; nothing is changed then.
absl::Status UpgradeSchema(SqliteConnection& connection, const std::string& path,
                           absl::Span<const char* const> upgrades = SchemaUpgrades());

}  // namespace sluice
