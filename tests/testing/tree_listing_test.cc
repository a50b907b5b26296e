// Each attribute of one entry, changed by the least amount there is, must be reported, and nothing else.
#include "tests/testing/tree_listing.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <functional>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace sluice::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr time_t kTime = 1'600'000'000;

void SetMtime(const std::string& path, int64_t nanoseconds) {
  const timespec times[2] = {{kTime, 0}, {kTime, nanoseconds}};
  ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW), 0) << path;
}

void Write(const std::string& path, const std::string& content) {
  ASSERT_TRUE(std::ofstream(path, std::ios::binary) << content) << path;
}

void SetXattr(const std::string& path, const char* name, const std::string& value) {
  ASSERT_EQ(::lsetxattr(path.c_str(), name, value.data(), value.size(), 0), 0) << path << " " << name;
}

// The tree whose attributes are changed one by one. On ext4: a tmpfs of an old kernel has no user.* xattrs.
void MakeTree(const std::string& root) {
  ::umask(022);
  ASSERT_EQ(::mkdir((root + "/dir").c_str(), 0755), 0);
  Write(root + "/dir/file", "content");
  Write(root + "/dir/big", std::string(100'000, 'b'));
  ASSERT_EQ(::link((root + "/dir/file").c_str(), (root + "/dir/hard").c_str()), 0);
  ASSERT_EQ(::symlink("target", (root + "/link").c_str()), 0);
  ASSERT_EQ(::mknod((root + "/null").c_str(), S_IFCHR | 0666, makedev(1, 3)), 0);
  ASSERT_EQ(::mknod((root + "/disk").c_str(), S_IFBLK | 0660, makedev(8, 1)), 0);
  ASSERT_EQ(::mkfifo((root + "/fifo").c_str(), 0644), 0);
  SetXattr(root + "/dir/file", "user.note", "abc");
  SetXattr(root + "/dir", "trusted.note", std::string("a\0b", 3));
  SetXattr(root + "/link", "trusted.note", "on the link itself");
  SetXattr(root + "/dir/big", "security.capability",
           std::string("\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", 20));
  for (const char* name : {"/dir/file", "/dir/big", "/link", "/null", "/disk", "/fifo", "/dir", ""}) {
    SetMtime(root + name, 5);
  }
}

struct Change {
  const char* name;
  std::function<void(const std::string& root)> apply;
  std::vector<std::string> want;  // the messages, all of them
};

void PrintTo(const Change& change, std::ostream* out) { *out << change.name; }

class TreeListingTest : public ::testing::TestWithParam<Change> {};

TEST_P(TreeListingTest, LeastChangeIsReportedAndNothingElse) {
  ASSERT_EQ(::geteuid(), 0u) << "this test makes devices and trusted xattrs: it needs root";
  const TempDir one;
  const TempDir two;
  MakeTree(one.path());
  MakeTree(two.path());
  ASSERT_OK_AND_ASSIGN(const TreeListing before, ListTree(one.path()));
  ASSERT_OK_AND_ASSIGN(const TreeListing same, ListTree(two.path()));
  ASSERT_THAT(DiffListings(before, same), IsEmpty());
  GetParam().apply(two.path());
  ASSERT_OK_AND_ASSIGN(const TreeListing after, ListTree(two.path()));
  EXPECT_THAT(DiffListings(before, after), ::testing::ElementsAreArray(GetParam().want));
}

constexpr char kHardMtime[] = "dir/hard: mtime: 1600000000.000000005 != 1600000000.000000006";

const Change kChanges[] = {
    {"MtimeOfAFileByOneNanosecond",
     [](const std::string& root) { SetMtime(root + "/dir/file", 6); },
     {"dir/file: mtime: 1600000000.000000005 != 1600000000.000000006", kHardMtime}},
    {"MtimeOfADirectory",
     [](const std::string& root) { SetMtime(root + "/dir", 6); },
     {"dir: mtime: 1600000000.000000005 != 1600000000.000000006"}},
    {"MtimeOfASymlink",
     [](const std::string& root) { SetMtime(root + "/link", 6); },
     {"link: mtime: 1600000000.000000005 != 1600000000.000000006"}},
    {"MtimeOfTheRoot",
     [](const std::string& root) { SetMtime(root, 6); },
     {".: mtime: 1600000000.000000005 != 1600000000.000000006"}},
    {"OneModeBit",
     [](const std::string& root) { ASSERT_EQ(::chmod((root + "/dir").c_str(), 0754), 0); },
     {"dir: mode: 0755 != 0754"}},
    {"SetuidBit",
     [](const std::string& root) { ASSERT_EQ(::chmod((root + "/fifo").c_str(), 04644), 0); },
     {"fifo: mode: 0644 != 4644"}},
    {"Uid",
     [](const std::string& root) { ASSERT_EQ(::lchown((root + "/link").c_str(), 1, 0), 0); },
     {"link: owner: 0:0 != 1:0"}},
    {"Gid",
     [](const std::string& root) { ASSERT_EQ(::lchown((root + "/null").c_str(), 0, 1), 0); },
     {"null: owner: 0:0 != 0:1"}},
    {"LastContentByteOfABigFile",
     [](const std::string& root) {
       Write(root + "/dir/big", std::string(99'999, 'b') + "c");
       SetXattr(root + "/dir/big", "security.capability",
                std::string("\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", 20));
       SetMtime(root + "/dir/big", 5);
     },
     {"dir/big: content: 100000 sha256:768b54e315c41a8d1ae3a29f677bff3b327e238e98e644dc7d566442f5920f8d != "
      "100000 sha256:7024a3ca5a979ebfce58140ea42fcc580f3c5244d6adc097ff9ce69e784e7367"}},
    {"OneMoreContentByte",
     [](const std::string& root) {
       std::ofstream(root + "/dir/file", std::ios::app) << std::string(1, '\0');
       SetMtime(root + "/dir/file", 5);
     },
     {"dir/file: content: 7 \"content\" != 8 \"content\\x00\"",
      "dir/hard: content: 7 \"content\" != 8 \"content\\x00\""}},
    {"XattrByte",
     [](const std::string& root) { SetXattr(root + "/dir", "trusted.note", std::string("a\0c", 3)); },
     {"dir: xattrs: trusted.note=\"a\\x00b\" != trusted.note=\"a\\x00c\""}},
    {"XattrOfASymlink",
     [](const std::string& root) { SetXattr(root + "/link", "trusted.note", "on the link itself!"); },
     {"link: xattrs: trusted.note=\"on the link itself\" != trusted.note=\"on the link itself!\""}},
    {"XattrName",
     [](const std::string& root) {
       ASSERT_EQ(::lremovexattr((root + "/dir").c_str(), "trusted.note"), 0);
       SetXattr(root + "/dir", "trusted.notf", std::string("a\0b", 3));
     },
     {"dir: xattrs: trusted.note=\"a\\x00b\" != trusted.notf=\"a\\x00b\""}},
    {"EmptyXattr",
     [](const std::string& root) { SetXattr(root + "/null", "trusted.empty", ""); },
     {"null: xattrs:  != trusted.empty=\"\""}},
    {"CapabilityBit",
     [](const std::string& root) {
       SetXattr(root + "/dir/big", "security.capability",
                std::string("\x01\x00\x00\x02\x00\x05\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", 20));
     },
     {"dir/big: xattrs: security.capability=\"\\x01\\x00\\x00\\x02\\x00\\x04\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00"
      "\\x00\\x00\\x00\\x00\\x00\\x00\" != security.capability=\"\\x01\\x00\\x00\\x02\\x00\\x05\\x00\\x00\\x00\\x00"
      "\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\""}},
    {"HardLinkSplit",
     [](const std::string& root) {
       ASSERT_EQ(::unlink((root + "/dir/hard").c_str()), 0);
       Write(root + "/dir/hard", "content");
       SetXattr(root + "/dir/hard", "user.note", "abc");
       SetMtime(root + "/dir/hard", 5);
       SetMtime(root + "/dir", 5);
     },
     {"dir/hard: links: dir/file != "}},
    {"LinkTargetByte",
     [](const std::string& root) {
       ASSERT_EQ(::unlink((root + "/link").c_str()), 0);
       ASSERT_EQ(::symlink("tarGet", (root + "/link").c_str()), 0);
       SetXattr(root + "/link", "trusted.note", "on the link itself");
       SetMtime(root + "/link", 5);
       SetMtime(root, 5);
     },
     {"link: target: target != tarGet"}},
    {"DeviceMinor",
     [](const std::string& root) {
       ASSERT_EQ(::unlink((root + "/null").c_str()), 0);
       ASSERT_EQ(::mknod((root + "/null").c_str(), S_IFCHR | 0644, makedev(1, 4)), 0);
       SetMtime(root + "/null", 5);
       SetMtime(root, 5);
     },
     {"null: device: 1,3 != 1,4"}},
    {"CharacterForBlockDevice",
     [](const std::string& root) {
       ASSERT_EQ(::unlink((root + "/disk").c_str()), 0);
       ASSERT_EQ(::mknod((root + "/disk").c_str(), S_IFCHR | 0660, makedev(8, 1)), 0);
       SetMtime(root + "/disk", 5);
       SetMtime(root, 5);
     },
     {"disk: type: b != c"}},
    {"NameByte",
     [](const std::string& root) {
       ASSERT_EQ(::rename((root + "/fifo").c_str(), (root + "/fif\xff").c_str()), 0);
       SetMtime(root, 5);
     },
     {"fifo: only in the first: fifo p0644 0:0 @1600000000.000000005",
      "fif\\xff: only in the second: fif\\xff p0644 0:0 @1600000000.000000005"}},
};

INSTANTIATE_TEST_SUITE_P(Changes, TreeListingTest, ::testing::ValuesIn(kChanges),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(TreeListingFormatTest, LinesHaveEveryAttribute) {
  const ListedEntry file{.path = "a b\xff",
                         .type = '-',
                         .mode = 04755,
                         .uid = 1,
                         .gid = 2,
                         .mtime = 3,
                         .nanoseconds = 4,
                         .linked_to = "a",
                         .xattrs = {{"user.x", "y\n"}},
                         .size = 2,
                         .head = "hi"};
  EXPECT_EQ(FormatEntry(file), "a b\\xff -4755 1:2 @3.000000004 2 \"hi\" =a user.x=\"y\\n\"");
  EXPECT_EQ(FormatBriefly(file), "a b\\xff -4755 1:2 @3.000000004 \"hi\" =a user.x=\"y\\n\"");
  const ListedEntry device{.path = "c", .type = 'c', .mode = 0666, .mtime = kTime, .major = 1, .minor = 3};
  EXPECT_EQ(FormatEntry(device), "c c0666 0:0 @1600000000 1,3");
  EXPECT_EQ(FormatBriefly(device), "c c0666 1,3");
}

TEST(TreeListingIgnoreTest, OnlyTheNamedAttributeOfTheNamedPath) {
  const TreeListing left = {{"a", {.path = "a", .type = 'd', .mode = 0755, .uid = 1}},
                            {"b", {.path = "b", .type = 'd', .mode = 0755}}};
  const TreeListing right = {{"a", {.path = "a", .type = 'd', .mode = 0700, .uid = 2}},
                             {"b", {.path = "b", .type = 'd', .mode = 0700}}};
  EXPECT_THAT(DiffListings(left, right, {{"a", Attribute::kMode}}),
              ElementsAre("a: owner: 1:0 != 2:0", "b: mode: 0755 != 0700"));
  EXPECT_THAT(DiffListings(left, right, {{"*", Attribute::kMode}}), ElementsAre("a: owner: 1:0 != 2:0"));
}

TEST(TreeListingErrorTest, MissingRootIsAnError) {
  EXPECT_THAT(ListTree("/nonexistent"), StatusIs(absl::StatusCode::kNotFound, "open(/nonexistent)"));
}

}  // namespace
}  // namespace sluice::testing
