#include "unpack/tar_reader.h"

#include <archive.h>
#include <archive_entry.h>
#include <locale.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"
#include "unpack/entry_name.h"
#include "unpack/special_headers.h"

namespace sluice {
namespace {

// libarchive's own limit on a special header.
constexpr int64_t kMostSpecialHeaderBytes = int64_t{1} << 20;

// In any other locale libarchive converts the names in pax headers, and normalises Unicode on the way.
class CLocale {
 public:
  CLocale() : before_(::uselocale(C())) {}
  ~CLocale() { ::uselocale(before_); }
  CLocale(const CLocale&) = delete;
  CLocale& operator=(const CLocale&) = delete;

 private:
  static locale_t C() {
    static const locale_t locale = ::newlocale(LC_ALL_MASK, "C", locale_t{});
    return locale;
  }
  locale_t before_;
};

bool IsKnownTypeflag(char typeflag) {
  // NUL is a file in old archives, 7 a contiguous file, S a GNU sparse file, D a directory with its listing.
  return absl::string_view(
             "\0"
             "01234567SD",
             11)
             .find(typeflag) != absl::string_view::npos;
}

timespec BoundedTime(int64_t seconds, int64_t nanoseconds) {
  constexpr int64_t kLast = std::numeric_limits<int64_t>::max() / 1'000'000'000;
  if (seconds < 0 || seconds >= kLast) return timespec{};
  return timespec{seconds, nanoseconds};
}

bool IsEarlier(const timespec& a, const timespec& b) {
  return a.tv_sec != b.tv_sec ? a.tv_sec < b.tv_sec : a.tv_nsec < b.tv_nsec;
}

}  // namespace

class TarReader::Impl {
 public:
  Impl(Source source, int64_t max_special_header_bytes)
      : source_(std::move(source)),
        max_special_header_bytes_(std::min(max_special_header_bytes, kMostSpecialHeaderBytes)) {
    const CLocale locale;
    archive_ = archive_read_new();
    entry_handle_ = archive_entry_new();
    if (archive_ == nullptr || entry_handle_ == nullptr) std::abort();  // no memory for a few hundred bytes
    archive_read_support_format_tar(archive_);
    archive_read_support_format_empty(archive_);
    archive_read_set_read_callback(archive_, &Impl::ReadCallback);
    archive_read_set_callback_data(archive_, this);
  }
  ~Impl() {
    archive_entry_free(entry_handle_);
    archive_read_free(archive_);
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  absl::StatusOr<TarEntry*> Next() {
    const CLocale locale;
    RETURN_IF_ERROR(Open());
    if (any_entry_) RETURN_IF_ERROR(Check(archive_read_data_skip(archive_)));
    header_begin_ = archive_filter_bytes(archive_, 0);
    const int result = archive_read_next_header2(archive_, entry_handle_);
    const int64_t begin = std::exchange(header_begin_, -1);
    if (result == ARCHIVE_EOF) return nullptr;
    entry_.name.clear();
    if (const absl::Status status = Check(result); !status.ok()) return InRawEntry(status, begin);
    any_entry_ = true;
    const std::string raw = RawBytes(begin, archive_filter_bytes(archive_, 0));
    ASSIGN_OR_RETURN(const RawTarHeader header, ParseRawHeaders(raw, max_special_header_bytes_));
    RETURN_IF_ERROR(Convert(header));
    entry_.number = next_number_++;
    return &entry_;
  }

  absl::StatusOr<Block> ReadBlock() {
    if (content_lost_) return Bad("a file with content whose name ends in a slash");
    const void* data = nullptr;
    size_t size = 0;
    la_int64_t offset = 0;
    const int result = archive_read_data_block(archive_, &data, &size, &offset);
    if (result == ARCHIVE_EOF) return Block{};
    RETURN_IF_ERROR(Check(result));
    if (offset < 0 || offset > entry_.size || static_cast<int64_t>(size) > entry_.size - offset) {
      return Bad("the sparse map reaches beyond the file");
    }
    return Block{offset, absl::string_view(static_cast<const char*>(data), size)};
  }

 private:
  static la_ssize_t ReadCallback(struct archive* /*archive*/, void* data, const void** buffer) {
    return static_cast<Impl*>(data)->Read(buffer);
  }

  la_ssize_t Read(const void** buffer) {
    if (header_begin_ >= 0 && archive_filter_bytes(archive_, 0) - header_begin_ > 2 * max_special_header_bytes_) {
      source_status_ = TooLong();
      return Fail();
    }
    KeepTail();
    absl::StatusOr<absl::string_view> chunk = source_();
    if (!chunk.ok()) {
      source_status_ = std::move(chunk).status();
      return Fail();
    }
    chunk_begin_ += static_cast<int64_t>(chunk_.size());
    chunk_ = *chunk;
    *buffer = chunk_.data();
    return static_cast<la_ssize_t>(chunk_.size());
  }

  la_ssize_t Fail() {
    archive_set_error(archive_, EIO, "%s", "the source has failed");
    return -1;
  }

  absl::Status Open() {
    if (open_) return absl::OkStatus();
    open_ = true;
    return Check(archive_read_open1(archive_));
  }

  // libarchive's word on its last step. Its only warnings that are none are those on names that are no text.
  absl::Status Check(int result) {
    if (result == ARCHIVE_OK) return absl::OkStatus();
    if (!source_status_.ok()) return source_status_;
    const char* text = archive_error_string(archive_);
    absl::string_view message = text == nullptr ? absl::string_view("unknown error") : text;
    if (result == ARCHIVE_WARN && absl::EndsWith(message, "to current locale.")) return absl::OkStatus();
    if (message == "Special header too large") return TooLong();
    return absl::InvalidArgumentError(absl::StrCat("not a valid tar: ", absl::StripSuffix(message, ".")));
  }

  absl::Status TooLong() const {
    return absl::InvalidArgumentError(absl::StrCat("a special header is longer than ", max_special_header_bytes_,
                                                   " bytes (max_special_header_bytes)"));
  }

  // Names the entry whose headers libarchive did not take, as far as they can be read.
  absl::Status InRawEntry(const absl::Status& status, int64_t begin) const {
    const std::string raw = RawBytes(begin, chunk_begin_ + static_cast<int64_t>(chunk_.size()));
    const absl::StatusOr<RawTarHeader> header = ParseRawHeaders(raw, std::numeric_limits<int64_t>::max());
    if (!header.ok() || header->name.empty() || !source_status_.ok()) return status;
    return Annotate(status, absl::StrCat("entry ", PrintableName(header->name)));
  }

  absl::Status Bad(absl::string_view reason) const {
    return absl::InvalidArgumentError(absl::StrCat("entry ", PrintableName(entry_.name), ": ", reason));
  }

  // The archive's bytes from `begin` to `end`, as far as they are still there.
  std::string RawBytes(int64_t begin, int64_t end) const {
    const int64_t tail_begin = chunk_begin_ - static_cast<int64_t>(tail_.size());
    std::string raw;
    if (begin < chunk_begin_ && begin >= tail_begin) raw = tail_.substr(static_cast<size_t>(begin - tail_begin));
    const int64_t from = std::max(begin, chunk_begin_);
    if (end > from)
      absl::StrAppend(&raw, chunk_.substr(static_cast<size_t>(from - chunk_begin_), static_cast<size_t>(end - from)));
    return raw;
  }

  // Of a chunk that goes: the headers that libarchive is about to parse.
  void KeepTail() {
    const int64_t chunk_end = chunk_begin_ + static_cast<int64_t>(chunk_.size());
    tail_ = header_begin_ >= 0 ? RawBytes(header_begin_, chunk_end) : std::string();
  }

  absl::Status Convert(const RawTarHeader& header) {
    const char* name = archive_entry_pathname(entry_handle_);
    if (name == nullptr) return absl::InvalidArgumentError("not a valid tar: an entry without a name");
    entry_.name = name;
    // libarchive reads what it does not know as a file.
    if (!IsKnownTypeflag(header.typeflag)) {
      return Bad(absl::StrCat("unknown type '", absl::CHexEscape(std::string(1, header.typeflag)), "'"));
    }
    RETURN_IF_ERROR(ConvertType(header));
    RETURN_IF_ERROR(ConvertOwner());
    entry_.metadata.mode = archive_entry_perm(entry_handle_) & 07777;
    const timespec modified = BoundedTime(archive_entry_mtime(entry_handle_), archive_entry_mtime_nsec(entry_handle_));
    const timespec accessed = BoundedTime(archive_entry_atime(entry_handle_), archive_entry_atime_nsec(entry_handle_));
    entry_.metadata.times = {IsEarlier(accessed, modified) ? modified : accessed, modified};
    ConvertXattrs();
    return absl::OkStatus();
  }

  absl::Status ConvertType(const RawTarHeader& header) {
    entry_.link.clear();
    entry_.size = 0;
    entry_.type = TarEntry::Type::kFile;
    content_lost_ = false;
    // libarchive takes anything with a link path in its pax header for a link.
    const char* hard_link = archive_entry_hardlink(entry_handle_);
    if (hard_link != nullptr && header.typeflag == '1') {
      entry_.type = TarEntry::Type::kHardLink;
      entry_.link = hard_link;
      return absl::OkStatus();
    }
    switch (archive_entry_filetype(entry_handle_)) {
      case AE_IFREG:
        return ConvertSize();
      case AE_IFDIR:
        // Only in old archives a slash at the end of the name makes a directory; libarchive loses a file's content
        // then.
        if (header.typeflag == '0') {
          entry_.size = header.size;
          content_lost_ = header.size > 0;
          return absl::OkStatus();
        }
        entry_.type = TarEntry::Type::kDirectory;
        return absl::OkStatus();
      case AE_IFLNK:
        return ConvertSymlink();
      case AE_IFCHR:
        entry_.type = TarEntry::Type::kCharDevice;
        return ConvertDevice();
      case AE_IFBLK:
        entry_.type = TarEntry::Type::kBlockDevice;
        return ConvertDevice();
      case AE_IFIFO:
        entry_.type = TarEntry::Type::kFifo;
        return absl::OkStatus();
      default:
        return Bad(header.typeflag == '1' ? "a hard link to nothing" : "unknown type");
    }
  }

  absl::Status ConvertSize() {
    entry_.size = archive_entry_size(entry_handle_);
    if (entry_.size < 0) return Bad("negative size");
    return absl::OkStatus();
  }

  absl::Status ConvertSymlink() {
    entry_.type = TarEntry::Type::kSymlink;
    const char* text = archive_entry_symlink(entry_handle_);
    if (text == nullptr || *text == '\0') return Bad("a symlink without a target");
    entry_.link = text;
    return absl::OkStatus();
  }

  absl::Status ConvertDevice() {
    constexpr uint64_t kMajors = uint64_t{1} << 12;
    constexpr uint64_t kMinors = uint64_t{1} << 20;
    const uint64_t device_major = archive_entry_rdevmajor(entry_handle_);
    const uint64_t device_minor = archive_entry_rdevminor(entry_handle_);
    if (device_major >= kMajors || device_minor >= kMinors) return Bad("device number out of range");
    entry_.device_major = static_cast<unsigned>(device_major);
    entry_.device_minor = static_cast<unsigned>(device_minor);
    return absl::OkStatus();
  }

  absl::Status ConvertOwner() {
    // The largest value is chown's "leave it".
    constexpr int64_t kIds = std::numeric_limits<uint32_t>::max();
    const int64_t uid = archive_entry_uid(entry_handle_);
    const int64_t gid = archive_entry_gid(entry_handle_);
    if (uid < 0 || uid >= kIds) return Bad(absl::StrCat("uid ", uid, " out of range"));
    if (gid < 0 || gid >= kIds) return Bad(absl::StrCat("gid ", gid, " out of range"));
    entry_.metadata.uid = static_cast<uid_t>(uid);
    entry_.metadata.gid = static_cast<gid_t>(gid);
    return absl::OkStatus();
  }

  void ConvertXattrs() {
    entry_.metadata.xattrs.clear();
    archive_entry_xattr_reset(entry_handle_);
    const char* name = nullptr;
    const void* value = nullptr;
    size_t size = 0;
    while (archive_entry_xattr_next(entry_handle_, &name, &value, &size) == ARCHIVE_OK) {
      entry_.metadata.xattrs.push_back({name, std::string(static_cast<const char*>(value), size)});
    }
    // libarchive gives them last first.
    std::reverse(entry_.metadata.xattrs.begin(), entry_.metadata.xattrs.end());
  }

  const Source source_;
  const int64_t max_special_header_bytes_;
  struct archive* archive_ = nullptr;
  struct archive_entry* entry_handle_ = nullptr;
  bool open_ = false;
  bool any_entry_ = false;
  uint32_t next_number_ = 0;
  absl::Status source_status_;
  int64_t header_begin_ = -1;  // while libarchive is between entries: where it started
  absl::string_view chunk_;
  int64_t chunk_begin_ = 0;
  std::string tail_;           // what came before chunk_, from the current headers on
  bool content_lost_ = false;  // the entry has content that libarchive has passed over
  TarEntry entry_;
};

TarReader::TarReader(Source source, int64_t max_special_header_bytes)
    : impl_(std::make_unique<Impl>(std::move(source), max_special_header_bytes)) {}
TarReader::~TarReader() = default;

absl::StatusOr<TarEntry*> TarReader::Next() { return impl_->Next(); }
absl::StatusOr<TarReader::Block> TarReader::ReadBlock() { return impl_->ReadBlock(); }

}  // namespace sluice
