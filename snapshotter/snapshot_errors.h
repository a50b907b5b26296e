// Every answer of the snapshot state machine that a client branches on, code and words in one place.
// Codes: containerd snapshots/storage/bolt.go; the garbage collector passes over FailedPrecondition from Remove only.
#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace sluice {

// `operation` is the RPC in lower case: "prepare", "mounts", ….
absl::Status EmptyKeyError(absl::string_view operation);                                      // InvalidArgument
absl::Status SnapshotNotFoundError(absl::string_view operation, absl::string_view key);       // NotFound
absl::Status KeyTakenError(absl::string_view operation, absl::string_view key);               // AlreadyExists
absl::Status ParentNotFoundError(absl::string_view operation, absl::string_view parent);      // NotFound
absl::Status ParentNotCommittedError(absl::string_view operation, absl::string_view parent);  // InvalidArgument
// The layer that Prepare asked for by its ref is there as a committed snapshot: nothing is left to do for the client.
absl::Status LayerPresentError(absl::string_view ref);          // AlreadyExists
absl::Status CommittedHasNoMountsError(absl::string_view key);  // FailedPrecondition
absl::Status NameTakenError(absl::string_view name);            // AlreadyExists
absl::Status CommitOfNonActiveError(absl::string_view key);     // FailedPrecondition
absl::Status RebaseUnsupportedError(absl::string_view key);     // InvalidArgument
// containerd's own test suite looks for the word "remove".
absl::Status RemoveWithChildrenError(absl::string_view key);  // FailedPrecondition
absl::Status ImmutableFieldError(absl::string_view path);     // InvalidArgument
absl::Status LabelWithoutKeyError(absl::string_view value);   // InvalidArgument
// The row is there, its directory is not: someone deleted it by hand, or the disk lost it.
absl::Status DirectoryMissingError(absl::string_view operation, absl::string_view key,
                                   absl::string_view directory);  // FailedPrecondition
absl::Status ShuttingDownError();                                 // Unavailable

}  // namespace sluice
