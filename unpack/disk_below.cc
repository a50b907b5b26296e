#include "unpack/disk_below.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/errno_status.h"
#include "base/status_macros.h"
#include "unpack/entry_maker.h"
#include "unpack/entry_name.h"
#include "unpack/tar_entry.h"

namespace sluice {
namespace {

// A file's data, hole by hole.
class SparseReader {
 public:
  SparseReader(int fd, absl::string_view path) : fd_(fd), path_(path) {}

  absl::StatusOr<TarReader::Block> Read() {
    constexpr size_t kBytes = size_t{256} << 10;
    if (position_ == data_end_) RETURN_IF_ERROR(FindData());
    if (position_ == data_end_) return TarReader::Block{};
    buffer_.resize(kBytes);
    const size_t wanted = static_cast<size_t>(std::min<off_t>(data_end_ - position_, kBytes));
    const ssize_t got = ::pread(fd_, buffer_.data(), wanted, position_);
    if (got < 0) return ErrnoStatus(errno, "pread", PrintableName(path_));
    if (got == 0) return TarReader::Block{};
    const TarReader::Block block{position_, absl::string_view(buffer_.data(), static_cast<size_t>(got))};
    position_ += got;
    return block;
  }

 private:
  absl::Status FindData() {
    const off_t data = ::lseek(fd_, position_, SEEK_DATA);
    if (data < 0 && errno == ENXIO) return absl::OkStatus();
    if (data < 0) return ErrnoStatus(errno, "lseek", PrintableName(path_));
    const off_t hole = ::lseek(fd_, data, SEEK_HOLE);
    if (hole < 0) return ErrnoStatus(errno, "lseek", PrintableName(path_));
    position_ = data;
    data_end_ = hole;
    return absl::OkStatus();
  }

  const int fd_;
  const absl::string_view path_;
  std::vector<char> buffer_;
  off_t position_ = 0;
  off_t data_end_ = 0;
};

TarEntry::Type TypeOf(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFLNK:
      return TarEntry::Type::kSymlink;
    case S_IFCHR:
      return TarEntry::Type::kCharDevice;
    case S_IFBLK:
      return TarEntry::Type::kBlockDevice;
    case S_IFIFO:
      return TarEntry::Type::kFifo;
    default:
      return TarEntry::Type::kFile;
  }
}

}  // namespace

absl::StatusOr<FileMetadata> DiskBelow::DirectoryMetadata(const TreeView::Found& found, absl::string_view path) const {
  ASSIGN_OR_RETURN(const UniqueFd fd, view_.Open(found, path, O_RDONLY | O_DIRECTORY));
  return policy_.Read(FileRef{.fd = fd.get()}, found.attributes, path);
}

absl::Status DiskBelow::CopyUp(const TreeView::Found& file, absl::string_view path) {
  const struct stat attributes = policy_.InImage(file.attributes);
  if (S_ISSOCK(attributes.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(PrintableName(path), " is a socket in a layer below"));
  }
  const auto [directory_path, base] = SplitPath(path);
  const std::string name(base);
  ASSIGN_OR_RETURN(const UniqueFd directory, view_.Open(file, directory_path, O_RDONLY | O_DIRECTORY));
  TarEntry entry;
  entry.type = TypeOf(attributes.st_mode);
  entry.device_major = major(attributes.st_rdev);
  entry.device_minor = minor(attributes.st_rdev);
  if (entry.type == TarEntry::Type::kSymlink) {
    ASSIGN_OR_RETURN(entry.link, view_.ReadLink(file, path));
  }
  ASSIGN_OR_RETURN(entry.metadata, policy_.Read(FileRef{directory.get(), name.c_str(), -1}, file.attributes, path));
  UniqueFd content;
  if (entry.type == TarEntry::Type::kFile) {
    entry.size = attributes.st_size;
    ASSIGN_OR_RETURN(content, view_.Open(file, path, O_RDONLY));
  }
  SparseReader reader(content.get(), path);
  return MakeEntry(layer_, path, entry, [&reader] { return reader.Read(); });
}

}  // namespace sluice
