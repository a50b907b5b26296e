// MakeExt4 of cmd/disk_image.h.
#include <unistd.h>

#include <cerrno>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "base/errno_status.h"
#include "base/status_macros.h"
#include "cmd/disk_image.h"
#include "cmd/ext4_metadata.h"
#include "cmd/ext4_size.h"
#include "cmd/program.h"
#include "cmd/tree_size.h"

namespace sluice {
namespace {

// 16 MiB.
constexpr int64_t kJournalBlocks = (int64_t{16} << 20) / kExt4BlockBytes;

// Whatever the host's mke2fs.conf says.
constexpr char kFeatures[] =
    "none,ext_attr,dir_index,filetype,extent,64bit,flex_bg,sparse_super,large_file,huge_file,dir_nlink,extra_isize,"
    "metadata_csum";

}  // namespace

absl::Status MakeExt4(const DiskSource& source, const std::string& path, int fd, bool journal,
                      const Cancellation& cancellation) {
  ASSIGN_OR_RETURN(const std::string mkfs, FindProgram("mkfs.ext4", "e2fsprogs"));
  ASSIGN_OR_RETURN(TreeSize tree, MeasureTree(source.tree_fd, cancellation));
  if (source.fakeroot != nullptr) tree.files_with_xattrs = source.fakeroot->files_with_xattrs();
  const Ext4Size size = ComputeExt4Size(tree, journal ? kJournalBlocks : 0);
  if (::ftruncate(fd, size.blocks * kExt4BlockBytes) != 0) return ErrnoStatus(errno, "ftruncate", path);
  const std::string uuid = UuidOf(source.seed);
  ProgramCall call;
  call.argv = {mkfs,
               "-q",
               "-F",
               "-t",
               "ext4",
               "-b",
               absl::StrCat(kExt4BlockBytes),
               "-I",
               absl::StrCat(kExt4InodeBytes),
               "-N",
               absl::StrCat(size.inodes),
               "-m",
               "0",
               "-U",
               uuid,
               "-E",
               absl::StrCat("hash_seed=", uuid, ",lazy_itable_init=0,lazy_journal_init=0,nodiscard"),
               "-O",
               absl::StrCat(kFeatures, journal ? ",has_journal" : "")};
  if (journal) {
    call.argv.insert(call.argv.end(), {"-J", absl::StrCat("size=", kJournalBlocks * kExt4BlockBytes >> 20)});
  }
  call.argv.insert(call.argv.end(), {"-d", kTreeName, path});
  call.environment = {{"MKE2FS_CONFIG", "/dev/null"}, {"E2FSPROGS_FAKE_TIME", absl::StrCat(tree.newest)}};
  call.directory_fd = source.directory_fd;
  if (source.fakeroot != nullptr) {
    ASSIGN_OR_RETURN(call, source.fakeroot->Wrap(call));
  }
  RETURN_IF_ERROR(RunProgram(call, cancellation));
  return CompleteExt4Metadata(source, fd, tree.newest, cancellation);
}

}  // namespace sluice
