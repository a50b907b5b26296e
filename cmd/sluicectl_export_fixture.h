// An image with all that a disk can get wrong, exported by root and by an ordinary user.
#pragma once

#include <stdlib.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cmd/sluicectl_fixture.h"
#include "tests/testing/file_mount.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/tree_listing.h"

namespace sluice::testing {

// cap_net_raw+ep, as ping has it: struct vfs_cap_data, revision 2.
inline const std::string& NetRaw() {
  static const std::string value("\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
  return value;
}

// Owners beyond 16 bits, times beyond 2038, names that are no text, links of links, what only root may read or make.
inline std::vector<LayerSpec> OddLayers() {
  TarBuilder base;
  base.Directory("./", {.mode = 0711, .uid = 7, .gid = 70'000, .mtime = 1'500'000'000, .nanoseconds = 123'456'789})
      .Directory("dev")
      .CharDevice("dev/null", 1, 3, {.mode = 0666})
      .BlockDevice("dev/loop300", 7, 300, {.mode = 0660, .gid = 6})
      .CharDevice("dev/big", 4000, 1'000'000, {.mode = 0600, .uid = 9})
      .Fifo("fifo", {.mode = 0600, .uid = 5})
      .File("su", "#!", {.mode = 06755, .uid = 0, .gid = 42})
      .File("ping", "#!", {.mode = 0755, .xattrs = {{"security.capability", NetRaw()}, {"user.empty", ""}}})
      .HardLink("ping2", "ping", {.mode = 0755})
      .File("closed-file", "secret", {.mode = 0, .uid = 1000, .gid = 1000})
      .Directory("closed", {.mode = 0, .uid = 1000})
      .File("closed/inside", "x", {.mode = 0444, .uid = 3'000'000'000, .gid = 65'536})
      .Symlink("soft", "/closed/inside", {.uid = 1, .gid = 2})
      .HardLink("soft2", "soft", {.uid = 1, .gid = 2})
      .Symlink("long", std::string(300, 'l'), {.uid = 3})
      .HardLink("closed/long2", "long", {.uid = 3})
      .File("late", "", {.mtime = 7'000'000'000, .nanoseconds = 5})
      .File("early", "", {.mtime = 0})
      .Directory("noted", {.mode = 03775, .uid = 8, .xattrs = {{"user.note", std::string("\0\n=\xff", 4)}}})
      .File("name with \"quotes\" and\nnew line \\ = \xff", "odd", {.uid = 4, .xattrs = {{"user.a=b", "v"}}})
      .SparseFile("sparse", SparseFormat::kPax10, 3 << 20, {{1 << 20, "island"}, {3 << 20, ""}})
      .File("big", std::string(3'000'000, 'b'))
      .File("gone", "x");
  TarBuilder top;
  top.Whiteout("gone").HardLink("closed/sparse-too", "sparse").File("noted/new", "n", {.uid = 12});
  return {{.tar = base.Build()}, {.tar = top.Build(), .compression = LayerCompression::kZstd}};
}

class SluicectlExportFixture : public SluicectlFixture {
 protected:
  SluicectlExportFixture() {
    AddImage(OddLayers(), "example.com/odd:1");
    // The scratch tree is to be beside the file.
    ::unsetenv("TMPDIR");
  }

  void AddImage(std::vector<LayerSpec> layers, const std::string& reference) {
    ImageSpec spec;
    spec.layers = std::move(layers);
    layout_.AddImage(spec, reference);
  }
  std::vector<std::string> ExportArguments(const std::string& format, const std::string& out,
                                           std::vector<std::string> more = {},
                                           const std::string& reference = "example.com/odd:1") const {
    std::vector<std::string> arguments = {"export",   reference,          out, "--format", format,
                                          "--layout", layout_.directory()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }

  // What is in the file, by the kernel's or GNU tar's own reading.
  TreeListing ListExport(const std::string& format, const std::string& file) const {
    if (format == "tar") {
      const TempDir dir(TempDir::Place::kMemory);
      const std::string command =
          absl::StrCat("tar -xf ", file, " --warning=no-unknown-keyword --warning=no-timestamp --xattrs ",
                       "--xattrs-include='*' --numeric-owner -C ", dir.path());
      EXPECT_EQ(::system(command.c_str()), 0);
      return ListOrFail(dir.path());
    }
    if (format == "ext4") {
      EXPECT_EQ(::system(absl::StrCat("e2fsck -fn ", file, " >/dev/null 2>&1").c_str()), 0) << "e2fsck finds errors";
    }
    const absl::StatusOr<std::unique_ptr<FileMount>> mount = FileMount::Create(file, format);
    EXPECT_OK(mount);
    return mount.ok() ? ListOrFail((*mount)->path()) : TreeListing();
  }
  // The tree that root's unpack makes.
  TreeListing ListUnpacked(const std::string& reference = "example.com/odd:1") const {
    const TempDir dir(TempDir::Place::kMemory);
    const Outcome outcome = Sluicectl({"unpack", reference, dir.At("root"), "--layout", layout_.directory()});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return ListOrFail(dir.At("root"));
  }
  // Every ext4 has a lost+found, which is not the image's.
  static TreeListing WithoutLostAndFound(TreeListing listing, const TreeListing& want) {
    if (want.count("lost+found") == 0) listing.erase("lost+found");
    return listing;
  }

 private:
  static TreeListing ListOrFail(const std::string& path) {
    absl::StatusOr<TreeListing> listing = ListTree(path);
    EXPECT_OK(listing);
    return listing.ok() ? *std::move(listing) : TreeListing();
  }
};

}  // namespace sluice::testing
