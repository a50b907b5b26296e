// What GNU tar packs from this machine, it and we must unpack alike: a tree of real files against the flat form and the
// overlay form.
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/random.h"
#include "tests/testing/status_matchers.h"
#include "tests/unpack/random_layers.h"
#include "tests/unpack/unpack_case.h"
#include "unpack/flat_unpacker.h"

namespace sluice::testing {
namespace {

void Shell(const std::string& command) {
  ASSERT_EQ(std::system(absl::StrCat("bash -euo pipefail -c '", command, "'").c_str()), 0) << command;
}

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// Real files with what real trees seldom have together.
constexpr char kMakeTree[] =
    "cp -a /etc /usr/share/doc/bash /usr/share/zoneinfo /usr/share/terminfo . ; "
    "mkdir -m 1777 tmp; mkdir -m 2750 setgid; cp /bin/true su; chmod 4755 su; chown 3:4 su; "
    "ln su hard; ln -s su soft; ln soft hardsoft; mknod null c 1 3; mknod disk b 8 1; mkfifo fifo; "
    "cp /bin/true ping; setcap cap_net_raw+ep ping; setfattr -n user.note -v text ping; ln ping ping2; "
    "truncate -s 10M sparse; printf data | dd of=sparse bs=1 seek=5000000 conv=notrunc status=none; "
    "touch \"$(printf \"latin-\\\\xe9\")\" grün; mkdir -p \"$(printf \"%0100d/%0100d/%0100d\" 1 2 3)\"; "
    "touch -d 2200-01-01 late; touch -d @1600000000.123456789 fraction";

class GnuTarTest : public ::testing::TestWithParam<const char*> {};

TEST_P(GnuTarTest, UnpacksAsGnuTarDoes) {
  const TempDir dir(TempDir::Place::kMemory);
  const std::string tree = dir.MakeDirectory("tree");
  Shell(absl::StrCat("cd ", tree, "; ", kMakeTree));
  const std::string tar_path = dir.At("a.tar");
  Shell(absl::StrCat("tar --numeric-owner ", GetParam(), " -cf ", tar_path, " -C ", tree, " ."));
  const std::string want_path = dir.MakeDirectory("want");
  Shell(absl::StrCat("tar --numeric-owner --xattrs --xattrs-include=\"*\" -p --same-owner -xf ", tar_path, " -C ",
                     want_path));
  const std::string tar = ReadFile(tar_path);
  ASSERT_OK_AND_ASSIGN(const TreeListing want, ListTree(want_path));
  ASSERT_GT(want.size(), 1000u);

  const GuardedRoot root;
  ASSERT_OK(UnpackFlat(root.fd(), SourcesOf({tar}), {}));
  ASSERT_OK_AND_ASSIGN(const TreeListing flat, ListTree(root.path()));
  EXPECT_THAT(DiffListings(want, flat), ::testing::IsEmpty()) << "GNU tar (first) and the flat form (second)";
  if (absl::StrContains(GetParam(), "--sparse")) {
    EXPECT_LE(flat.at("sparse").allocated_bytes, 1 << 20);
  }

  OverlayChain chain;
  ASSERT_OK(chain.Add(SourceOf(tar, "layer 1")));
  ASSERT_OK_AND_ASSIGN(const TreeListing overlay, ListTree(chain.directory(0)));
  // The root entry is ignored in overlay form.
  const std::vector<Ignored> root_attributes = {
      {".", Attribute::kMode}, {".", Attribute::kOwner}, {".", Attribute::kMtime}, {".", Attribute::kXattrs}};
  EXPECT_THAT(DiffListings(want, overlay, root_attributes), ::testing::IsEmpty());
}

constexpr char kPosix[] = "--format=posix --xattrs --xattrs-include=\"*\"";
constexpr char kPosixSparse[] = "--format=posix --xattrs --xattrs-include=\"*\" --sparse";
constexpr char kPosixSparse01[] = "--format=posix --xattrs --xattrs-include=\"*\" --sparse --sparse-version=0.1";
constexpr char kPosixSparse00[] = "--format=posix --xattrs --xattrs-include=\"*\" --sparse --sparse-version=0.0";

// Without hard links: GNU tar takes a link entry for a name and passes over its metadata.
TEST(RandomTarTest, UnpacksAsGnuTarDoes) {
  const TempDir dir(TempDir::Place::kMemory);
  const std::string tar_path = dir.At("a.tar");
  const std::string want_path = dir.At("want");
  const std::vector<uint64_t> seeds = Seeds(200);
  size_t compared = 0;
  for (const uint64_t seed : seeds) {
    const std::vector<RandomEntry> layer =
        RandomLayers(seed).Next({.max_entries = 12, .whiteouts = false, .hard_links = false, .plain = true});
    SCOPED_TRACE(absl::StrCat(SeedTrace(seed), "\n", Describe(layer)));
    const std::string tar = TarOf(layer);
    std::ofstream(tar_path, std::ios::binary) << tar;
    const std::string extract = absl::StrCat(
        "rm -rf ", want_path, " && mkdir ", want_path, " && tar -P --numeric-owner --delay-directory-restore ",
        "--xattrs --xattrs-include='*' -p --same-owner -xf ", tar_path, " -C ", want_path, " 2>/dev/null");
    const bool good = std::system(extract.c_str()) == 0;
    const GuardedRoot root;
    const absl::Status status = UnpackFlat(root.fd(), SourcesOf({tar}), {}).status();
    // GNU tar makes no directories behind a dangling symlink, and replaces none that is not empty.
    if (!good || !status.ok()) continue;
    ++compared;
    ASSERT_OK_AND_ASSIGN(TreeListing want, ListTree(want_path));
    ASSERT_OK_AND_ASSIGN(TreeListing flat, ListTree(root.path()));
    want.erase(".");
    flat.erase(".");
    ASSERT_THAT(DiffListings(want, flat), ::testing::IsEmpty()) << "GNU tar (first) and the flat form (second)";
  }
  EXPECT_TRUE(seeds.size() == 1 || compared > seeds.size() / 3) << compared;
}

INSTANTIATE_TEST_SUITE_P(Formats, GnuTarTest,
                         ::testing::Values(kPosix, kPosixSparse, kPosixSparse01, kPosixSparse00,
                                           "--format=gnu --sparse", "--format=gnu"));

}  // namespace
}  // namespace sluice::testing
