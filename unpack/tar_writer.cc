#include "unpack/tar_writer.h"

#include <archive.h>
#include <archive_entry.h>
#include <locale.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "unpack/entry_name.h"

namespace sluice {
namespace {

constexpr int kWriteBytes = 256 << 10;
constexpr int64_t kMostFilledUp = 64 << 20;

// In any other locale libarchive takes names for text in that locale's charset, and in "C" everything that is not ASCII
// for binary.
class Utf8Locale {
 public:
  Utf8Locale() : before_(::uselocale(Utf8())) {}
  ~Utf8Locale() { ::uselocale(before_); }
  Utf8Locale(const Utf8Locale&) = delete;
  Utf8Locale& operator=(const Utf8Locale&) = delete;

 private:
  static locale_t Utf8() {
    static const locale_t locale = ::newlocale(LC_ALL_MASK, "C.UTF-8", locale_t{});
    return locale;
  }
  locale_t before_;
};

unsigned FileType(TarEntry::Type type) {
  switch (type) {
    case TarEntry::Type::kDirectory:
      return AE_IFDIR;
    case TarEntry::Type::kSymlink:
      return AE_IFLNK;
    case TarEntry::Type::kCharDevice:
      return AE_IFCHR;
    case TarEntry::Type::kBlockDevice:
      return AE_IFBLK;
    case TarEntry::Type::kFifo:
      return AE_IFIFO;
    case TarEntry::Type::kFile:
    case TarEntry::Type::kHardLink:
      return AE_IFREG;
  }
  return AE_IFREG;
}

}  // namespace

class TarWriter::Impl {
 public:
  explicit Impl(Sink sink) : sink_(std::move(sink)) {
    const Utf8Locale locale;
    archive_ = archive_write_new();
    entry_ = archive_entry_new();
    if (archive_ == nullptr || entry_ == nullptr) std::abort();  // no memory for a few hundred bytes
    archive_write_set_format_pax(archive_);
    archive_write_set_options(archive_, "xattrheader=SCHILY");
    archive_write_set_bytes_per_block(archive_, kWriteBytes);
    archive_write_set_bytes_in_last_block(archive_, 1);
    archive_write_open(archive_, this, nullptr, &Impl::Write, nullptr);
  }
  ~Impl() {
    const Utf8Locale locale;
    abandoned_ = true;
    // What is missing of a large file would be made up for, zero by zero; libarchive's buffer is lost instead.
    if (left_ > kMostFilledUp) archive_write_fail(archive_);
    archive_entry_free(entry_);
    archive_write_free(archive_);
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  absl::Status WriteHeader(const TarEntry& entry) {
    const Utf8Locale locale;
    RETURN_IF_ERROR(EndContent());
    Fill(entry);
    left_ = entry.type == TarEntry::Type::kFile ? entry.size : 0;
    offset_ = 0;
    return Annotate(Check(archive_write_header(archive_, entry_)), PrintableName(entry.name));
  }

  absl::Status WriteContent(int64_t offset, absl::string_view data) {
    RETURN_IF_ERROR(WriteZeros(offset - offset_));
    return WriteBytes(data);
  }

  absl::Status Finish() {
    const Utf8Locale locale;
    RETURN_IF_ERROR(EndContent());
    return Check(archive_write_close(archive_));
  }

 private:
  // Never an error to libarchive, which would not free its buffer after one.
  static la_ssize_t Write(struct archive* /*archive*/, void* self, const void* bytes, size_t size) {
    auto* const impl = static_cast<Impl*>(self);
    if (!impl->abandoned_ && impl->sink_status_.ok()) {
      impl->sink_status_ = impl->sink_(absl::string_view(static_cast<const char*>(bytes), size));
    }
    return static_cast<la_ssize_t>(size);
  }

  // A name that is not UTF-8 gives a warning, and is written.
  absl::Status Check(la_ssize_t result) const {
    if (!sink_status_.ok()) return sink_status_;
    if (result >= 0 || result == ARCHIVE_WARN) return absl::OkStatus();
    const char* const text = archive_error_string(archive_);
    return absl::InvalidArgumentError(absl::StrCat("tar: ", text != nullptr ? text : "error"));
  }

  void Fill(const TarEntry& entry) {
    archive_entry_clear(entry_);
    archive_entry_set_pathname(entry_, entry.name.c_str());
    archive_entry_set_filetype(entry_, FileType(entry.type));
    archive_entry_set_perm(entry_, entry.metadata.mode);
    archive_entry_set_uid(entry_, entry.metadata.uid);
    archive_entry_set_gid(entry_, entry.metadata.gid);
    const timespec& modified = entry.metadata.times[1];
    archive_entry_set_mtime(entry_, modified.tv_sec, modified.tv_nsec);
    archive_entry_set_size(entry_, entry.type == TarEntry::Type::kFile ? entry.size : 0);
    if (entry.type == TarEntry::Type::kSymlink) archive_entry_set_symlink(entry_, entry.link.c_str());
    if (entry.type == TarEntry::Type::kHardLink) archive_entry_set_hardlink(entry_, entry.link.c_str());
    if (entry.type == TarEntry::Type::kCharDevice || entry.type == TarEntry::Type::kBlockDevice) {
      archive_entry_set_rdevmajor(entry_, entry.device_major);
      archive_entry_set_rdevminor(entry_, entry.device_minor);
    }
    for (const ExtendedAttribute& xattr : entry.metadata.xattrs) {
      archive_entry_xattr_add_entry(entry_, xattr.name.c_str(), xattr.value.data(), xattr.value.size());
    }
  }

  absl::Status EndContent() { return WriteZeros(left_); }

  absl::Status WriteZeros(int64_t count) {
    static const std::string zeros(kWriteBytes, '\0');
    while (count > 0) {
      const auto size = static_cast<size_t>(std::min<int64_t>(count, kWriteBytes));
      RETURN_IF_ERROR(WriteBytes(absl::string_view(zeros).substr(0, size)));
      count -= static_cast<int64_t>(size);
    }
    return absl::OkStatus();
  }

  absl::Status WriteBytes(absl::string_view data) {
    const auto size = static_cast<int64_t>(data.size());
    if (size > left_) return absl::InternalError("tar: more content than the header says");
    left_ -= size;
    offset_ += size;
    return Check(archive_write_data(archive_, data.data(), data.size()));
  }

  const Sink sink_;
  absl::Status sink_status_;
  bool abandoned_ = false;  // nothing more is to be written
  struct archive* archive_ = nullptr;
  struct archive_entry* entry_ = nullptr;
  int64_t left_ = 0;    // of the entry's content
  int64_t offset_ = 0;  // in it
};

TarWriter::TarWriter(Sink sink) : impl_(std::make_unique<Impl>(std::move(sink))) {}
TarWriter::~TarWriter() = default;

absl::Status TarWriter::WriteHeader(const TarEntry& entry) { return impl_->WriteHeader(entry); }
absl::Status TarWriter::WriteContent(int64_t offset, absl::string_view data) {
  return impl_->WriteContent(offset, data);
}
absl::Status TarWriter::Finish() { return impl_->Finish(); }

}  // namespace sluice
