// The builder against readers that are not ours: GNU tar and Python's tarfile.
#include "tests/testing/tar_builder.h"

#include <array>
#include <cstdio>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/testing/temp_dir.h"

namespace sluice::testing {
namespace {

// What `command` prints, both streams; "$TAR" is a file with the archive.
std::string Shell(const std::string& tar, absl::string_view command) {
  const TempDir dir;
  std::ofstream(dir.At("a.tar"), std::ios::binary) << tar;
  const std::string line = absl::StrCat("cd ", dir.path(), "; TAR=a.tar; export LC_ALL=C; { ", command, "; } 2>&1");
  FILE* pipe = ::popen(line.c_str(), "r");
  std::string out;
  std::array<char, 4096> buffer{};
  while (const size_t count = ::fread(buffer.data(), 1, buffer.size(), pipe)) out.append(buffer.data(), count);
  ::pclose(pipe);
  return out;
}

constexpr char kList[] = "TZ=UTC tar --numeric-owner --full-time -tvf $TAR";

TEST(TarBuilderTest, EveryTypeAsGnuTarListsIt) {
  const std::string tar = TarBuilder()
                              .Directory("d", {.mode = 01777, .uid = 5})
                              .File("d/f", "hello", {.mode = 04755, .gid = 7})
                              .HardLink("d/h", "d/f")
                              .Symlink("l", "d/f")
                              .CharDevice("c", 1, 3)
                              .BlockDevice("b", 8, 1)
                              .Fifo("p")
                              .Build();
  EXPECT_EQ(Shell(tar, kList),
            "drwxrwxrwt 5/0               0 2020-09-13 12:26:40 d/\n"
            "-rwsr-xr-x 0/7               5 2020-09-13 12:26:40 d/f\n"
            "hrw-r--r-- 0/0               0 2020-09-13 12:26:40 d/h link to d/f\n"
            "lrwxrwxrwx 0/0               0 2020-09-13 12:26:40 l -> d/f\n"
            "crw-r--r-- 0/0             1,3 2020-09-13 12:26:40 c\n"
            "brw-r--r-- 0/0             8,1 2020-09-13 12:26:40 b\n"
            "prw-r--r-- 0/0               0 2020-09-13 12:26:40 p\n");
}

TEST(TarBuilderTest, LongNamesInPaxAndGnuForm) {
  const std::string name = absl::StrCat(std::string(150, 'n'), "/", std::string(150, 'm'));
  for (const bool gnu : {false, true}) {
    const std::string tar = TarBuilder().Symlink(name, name + "x", {.gnu = gnu}).Build();
    EXPECT_EQ(Shell(tar, "tar -tf $TAR"), name + "\n") << gnu;
    EXPECT_EQ(Shell(tar, "tar -xf $TAR && readlink n*/m*"), name + "x\n") << gnu;
  }
}

TEST(TarBuilderTest, BigAndNegativeNumbersInBase256) {
  const std::string tar = TarBuilder().File("f", "", {.uid = 3'000'000, .gid = 4'000'000'000, .mtime = -5}).Build();
  EXPECT_EQ(Shell(tar, kList), "-rw-r--r-- 3000000/4000000000 0 1969-12-31 23:59:55 f\n");
}

TEST(TarBuilderTest, NanosecondsXattrsAndGlobalHeaders) {
  const std::string tar = TarBuilder()
                              .Pax({{"comment", "global"}}, 'g')
                              .File("f", "", {.nanoseconds = 123456789, .xattrs = {{"user.a", "1"}}})
                              .Build();
  EXPECT_EQ(Shell(tar, "TZ=UTC tar --xattrs --xattrs-include='*' --numeric-owner --full-time -tvvf $TAR"),
            "-rw-r--r--* 0/0               0 2020-09-13 12:26:40.123456789 f\n  x: 1 user.a\n");
}

TEST(TarBuilderTest, SparseFormatsExtractToTheSameBytes) {
  std::vector<SparseData> data;
  for (int i = 0; i < 60; ++i) data.push_back({i * 8192 + 4096, std::string(512, static_cast<char>('a' + i % 26))});
  // GNU tar takes the file's end from the last piece, which is empty where the file ends in a hole.
  data.push_back({600'000, ""});
  std::string want(600'000, '\0');
  for (const SparseData& piece : data) want.replace(static_cast<size_t>(piece.offset), piece.bytes.size(), piece.bytes);
  for (const SparseFormat format :
       {SparseFormat::kOldGnu, SparseFormat::kPax00, SparseFormat::kPax01, SparseFormat::kPax10}) {
    const std::string tar = TarBuilder().SparseFile("f", format, 600'000, data).File("next", "n").Build();
    EXPECT_TRUE(Shell(tar, "tar -xf $TAR && cat f") == want) << static_cast<int>(format);
    EXPECT_EQ(Shell(tar, "tar -xf $TAR && cat next"), "n") << static_cast<int>(format);
  }
}

TEST(TarBuilderTest, WhiteoutNames) {
  const std::string tar = TarBuilder().Whiteout("a").Whiteout("d/e/f").Opaque("").Opaque("d").Build();
  EXPECT_EQ(Shell(tar, "tar -tf $TAR"), ".wh.a\nd/e/.wh.f\n.wh..wh..opq\nd/.wh..wh..opq\n");
}

TEST(TarBuilderTest, WrongChecksumIsWrong) {
  const std::string tar = TarBuilder().Header({.name = "f", .checksum_error = 1}).Build();
  EXPECT_NE(Shell(tar, "tar -tf $TAR").find("does not look like a tar archive"), std::string::npos);
}

TEST(TarBuilderTest, PaxRecordLengthCountsItself) {
  EXPECT_EQ(EncodePaxRecord("path", "x"), "9 path=x\n");
  EXPECT_EQ(EncodePaxRecord("k", std::string(94, 'v')).substr(0, 6), "101 k=");
  EXPECT_EQ(EncodePaxRecord("k", std::string(93, 'v')).substr(0, 5), "99 k=");
}

}  // namespace
}  // namespace sluice::testing
