#include "tests/testing/tar_builder.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace sluice::testing {

const char kGnuMagic[9] = "ustar  \0";

namespace {

constexpr size_t kBlock = 512;

// Offsets and sizes of the header's fields.
constexpr size_t kNameAt = 0, kNameSize = 100;
constexpr size_t kModeAt = 100, kUidAt = 108, kGidAt = 116, kShortNumber = 8;
constexpr size_t kSizeAt = 124, kMtimeAt = 136, kLongNumber = 12;
constexpr size_t kChecksumAt = 148, kChecksumSize = 8;
constexpr size_t kTypeAt = 156;
constexpr size_t kLinkAt = 157;
constexpr size_t kMagicAt = 257, kMagicSize = 8;
constexpr size_t kUnameAt = 265, kGnameAt = 297, kOwnerNameSize = 32;
constexpr size_t kMajorAt = 329, kMinorAt = 337;
constexpr size_t kPrefixAt = 345, kPrefixSize = 155;
// Of GNU's old sparse format, over the prefix.
constexpr size_t kSparseAt = 386, kSparseInHeader = 4, kSparseInExtension = 21;
constexpr size_t kIsExtendedAt = 482, kRealSizeAt = 483, kExtensionIsExtendedAt = 504;

void Put(std::string& block, size_t offset, size_t size, absl::string_view text) {
  const size_t count = std::min(size, text.size());
  std::copy_n(text.data(), count, block.begin() + static_cast<std::ptrdiff_t>(offset));
}

// Octal with a closing NUL where it fits; else base 256: two's complement, big endian, top bit set.
void PutNumber(std::string& block, size_t offset, size_t size, int64_t value, bool base256) {
  const size_t digits = size - 1;
  const bool fits = value >= 0 && (digits >= 21 || (value >> (3 * digits)) == 0);
  if (fits && !base256) {
    Put(block, offset, size, absl::StrFormat("%0*o", static_cast<int>(digits), value));
    block[offset + digits] = '\0';
    return;
  }
  for (size_t i = 0; i < size; ++i) {
    const size_t shift = 8 * i;
    const int64_t byte = shift < 64 ? (value >> shift) & 0xff : (value < 0 ? 0xff : 0);
    block[offset + size - 1 - i] = static_cast<char>(byte);
  }
  block[offset] = static_cast<char>(block[offset] | '\x80');
}

void PutChecksum(std::string& block, int error, bool signed_sum) {
  std::fill_n(block.begin() + kChecksumAt, kChecksumSize, ' ');
  int sum = error;
  for (const char c : block) sum += signed_sum ? static_cast<signed char>(c) : static_cast<unsigned char>(c);
  Put(block, kChecksumAt, kChecksumSize, absl::StrFormat("%06o", sum));
  block[kChecksumAt + 6] = '\0';
}

std::string Padded(absl::string_view content) {
  std::string padded(content);
  padded.resize((content.size() + kBlock - 1) / kBlock * kBlock, '\0');
  return padded;
}

// The header block of an old GNU sparse file and the extension blocks that follow it.
std::string EncodeOldGnuSparse(const TarHeader& header, int64_t real_size, const std::vector<SparseData>& data) {
  std::string block = EncodeTarHeader(header);
  PutNumber(block, kRealSizeAt, kLongNumber, real_size, false);
  std::string extensions;
  for (size_t i = 0; i < data.size(); ++i) {
    const bool in_header = i < kSparseInHeader;
    const size_t slot = in_header ? i : (i - kSparseInHeader) % kSparseInExtension;
    if (!in_header && slot == 0) {
      if (extensions.empty()) {
        block[kIsExtendedAt] = 1;
      } else {
        extensions[extensions.size() - kBlock + kExtensionIsExtendedAt] = 1;
      }
      extensions.append(kBlock, '\0');
    }
    std::string& target = in_header ? block : extensions;
    const size_t base = (in_header ? kSparseAt : extensions.size() - kBlock) + slot * 2 * kLongNumber;
    PutNumber(target, base, kLongNumber, data[i].offset, false);
    PutNumber(target, base + kLongNumber, kLongNumber, static_cast<int64_t>(data[i].bytes.size()), false);
  }
  PutChecksum(block, header.checksum_error, header.signed_sum);
  return block + extensions;
}

TarRecords SparseRecords(absl::string_view name, SparseFormat format, int64_t real_size,
                         const std::vector<SparseData>& data) {
  const std::string size = absl::StrCat(real_size);
  const std::string count = absl::StrCat(data.size());
  if (format == SparseFormat::kPax10) {
    return {{"GNU.sparse.major", "1"},
            {"GNU.sparse.minor", "0"},
            {"GNU.sparse.name", std::string(name)},
            {"GNU.sparse.realsize", size}};
  }
  TarRecords records = {{"GNU.sparse.size", size}, {"GNU.sparse.numblocks", count}};
  std::string map;
  for (const SparseData& piece : data) {
    if (format == SparseFormat::kPax00) {
      records.emplace_back("GNU.sparse.offset", absl::StrCat(piece.offset));
      records.emplace_back("GNU.sparse.numbytes", absl::StrCat(piece.bytes.size()));
    }
    absl::StrAppend(&map, map.empty() ? "" : ",", piece.offset, ",", piece.bytes.size());
  }
  if (format == SparseFormat::kPax01) {
    records.emplace_back("GNU.sparse.name", std::string(name));
    records.emplace_back("GNU.sparse.map", map);
  }
  return records;
}

}  // namespace

std::string EncodeTarHeader(const TarHeader& header) {
  std::string block(kBlock, '\0');
  Put(block, kNameAt, kNameSize, header.name);
  PutNumber(block, kModeAt, kShortNumber, header.mode, header.base256);
  PutNumber(block, kUidAt, kShortNumber, header.uid, header.base256);
  PutNumber(block, kGidAt, kShortNumber, header.gid, header.base256);
  PutNumber(block, kSizeAt, kLongNumber, header.size, header.base256);
  if (!header.raw_size.empty()) Put(block, kSizeAt, kLongNumber, header.raw_size);
  PutNumber(block, kMtimeAt, kLongNumber, header.mtime, header.base256);
  block[kTypeAt] = header.type;
  Put(block, kLinkAt, kNameSize, header.link);
  Put(block, kMagicAt, kMagicSize, header.magic);
  Put(block, kUnameAt, kOwnerNameSize, header.uname);
  Put(block, kGnameAt, kOwnerNameSize, header.gname);
  if (header.type == '3' || header.type == '4' || header.major != 0 || header.minor != 0) {
    PutNumber(block, kMajorAt, kShortNumber, header.major, header.base256);
    PutNumber(block, kMinorAt, kShortNumber, header.minor, header.base256);
  }
  Put(block, kPrefixAt, kPrefixSize, header.prefix);
  PutChecksum(block, header.checksum_error, header.signed_sum);
  return block;
}

std::string EncodePaxRecord(absl::string_view key, absl::string_view value) {
  const size_t rest = key.size() + value.size() + 3;  // the blank, "=" and the newline
  size_t length = rest + 1;
  while (absl::StrCat(length).size() + rest != length) ++length;
  return absl::StrCat(length, " ", key, "=", value, "\n");
}

std::string TarEnd() { return std::string(2 * kBlock, '\0'); }

TarBuilder& TarBuilder::Append(TarHeader header, absl::string_view body, const TarMeta& meta, TarRecords more) {
  if (meta.mode >= 0) header.mode = meta.mode;
  header.uid = meta.uid;
  header.gid = meta.gid;
  header.mtime = meta.mtime;
  header.uname = meta.uname;
  header.gname = meta.gname;
  if (meta.gnu) header.magic.assign(kGnuMagic, kMagicSize);
  TarRecords records = meta.pax;
  records.insert(records.end(), more.begin(), more.end());
  if (meta.nanoseconds != 0) {
    records.emplace_back("mtime", absl::StrFormat("%d.%09d", meta.mtime, meta.nanoseconds));
  }
  for (const auto& [name, value] : meta.xattrs) records.emplace_back(absl::StrCat("SCHILY.xattr.", name), value);
  if (header.name.size() > kNameSize && !meta.gnu) records.emplace_back("path", header.name);
  if (header.link.size() > kNameSize && !meta.gnu) records.emplace_back("linkpath", header.link);
  if (!records.empty()) Pax(records);
  if (header.link.size() > kNameSize && meta.gnu) Special('K', header.link + '\0');
  if (header.name.size() > kNameSize && meta.gnu) Special('L', header.name + '\0');
  return Header(header).Body(body);
}

TarBuilder& TarBuilder::File(absl::string_view name, absl::string_view content, const TarMeta& meta) {
  return Entry('0', name, content, meta);
}

TarBuilder& TarBuilder::Entry(char type, absl::string_view name, absl::string_view content, const TarMeta& meta) {
  TarHeader header{.name = std::string(name), .size = static_cast<int64_t>(content.size()), .type = type};
  return Append(std::move(header), content, meta);
}

TarBuilder& TarBuilder::Directory(absl::string_view name, const TarMeta& meta) {
  TarHeader header{.name = std::string(name), .mode = 0755, .type = '5'};
  if (!absl::EndsWith(name, "/")) header.name += '/';
  return Append(std::move(header), "", meta);
}

TarBuilder& TarBuilder::Symlink(absl::string_view name, absl::string_view target, const TarMeta& meta) {
  return Append({.name = std::string(name), .mode = 0777, .type = '2', .link = std::string(target)}, "", meta);
}

TarBuilder& TarBuilder::HardLink(absl::string_view name, absl::string_view target, const TarMeta& meta) {
  return Append({.name = std::string(name), .type = '1', .link = std::string(target)}, "", meta);
}

TarBuilder& TarBuilder::CharDevice(absl::string_view name, int64_t major, int64_t minor, const TarMeta& meta) {
  return Append({.name = std::string(name), .type = '3', .major = major, .minor = minor}, "", meta);
}

TarBuilder& TarBuilder::BlockDevice(absl::string_view name, int64_t major, int64_t minor, const TarMeta& meta) {
  return Append({.name = std::string(name), .type = '4', .major = major, .minor = minor}, "", meta);
}

TarBuilder& TarBuilder::Fifo(absl::string_view name, const TarMeta& meta) {
  return Append({.name = std::string(name), .type = '6'}, "", meta);
}

TarBuilder& TarBuilder::Whiteout(absl::string_view name, const TarMeta& meta) {
  const size_t slash = name.rfind('/');
  const size_t base = slash == absl::string_view::npos ? 0 : slash + 1;
  return File(absl::StrCat(name.substr(0, base), ".wh.", name.substr(base)), "", meta);
}

TarBuilder& TarBuilder::Opaque(absl::string_view directory, const TarMeta& meta) {
  return File(absl::StrCat(directory, directory.empty() ? "" : "/", ".wh..wh..opq"), "", meta);
}

TarBuilder& TarBuilder::SparseFile(absl::string_view name, SparseFormat format, int64_t real_size,
                                   const std::vector<SparseData>& data, const TarMeta& meta) {
  std::string body;
  if (format == SparseFormat::kPax10) {
    body = absl::StrCat(data.size(), "\n");
    for (const SparseData& piece : data) absl::StrAppend(&body, piece.offset, "\n", piece.bytes.size(), "\n");
    body = Padded(body);
  }
  for (const SparseData& piece : data) body += piece.bytes;
  TarHeader header{.name = std::string(name), .size = static_cast<int64_t>(body.size())};
  if (format == SparseFormat::kOldGnu) {
    header.type = 'S';
    header.magic.assign(kGnuMagic, kMagicSize);
    if (meta.mode >= 0) header.mode = meta.mode;
    header.uid = meta.uid;
    header.gid = meta.gid;
    header.mtime = meta.mtime;
    return Raw(EncodeOldGnuSparse(header, real_size, data)).Body(body);
  }
  // GNU tar gives readers that don't know the format a name that says so; the real one is a record.
  if (format != SparseFormat::kPax00) header.name = absl::StrCat("GNUSparseFile.1/", name);
  return Append(std::move(header), body, meta, SparseRecords(name, format, real_size, data));
}

TarBuilder& TarBuilder::Header(const TarHeader& header) { return Raw(EncodeTarHeader(header)); }

TarBuilder& TarBuilder::Pax(const TarRecords& records, char type) {
  std::string body;
  for (const auto& [key, value] : records) body += EncodePaxRecord(key, value);
  return Special(type, body);
}

TarBuilder& TarBuilder::Special(char type, absl::string_view body, int64_t claimed_size) {
  const bool gnu = type == 'L' || type == 'K';
  TarHeader header{.name = gnu           ? "././@LongLink"
                           : type == 'g' ? "pax_global_header"
                                         : "PaxHeaders/entry",
                   .size = claimed_size >= 0 ? claimed_size : static_cast<int64_t>(body.size()),
                   .type = type};
  if (gnu) header.magic.assign(kGnuMagic, kMagicSize);
  return Header(header).Body(body);
}

TarBuilder& TarBuilder::Body(absl::string_view content) { return Raw(Padded(content)); }

TarBuilder& TarBuilder::Raw(absl::string_view bytes) {
  bytes_.append(bytes.data(), bytes.size());
  return *this;
}

std::string TarBuilder::Take() { return std::exchange(bytes_, std::string()); }

std::string TarBuilder::Build() { return Take() + TarEnd(); }

}  // namespace sluice::testing
