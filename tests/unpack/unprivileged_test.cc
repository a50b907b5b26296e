// What an ordinary user gets: umoci's rootless form.
#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/ordinary_user.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/tar_builder.h"
#include "tests/unpack/random_layers.h"
#include "tests/unpack/unpack_case.h"
#include "tests/unpack/unprivileged_case.h"
#include "unpack/flat_unpacker.h"
#include "unpack/unprivileged_metadata.h"

namespace sluice::testing {
namespace {

using ::testing::ElementsAreArray;
using ::testing::IsEmpty;
using Purpose = UnprivilegedMetadata::Purpose;
using Tar = TarBuilder;

constexpr char kCapability[] = "security.capability";
const std::string& NetRaw() {
  static const std::string value("\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
  return value;
}

struct UnprivilegedCase {
  std::string name;                 // says the rule
  std::vector<std::string> layers;  // uncompressed tars, base first
  std::vector<std::string> want;    // as UnpackCase, but for the owner, who is always the user
  int64_t owners = 0;
  int64_t devices = 0;
  int64_t xattrs = 0;
  std::string example = {};
};
void PrintTo(const UnprivilegedCase& unprivileged_case, std::ostream* out) { *out << unprivileged_case.name; }

std::vector<UnprivilegedCase> Cases() {
  return {
      {"OwnersOfFilesAndDirectoriesAreNoted",
       {Tar()
            .Directory("both", {.uid = 1000, .gid = 300})
            .File("group", "", {.gid = 42})
            .File("root")
            .File("user", "", {.uid = 127})
            .File("largest", "", {.uid = 4294967294})
            .Build()},
       {R"(both d0755 user.rootlesscontainers="\x08\xe8\x07\x10\xac\x02")",
        R"(group -0644 user.rootlesscontainers="\x08\xff\xff\xff\xff\x0f\x10*")",
        R"(largest -0644 user.rootlesscontainers="\x08\xfe\xff\xff\xff\x0f\x10\xff\xff\xff\xff\x0f")", "root -0644",
        R"(user -0644 user.rootlesscontainers="\x08\x7f\x10\xff\xff\xff\xff\x0f")"},
       4},
      {"OwnersOfReadOnlyFilesAreNoted",
       {Tar().File("f", "1", {.mode = 0444, .uid = 1}).File("g", "2", {.mode = 0, .gid = 1}).Build()},
       {R"(f -0444 "1" user.rootlesscontainers="\x08\x01\x10\xff\xff\xff\xff\x0f")",
        R"(g -0000 "2" user.rootlesscontainers="\x08\xff\xff\xff\xff\x0f\x10\x01")"},
       2},
      {"SymlinksAndFifosLoseTheirOwners",
       {Tar().Symlink("l", "x", {.uid = 1}).Fifo("p", {.mode = 0600, .uid = 1}).Build()},
       {"l l0777 -> x", "p p0600"},
       2},
      {"DevicesAreEmptyFiles",
       {Tar()
            .CharDevice("c", 1, 3, {.mode = 0666})
            .BlockDevice("b", 7, 300, {.mode = 0060, .gid = 6})
            .HardLink("c2", "c")
            .Build()},
       {R"(b -0060 user.rootlesscontainers="\x08\xff\xff\xff\xff\x0f\x10\x06")", "c -0644", "c2 -0644 =c"},
       1,
       2},
      {"SetuidAndSetgidStay",
       {Tar()
            .File("u", "", {.mode = 04755, .uid = 1})
            .File("g", "", {.mode = 02711})
            .Directory("d", {.mode = 03775})
            .Build()},
       {"d d3775", "g -2711", R"(u -4755 user.rootlesscontainers="\x08\x01\x10\xff\xff\xff\xff\x0f")"},
       1},
      {"PrivilegedAttributesAreLeftOut",
       {Tar()
            .Directory("d", {.mode = 0555, .xattrs = {{"user.d", "1"}}})
            .File("f", "", {.mode = 0444, .xattrs = {{kCapability, NetRaw()}, {"user.f", "2"}}})
            .Build()},
       {R"(d d0555 user.d="1")", R"(f -0444 user.f="2")"},
       0,
       0,
       1},
      {"WhatRootCouldNotSetEitherIsNotMissed",
       {Tar().Fifo("p", {.xattrs = {{"user.p", "3"}}}).Symlink("l", "x", {.xattrs = {{"user.l", "4"}}}).Build()},
       {"l l0777 -> x", "p p0644"}},
      {"AnOwnerThatTheImageNotesItselfIsNotBelieved",
       {Tar()
            .File("f", "", {.xattrs = {{"user.rootlesscontainers", "forged"}}})
            .File("g", "", {.uid = 1, .xattrs = {{"user.rootlesscontainers", "forged"}}})
            .Build()},
       {"f -0644", R"(g -0644 user.rootlesscontainers="\x08\x01\x10\xff\xff\xff\xff\x0f")"},
       1,
       0,
       2},
      {"ClosedDirectoriesAreFilledAllTheSame",
       {Tar()
            .Directory("d", {.mode = 0, .uid = 1})
            .Directory("d/e", {.mode = 0})
            .File("d/e/old", "1")
            .File("d/e/gone", "2")
            .Build(),
        Tar().File("d/e/new", "3").Whiteout("d/e/gone").Build(), Tar().Directory("d", {.mode = 0500}).Build(),
        Tar().File("d/e/last", "4").Build()},
       {"d d0500", "d/e d0000", R"(d/e/last -0644 "4")", R"(d/e/new -0644 "3")", R"(d/e/old -0644 "1")"}},
      {"ClosedDirectoriesAreDeletedAllTheSame",
       {Tar()
            .Directory("d", {.mode = 0})
            .Directory("d/e", {.mode = 0})
            .File("d/e/f")
            .Directory("o")
            .Directory("o/p", {.mode = 0})
            .File("o/p/q")
            .Build(),
        Tar().Whiteout("d").Opaque("o").Build()},
       {"o d0755"}},
      {"ALinkToAFileBelowKeepsWhatIsKnownOfIt",
       {Tar()
            .File("f", "1", {.mode = 0, .uid = 5, .xattrs = {{kCapability, NetRaw()}, {"user.a", "b"}}})
            .CharDevice("c", 1, 3, {.mode = 0600, .gid = 6})
            .Symlink("l", "x", {.uid = 7})
            .Build(),
        Tar()
            .HardLink("f2", "f", {.mode = 0, .uid = 5})
            .HardLink("c2", "c", {.mode = 0600, .gid = 6})
            .HardLink("l2", "l", {.uid = 7})
            .Build()},
       {R"(c -0600 user.rootlesscontainers="\x08\xff\xff\xff\xff\x0f\x10\x06")",
        R"(c2 -0600 =c user.rootlesscontainers="\x08\xff\xff\xff\xff\x0f\x10\x06")",
        R"(f -0000 "1" user.a="b" user.rootlesscontainers="\x08\x05\x10\xff\xff\xff\xff\x0f")",
        R"(f2 -0000 "1" =f user.a="b" user.rootlesscontainers="\x08\x05\x10\xff\xff\xff\xff\x0f")", "l l0777 -> x",
        "l2 l0777 -> x =l"},
       3,
       1,
       1},
      {"WhatIsGivenBackToRootIsNotNotedAnyMore",
       {Tar().Directory("d", {.uid = 1}).Directory("e", {.uid = 1}).File("f", "", {.mode = 0444, .uid = 1}).Build(),
        Tar().Directory("d").File("e", "").File("f").Build()},
       {"d d0755", "e -0644", "f -0644"}},
      {"TheLastHardLinksOwnerCounts",
       {Tar()
            .File("f", "", {.mode = 0444, .uid = 1})
            .HardLink("f2", "f", {.mode = 0444})
            .File("g")
            .HardLink("g2", "g", {.mode = 0444, .uid = 2})
            .Build()},
       {"f -0444", "f2 -0444 =f", R"(g -0444 user.rootlesscontainers="\x08\x02\x10\xff\xff\xff\xff\x0f")",
        R"(g2 -0444 =g user.rootlesscontainers="\x08\x02\x10\xff\xff\xff\xff\x0f")"},
       1},
      {"OnlyWhatIsLeftCounts",
       {Tar()
            .File("f", "", {.uid = 1})
            .CharDevice("c", 1, 3)
            .File("x", "", {.xattrs = {{kCapability, NetRaw()}}})
            .Build(),
        Tar().Whiteout("f").File("c").File("x").Build()},
       {"c -0644", "x -0644"}},
      {"AnImpliedDirectoryTakesModeAndOwnerFromBelow",
       {Tar().Directory("d", {.mode = 0, .uid = 1, .xattrs = {{"user.a", "b"}}}).Build(), Tar().File("d/f").Build()},
       {R"(d d0000 user.a="b" user.rootlesscontainers="\x08\x01\x10\xff\xff\xff\xff\x0f")", "d/f -0644"},
       1},
  };
}

// FormatBriefly() of all but the root, as if everything were root's.
std::vector<std::string> LinesWithoutOwner(TreeListing listing) {
  for (auto& [path, entry] : listing) entry.uid = entry.gid = 0;
  return Lines(listing);
}

class UnprivilegedTest : public ::testing::TestWithParam<UnprivilegedCase> {};

TEST_P(UnprivilegedTest, Tree) {
  ASSERT_OK_AND_ASSIGN(const UnprivilegedTree tree, UnpackUnprivileged(GetParam().layers, Purpose::kTree));
  EXPECT_THAT(LinesWithoutOwner(tree.on_disk), ElementsAreArray(GetParam().want));
  EXPECT_EQ(tree.inexact.owners, GetParam().owners);
  EXPECT_EQ(tree.inexact.devices, GetParam().devices);
  EXPECT_EQ(tree.inexact.xattrs, GetParam().xattrs);
  EXPECT_EQ(tree.inexact.any(), !tree.inexact.example.empty());
}

// Root's own tree of the same layers.
TreeListing UnpackAsRoot(const std::vector<std::string>& layers) {
  const TempDir dir(TempDir::Place::kMemory);
  EXPECT_OK(UnpackFlat(dir.fd(), SourcesOf(layers), {}));
  absl::StatusOr<TreeListing> listing = ListTree(dir.path());
  EXPECT_OK(listing);
  return *std::move(listing);
}

TEST_P(UnprivilegedTest, WithWhatIsSaidOfItAnImageIsExact) {
  ASSERT_OK_AND_ASSIGN(const UnprivilegedTree tree, UnpackUnprivileged(GetParam().layers, Purpose::kImage));
  EXPECT_THAT(DiffListings(UnpackAsRoot(GetParam().layers), tree.in_image), IsEmpty());
  for (const auto& [path, entry] : tree.on_disk) {
    EXPECT_THAT(entry.xattrs, IsEmpty()) << path;
    const uint32_t needed = entry.type == '-' ? 0400 : entry.type == 'd' ? 0700 : 0;
    EXPECT_EQ(entry.mode & needed, needed) << path;
  }
}

INSTANTIATE_TEST_SUITE_P(All, UnprivilegedTest, ::testing::ValuesIn(Cases()), CaseName());

TEST(UnprivilegedRootTest, TheRootDirectoryIsLikeAnyOther) {
  const std::string layer = Tar().Directory("./", {.mode = 0, .uid = 3, .mtime = 1'500'000'000}).File("f").Build();
  ASSERT_OK_AND_ASSIGN(const UnprivilegedTree tree, UnpackUnprivileged({layer}, Purpose::kTree));
  EXPECT_EQ(FormatEntry(tree.on_disk.at(".")),
            absl::StrCat(R"(. d0000 65534:65533 @1500000000 )",
                         R"(user.rootlesscontainers="\x08\x03\x10\xff\xff\xff\xff\x0f")"));
  EXPECT_EQ(tree.inexact.owners, 1);
}

TEST(UnprivilegedRootTest, FinishCanBeCancelled) {
  const TempDir dir(TempDir::Place::kMemory);
  ASSERT_EQ(::fchown(dir.fd(), OrdinaryUser::kUid, OrdinaryUser::kGid), 0);
  const OrdinaryUser user;
  UnprivilegedMetadata metadata(Purpose::kTree);
  ASSERT_OK(UnpackFlat(dir.fd(), SourcesOf({Tar().File("f", "", {.uid = 1}).Build()}), {}, metadata));
  Cancellation cancellation;
  cancellation.Cancel();
  EXPECT_THAT(metadata.Finish(dir.fd(), &cancellation), StatusIs(absl::StatusCode::kCancelled));
}

// Whatever the chain: the tree of an ordinary user and what is said of it are root's tree.
TEST(UnprivilegedRandomTest, EveryChainIsExactWithWhatIsSaidOfIt) {
  size_t compared = 0;
  const std::vector<uint64_t> seeds = Seeds(300);
  for (const uint64_t seed : seeds) {
    SCOPED_TRACE(SeedTrace(seed));
    RandomLayers random(seed);
    std::vector<std::string> tars;
    std::string described;
    for (int i = 0; i < 3; ++i) {
      const std::vector<RandomEntry> layer = random.Next({});
      tars.push_back(TarOf(layer));
      absl::StrAppend(&described, "layer ", i + 1, "\n", Describe(layer), "\n");
    }
    SCOPED_TRACE(described);
    const TempDir dir(TempDir::Place::kMemory);
    const absl::Status as_root = UnpackFlat(dir.fd(), SourcesOf(tars), {}).status();
    for (const Purpose purpose : {Purpose::kTree, Purpose::kImage}) {
      const absl::StatusOr<UnprivilegedTree> tree = UnpackUnprivileged(tars, purpose);
      ASSERT_EQ(tree.ok(), as_root.ok()) << tree.status() << "\n" << as_root;
      if (!tree.ok()) continue;
      ASSERT_OK_AND_ASSIGN(const TreeListing root_tree, ListTree(dir.path()));
      EXPECT_THAT(DiffListings(root_tree, tree->in_image), IsEmpty());
      ++compared;
    }
    if (HasFailure()) return;
  }
  EXPECT_TRUE(seeds.size() == 1 || compared > seeds.size() / 2) << compared;
}

}  // namespace
}  // namespace sluice::testing
