#include "registry/store/store_file.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <string>

#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace sluice {
namespace {

using ::sluice::testing::StatusIs;
using ::sluice::testing::TempDir;

void Write(const std::string& path, const std::string& content) { std::ofstream(path) << content; }

class StoreFileTest : public ::testing::Test {
 protected:
  TempDir dir_;
};

TEST_F(StoreFileTest, ReadsAndStreams) {
  dir_.MakeDirectory("a");
  Write(dir_.At("a/b"), "content");
  ASSERT_OK_AND_ASSIGN(StoreFile file, OpenStoreFile(dir_.path(), "a/b"));
  EXPECT_EQ(file.size, 7);
  EXPECT_EQ(ReadStoreFile(std::move(file), 7, "x").value(), "content");

  ASSERT_OK_AND_ASSIGN(StoreFile again, OpenStoreFile(dir_.path(), "a/b"));
  EXPECT_THAT(ReadStoreFile(std::move(again), 6, "x"), StatusIs(absl::StatusCode::kInvalidArgument, "larger than 6"));

  ASSERT_OK_AND_ASSIGN(StoreFile stream, OpenStoreFile(dir_.path(), "a/b"));
  ASSERT_EQ(unlink(dir_.At("a/b").c_str()), 0);
  const std::unique_ptr<ByteReader> reader = StreamStoreFile(std::move(stream), "x");
  std::string read;
  char buffer[3];
  while (true) {
    ASSERT_OK_AND_ASSIGN(const size_t count, reader->Read(absl::MakeSpan(buffer)));
    if (count == 0) break;
    read.append(buffer, count);
  }
  EXPECT_EQ(read, "content");
}

TEST_F(StoreFileTest, AFileThatGrowsIsReadWhole) {
  Write(dir_.At("f"), "half");
  ASSERT_OK_AND_ASSIGN(StoreFile file, OpenStoreFile(dir_.path(), "f"));
  Write(dir_.At("f"), "half and the other half");
  EXPECT_EQ(ReadStoreFile(std::move(file), 100, "x").value(), "half and the other half");
}

TEST_F(StoreFileTest, WhatIsNoRegularFileIsAMiss) {
  dir_.MakeDirectory("directory");
  ASSERT_EQ(mkfifo(dir_.At("fifo").c_str(), 0600), 0);
  Write(dir_.At("file"), "x");
  ASSERT_EQ(symlink("file", dir_.At("link").c_str()), 0);
  ASSERT_EQ(symlink("directory", dir_.At("directory-link").c_str()), 0);
  ASSERT_EQ(symlink("/dev/zero", dir_.At("device-link").c_str()), 0);
  Write(dir_.At("directory/file"), "x");
  const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, dir_.At("socket").c_str(), sizeof(address.sun_path) - 1);
  ASSERT_EQ(bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  close(listener);

  for (const char* name : {"directory", "fifo", "link", "device-link", "socket", "absent"}) {
    EXPECT_THAT(OpenStoreFile(dir_.path(), name), StatusIs(absl::StatusCode::kNotFound, name));
  }
  EXPECT_THAT(OpenStoreFile(dir_.path(), "directory-link/file"), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(OpenStoreFile(dir_.path(), "file/file"), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(OpenStoreFile(dir_.At("absent"), "file"), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(OpenStoreFile(dir_.At("file"), "file"), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(StoreFileTest, NoPathLeavesTheRoot) {
  dir_.MakeDirectory("root");
  dir_.MakeDirectory("root/a");
  Write(dir_.At("secret"), "x");
  Write(dir_.At("root/inside"), "x");
  const std::string absolute = dir_.At("secret");
  for (const std::string& place :
       {std::string("../secret"), std::string("a/../../secret"), std::string("a/../inside"), std::string("./inside"),
        std::string("/inside"), std::string("a//inside"), std::string("inside/"), std::string(), absolute}) {
    EXPECT_THAT(OpenStoreFile(dir_.At("root"), place), StatusIs(absl::StatusCode::kNotFound)) << place;
  }
  EXPECT_OK(OpenStoreFile(dir_.At("root"), "inside"));
}

TEST_F(StoreFileTest, TheRootItselfMayBeALink) {
  dir_.MakeDirectory("real");
  Write(dir_.At("real/file"), "x");
  ASSERT_EQ(symlink("real", dir_.At("link").c_str()), 0);
  EXPECT_OK(OpenStoreFile(dir_.At("link"), "file"));
}

TEST_F(StoreFileTest, AHardLinkIsAFileLikeAnyOther) {
  Write(dir_.At("file"), "x");
  ASSERT_EQ(link(dir_.At("file").c_str(), dir_.At("other").c_str()), 0);
  EXPECT_OK(OpenStoreFile(dir_.path(), "other"));
}

}  // namespace
}  // namespace sluice
