// MakeErofs of cmd/disk_image.h.
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "cmd/disk_image.h"
#include "cmd/program.h"
#include "cmd/tree_size.h"

namespace sluice {

absl::StatusOr<std::vector<std::string>> MakeErofs(const DiskSource& source, const std::string& path,
                                                   const Cancellation& cancellation) {
  ASSIGN_OR_RETURN(const std::string mkfs, FindProgram("mkfs.erofs", "erofs-utils"));
  ASSIGN_OR_RETURN(const TreeSize size, MeasureTree(source.tree_fd, cancellation));
  if (!size.full_lost_and_found.empty()) {
    return absl::FailedPreconditionError(absl::StrCat("/", absl::CHexEscape(size.full_lost_and_found.front()),
                                                      ": mkfs.erofs leaves out what is called lost+found"));
  }
  ProgramCall call;
  call.argv = {mkfs, "--quiet", "-zlz4", "-U", UuidOf(source.seed), path, kTreeName};
  // The time of the making; older files keep theirs.
  call.environment = {{"SOURCE_DATE_EPOCH", absl::StrCat(size.newest + 1)}};
  call.directory_fd = source.directory_fd;
  if (source.fakeroot != nullptr) {
    ASSIGN_OR_RETURN(call, source.fakeroot->Wrap(call));
  }
  const absl::Status status = RunProgram(call, cancellation);
  if (status.ok()) return size.empty_lost_and_found;
  if (absl::IsCancelled(status) || !size.longest_name) return status;
  return Annotate(status, "a name has 255 bytes, which mkfs.erofs 1.5 cuts short");
}

}  // namespace sluice
