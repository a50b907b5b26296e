// Writes tar archives byte by byte: what GNU tar, Go and Docker write, and what nobody in his right mind would.
// Sources: POSIX pax "ustar Interchange Format" and "pax Header Block"; GNU tar manual, "Basic Tar Format" and "Storing
// Sparse Files".
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace sluice::testing {

// The mtime of an entry for which a test says nothing.
inline constexpr int64_t kTarTime = 1'600'000'000;

using TarRecords = std::vector<std::pair<std::string, std::string>>;

// The 512 bytes of one header, field by field. Numbers that don't fit their octal field are written in base 256.
struct TarHeader {
  std::string name = {};  // cut at 100 bytes
  int64_t mode = 0644;
  int64_t uid = 0;
  int64_t gid = 0;
  int64_t size = 0;
  int64_t mtime = kTarTime;
  char type = '0';
  std::string link = {};  // cut at 100 bytes
  std::string magic = std::string("ustar\00000", 8);
  std::string uname = {};
  std::string gname = {};
  int64_t major = 0;
  int64_t minor = 0;
  std::string prefix = {};
  bool base256 = false;       // numbers in base 256 even where octal would do
  int checksum_error = 0;     // added to the right checksum
  bool signed_sum = false;    // the checksum as ancient tars made it, over signed chars
  std::string raw_size = {};  // if set: these bytes in the size field
};
extern const char kGnuMagic[9];  // for TarHeader::magic: "ustar  \0"

std::string EncodeTarHeader(const TarHeader& header);
// "<length> <key>=<value>\n", the length counting itself.
std::string EncodePaxRecord(absl::string_view key, absl::string_view value);

// What an entry has beside name and content.
struct TarMeta {
  int64_t mode = -1;  // -1: 0755 for directories, 0777 for symlinks, else 0644
  int64_t uid = 0;
  int64_t gid = 0;
  int64_t mtime = kTarTime;
  int64_t nanoseconds = 0;  // not 0: a PAX mtime record
  TarRecords xattrs = {};   // PAX SCHILY.xattr.<name>
  TarRecords pax = {};      // further PAX records, before those that are made of the fields
  bool gnu = false;         // GNU magic; long names as GNU long-name headers instead of PAX
  std::string uname = {};
  std::string gname = {};
};

// Data of a sparse file: `bytes` at `offset`, holes between.
struct SparseData {
  int64_t offset = 0;
  std::string bytes = {};
};
enum class SparseFormat { kOldGnu, kPax00, kPax01, kPax10 };

// Appends entries in the order of the calls:
//   std::string tar = TarBuilder().Directory("etc").File("etc/hosts", "localhost", {.mode = 0600}).Build();
// Names are written as given: no check, no normalisation. One thread at a time.
class TarBuilder {
 public:
  TarBuilder& File(absl::string_view name, absl::string_view content = "", const TarMeta& meta = {});
  // Appends "/" to `name` unless it has one.
  TarBuilder& Directory(absl::string_view name, const TarMeta& meta = {});
  TarBuilder& Symlink(absl::string_view name, absl::string_view target, const TarMeta& meta = {});
  TarBuilder& HardLink(absl::string_view name, absl::string_view target, const TarMeta& meta = {});
  TarBuilder& CharDevice(absl::string_view name, int64_t major, int64_t minor, const TarMeta& meta = {});
  TarBuilder& BlockDevice(absl::string_view name, int64_t major, int64_t minor, const TarMeta& meta = {});
  TarBuilder& Fifo(absl::string_view name, const TarMeta& meta = {});
  // An entry of any type, with content or without.
  TarBuilder& Entry(char type, absl::string_view name, absl::string_view content, const TarMeta& meta = {});
  // "dir/.wh.name" for "dir/name"; an empty file, as Docker writes it.
  TarBuilder& Whiteout(absl::string_view name, const TarMeta& meta = {});
  // "dir/.wh..wh..opq".
  TarBuilder& Opaque(absl::string_view directory, const TarMeta& meta = {});
  TarBuilder& SparseFile(absl::string_view name, SparseFormat format, int64_t real_size,
                         const std::vector<SparseData>& data, const TarMeta& meta = {});

  // The single pieces, for archives that are wrong.
  TarBuilder& Header(const TarHeader& header);
  // A PAX header ('x') for the entry that follows, or a global one ('g').
  TarBuilder& Pax(const TarRecords& records, char type = 'x');
  // A special header ('x', 'g', 'L', 'K') with this body as it is; the size field says `claimed_size` if ≥ 0.
  TarBuilder& Special(char type, absl::string_view body, int64_t claimed_size = -1);
  // Content, padded with zeros to whole blocks.
  TarBuilder& Body(absl::string_view content);
  TarBuilder& Raw(absl::string_view bytes);

  // What was appended since the last call, without an end: for streams too big for memory, and truncated archives.
  std::string Take();
  // Take() and the two zero blocks.
  std::string Build();

 private:
  TarBuilder& Append(TarHeader header, absl::string_view body, const TarMeta& meta, TarRecords more = {});

  std::string bytes_;
};

// The end of an archive: two zero blocks.
std::string TarEnd();

}  // namespace sluice::testing
