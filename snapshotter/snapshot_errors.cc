#include "snapshotter/snapshot_errors.h"

#include "absl/strings/str_cat.h"

namespace sluice {

absl::Status EmptyKeyError(absl::string_view operation) {
  return absl::InvalidArgumentError(absl::StrCat(operation, ": the key is empty"));
}

absl::Status SnapshotNotFoundError(absl::string_view operation, absl::string_view key) {
  return absl::NotFoundError(absl::StrCat(operation, ": snapshot ", key, ": not found"));
}

absl::Status KeyTakenError(absl::string_view operation, absl::string_view key) {
  return absl::AlreadyExistsError(absl::StrCat(operation, ": snapshot ", key, ": already exists"));
}

absl::Status ParentNotFoundError(absl::string_view operation, absl::string_view parent) {
  return absl::NotFoundError(absl::StrCat(operation, ": parent snapshot ", parent, ": not found"));
}

absl::Status ParentNotCommittedError(absl::string_view operation, absl::string_view parent) {
  return absl::InvalidArgumentError(absl::StrCat(operation, ": parent snapshot ", parent, ": is not committed"));
}

absl::Status LayerPresentError(absl::string_view ref) {
  return absl::AlreadyExistsError(absl::StrCat("prepare: layer ", ref, ": already exists"));
}

absl::Status CommittedHasNoMountsError(absl::string_view key) {
  return absl::FailedPreconditionError(absl::StrCat("mounts: snapshot ", key, ": is committed and has no mounts"));
}

absl::Status NameTakenError(absl::string_view name) {
  return absl::AlreadyExistsError(absl::StrCat("commit: name ", name, ": already exists"));
}

absl::Status CommitOfNonActiveError(absl::string_view key) {
  return absl::FailedPreconditionError(absl::StrCat("commit: snapshot ", key, ": is not active"));
}

absl::Status RebaseUnsupportedError(absl::string_view key) {
  return absl::InvalidArgumentError(
      absl::StrCat("commit: snapshot ", key, ": the parent can't change at commit: rebase is not supported"));
}

absl::Status RemoveWithChildrenError(absl::string_view key) {
  return absl::FailedPreconditionError(absl::StrCat("cannot remove snapshot ", key, ": it has children"));
}

absl::Status ImmutableFieldError(absl::string_view path) {
  return absl::InvalidArgumentError(absl::StrCat("update: field ", path, ": can't be changed"));
}

absl::Status LabelWithoutKeyError(absl::string_view value) {
  return absl::InvalidArgumentError(absl::StrCat("label: =", value, ": the key is empty"));
}

absl::Status DirectoryMissingError(absl::string_view operation, absl::string_view key, absl::string_view directory) {
  return absl::FailedPreconditionError(absl::StrCat(operation, ": snapshot ", key, ": its directory ", directory,
                                                    " is missing: remove the image and pull it again"));
}

absl::Status ShuttingDownError() { return absl::UnavailableError("the snapshotter is shutting down"); }

}  // namespace sluice
