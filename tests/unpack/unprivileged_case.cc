#include "tests/unpack/unprivileged_case.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <map>

#include "base/status_macros.h"
#include "base/unique_fd.h"
#include "gtest/gtest.h"
#include "tests/testing/ordinary_user.h"
#include "tests/testing/temp_dir.h"
#include "tests/unpack/unpack_case.h"
#include "unpack/flat_unpacker.h"

namespace sluice::testing {
namespace {

using Purpose = UnprivilegedMetadata::Purpose;

struct Said {
  mode_t mode = 0;
  uid_t uid = 0;
  gid_t gid = 0;
  dev_t device = 0;
  std::vector<ExtendedAttribute> xattrs;
};

void Correct(const Said& said, ListedEntry& entry) {
  entry.mode = said.mode & 07777;
  entry.uid = said.uid;
  entry.gid = said.gid;
  if (S_ISCHR(said.mode) || S_ISBLK(said.mode)) {
    entry.type = S_ISCHR(said.mode) ? 'c' : 'b';
    entry.major = major(said.device);
    entry.minor = minor(said.device);
    EXPECT_EQ(entry.size, 0) << entry.path;
  }
  for (const ExtendedAttribute& xattr : said.xattrs) entry.xattrs.insert_or_assign(xattr.name, xattr.value);
}

}  // namespace

absl::StatusOr<UnprivilegedTree> UnpackUnprivileged(const std::vector<std::string>& tars, Purpose purpose) {
  const TempDir dir(TempDir::Place::kMemory);
  EXPECT_EQ(::fchown(dir.fd(), OrdinaryUser::kUid, OrdinaryUser::kGid), 0);
  UnprivilegedTree tree;
  std::map<std::string, Said> said;
  {
    const OrdinaryUser user;
    UnprivilegedMetadata metadata(purpose);
    RETURN_IF_ERROR(UnpackFlat(dir.fd(), SourcesOf(tars), {}, metadata).status());
    const auto visit = [&said](const UnprivilegedMetadata::InexactFile& file) {
      const std::string path = file.path.empty() ? "." : std::string(file.path);
      const bool first = said.emplace(path, Said{file.mode, file.uid, file.gid, file.device, *file.xattrs}).second;
      EXPECT_TRUE(first) << path;
      return absl::OkStatus();
    };
    ASSIGN_OR_RETURN(tree.inexact, metadata.Finish(dir.fd(), nullptr, visit));
  }
  ASSIGN_OR_RETURN(tree.on_disk, ListTree(dir.path()));
  // Of several names of a file any may have been visited.
  std::map<std::string, Said> said_of_inode;
  const auto inode_of = [&tree](const std::string& path) {
    const ListedEntry& entry = tree.on_disk.at(path);
    return entry.linked_to.empty() ? path : entry.linked_to;
  };
  for (auto& [path, what] : said) EXPECT_TRUE(said_of_inode.emplace(inode_of(path), what).second) << path;
  tree.in_image = tree.on_disk;
  for (auto& [path, entry] : tree.in_image) {
    EXPECT_EQ(entry.uid, OrdinaryUser::kUid) << path;
    EXPECT_EQ(entry.gid, OrdinaryUser::kGid) << path;
    entry.uid = 0;
    entry.gid = 0;
    entry.xattrs.erase("user.rootlesscontainers");
    const auto found = said_of_inode.find(inode_of(path));
    if (found != said_of_inode.end()) Correct(found->second, entry);
  }
  return tree;
}

}  // namespace sluice::testing
