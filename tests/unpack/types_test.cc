// Entry types, and what happens to what stood at their place (containerd.md §6.3; OCI layer.md, "Changeset over
// existing files").
#include "gtest/gtest.h"
#include "tests/testing/tar_builder.h"
#include "tests/unpack/unpack_case.h"

namespace sluice::testing {
namespace {

using Tar = TarBuilder;

std::vector<UnpackCase> Types() {
  return {
      {"EveryType",
       {Tar()
            .Directory("d")
            .File("f", "1")
            .Entry('\0', "old", "2")
            .HardLink("h", "f")
            .Symlink("l", "../anything/../at/all//")
            .CharDevice("null", 1, 3)
            .BlockDevice("sda1", 8, 1)
            .Fifo("p")
            .Build()},
       {"d d0755", R"(f -0644 "1")", R"(h -0644 "1" =f)", "l l0777 -> ../anything/../at/all//", "null c0644 1,3",
        R"(old -0644 "2")", "p p0644", "sda1 b0644 8,1"}},
      {"OldEntryWithATrailingSlashIsADirectory",
       {Tar().Entry('\0', "d/", "").File("d/f").Build()},
       {"d d0644", "d/f -0644"}},
      {"GlobalHeadersAreNoEntries",
       {Tar().Pax({{"comment", "c"}}, 'g').File("f", "1").Pax({{"comment", "d"}}, 'g').Build()},
       {R"(f -0644 "1")"}},
      {"FilesOfEverySizeAroundABlock",
       {Tar()
            .File("0")
            .File("1", "x")
            .File("b", std::string(511, 'b'))
            .File("c", std::string(512, 'c'))
            .File("d", std::string(513, 'd'))
            .File("last", "l")
            .Build()},
       {"0 -0644", R"(1 -0644 "x")", "b -0644 sha256:fc36adc685f946648ddc84a9f8685191d796bcf5fa19878c66575e7124ad1282",
        "c -0644 sha256:7e2bbc751b0718df20893e1920872df5ef8f6703b4ecb9535f1556a94796b3cf",
        "d -0644 sha256:f6c7901a36c8436f0390ea5201e3a137d6596fc5f68539e165b8beb0bbab5ce7", R"(last -0644 "l")"}},
      {"SizeInBase256AndInPax",
       {Tar()
            .Header({.name = "b", .size = 4, .base256 = true})
            .Body("base")
            .Pax({{"size", "3"}})
            .Header({.name = "p", .size = 0})
            .Body("pax")
            .File("last", "l")
            .Build()},
       {R"(b -0644 "base")", R"(last -0644 "l")", R"(p -0644 "pax")"}},
      {"DirectoriesAndLinksHaveNoContentWhateverTheirSize",
       {Tar()
            .Header({.name = "d/", .mode = 0755, .size = 0, .type = '5'})
            .Header({.name = "l", .mode = 0777, .size = 0, .type = '2', .link = "d"})
            .File("last", "l")
            .Build()},
       {"d d0755", "l l0777 -> d", R"(last -0644 "l")"}},
      {"ChecksumsOverSignedBytes",
       {Tar().Header({.name = "sign\xe9", .signed_sum = true}).File("last", "l").Build()},
       {R"(last -0644 "l")", R"(sign\xe9 -0644)"}},
      {"LargestDeviceNumbers", {Tar().CharDevice("c", 4095, (1 << 20) - 1).Build()}, {"c c0644 4095,1048575"}},
      {"BlockDeviceZeroIsNoWhiteout", {Tar().BlockDevice("b", 0, 0).Build()}, {"b b0644 0,0"}},
      {"V7HeaderWithoutMagic",
       {Tar().Header({.name = "v7", .size = 1, .type = '\0', .magic = std::string(8, '\0')}).Body("7").Build()},
       {R"(v7 -0644 "7")"}},
  };
}

std::vector<UnpackCase> Replacements() {
  return {
      {"LastDuplicateWins",
       {Tar().File("a", "1").File("a", "2", {.mode = 0600}).File("a", "3").Build()},
       {R"(a -0644 "3")"}},
      {"FileOverDirectoryRemovesItsContent",
       {Tar().Directory("d").File("d/x").Build(), Tar().File("d", "f").Build()},
       {R"(d -0644 "f")"}},
      {"FileOverDirectoryInOneLayer",
       {Tar().Directory("d").Directory("d/e").File("d/e/x").File("d", "f").Build()},
       {R"(d -0644 "f")"}},
      {"DirectoryOverFile",
       {Tar().File("d", "f").Build(), Tar().Directory("d").File("d/x").Build()},
       {"d d0755", "d/x -0644"}},
      {"DirectoryOverFileInOneLayer",
       {Tar().File("d", "f").Directory("d").File("d/x").Build()},
       {"d d0755", "d/x -0644"}},
      {"DirectoryOverDirectoryKeepsTheContent",
       {Tar().Directory("d").File("d/a").Build(), Tar().Directory("d", {.mode = 0700}).File("d/b").Build()},
       {"d d0700", "d/a -0644", "d/b -0644"}},
      {"DirectoryOverSymlinkReplacesIt",
       {Tar().Directory("t").File("t/x").Symlink("d", "t").Build(), Tar().Directory("d").Build()},
       {"d d0755", "t d0755", "t/x -0644"}},
      {"DirectoryOverSymlinkInOneLayer",
       {Tar().Directory("t").Symlink("d", "t").Directory("d", {.mode = 0700}).File("d/x").Build()},
       {"d d0700", "d/x -0644", "t d0755"}},
      {"SymlinkOverDirectory",
       {Tar().Directory("d").File("d/x").Build(), Tar().Symlink("d", "nowhere").Build()},
       {"d l0777 -> nowhere"}},
      {"FileOverSymlinkLeavesTheTarget",
       {Tar().File("t", "kept").Symlink("l", "t").Build(), Tar().File("l", "new").Build()},
       {R"(l -0644 "new")", R"(t -0644 "kept")"}},
      {"FileOverSymlinkInOneLayer",
       {Tar().File("t", "kept").Symlink("l", "t").File("l", "new").Build()},
       {R"(l -0644 "new")", R"(t -0644 "kept")"}},
      {"SymlinkOverSymlink", {Tar().Symlink("l", "a").Symlink("l", "b").Build()}, {"l l0777 -> b"}},
      {"DeviceOverFileAndFileOverDevice",
       {Tar().File("a").CharDevice("b", 1, 3).Build(), Tar().CharDevice("a", 1, 5).File("b", "f").Build()},
       {"a c0644 1,5", R"(b -0644 "f")"}},
      {"FileOverFifoIsNotWrittenIntoIt", {Tar().Fifo("p").Build(), Tar().File("p", "f").Build()}, {R"(p -0644 "f")"}},
      {"ShorterFileOverLongerFile",
       {Tar().File("f", std::string(5000, 'x')).File("f", "y").Build()},
       {R"(f -0644 "y")"}},
      {"DirectoryFileDirectoryAcrossLayers",
       {Tar().Directory("d").File("d/1").Build(), Tar().File("d").Build(), Tar().Directory("d").File("d/3").Build()},
       {"d d0755", "d/3 -0644"}},
      {"DirectoryFileDirectoryInOneLayer",
       {Tar().Directory("d").File("d/1").File("d").Directory("d").File("d/3").Build()},
       {"d d0755", "d/3 -0644"}},
      {"EmptyLayersBetween",
       {Tar().File("a").Build(), Tar().Build(), std::string(), Tar().File("b").Build()},
       {"a -0644", "b -0644"}},
      {"OnlyEmptyLayers", {Tar().Build(), std::string()}, {}},
  };
}

class TypesTest : public ::testing::TestWithParam<UnpackCase> {};
TEST_P(TypesTest, TreeIs) { CheckUnpacks(GetParam()); }
INSTANTIATE_TEST_SUITE_P(Types, TypesTest, ::testing::ValuesIn(Types()), CaseName());

class ReplacementsTest : public ::testing::TestWithParam<UnpackCase> {};
TEST_P(ReplacementsTest, TreeIs) { CheckUnpacks(GetParam()); }
INSTANTIATE_TEST_SUITE_P(Replacements, ReplacementsTest, ::testing::ValuesIn(Replacements()), CaseName());

std::vector<RefusalCase> Refusals() {
  const auto code = absl::StatusCode::kInvalidArgument;
  return {
      {"CharacterDeviceZeroIsAWhiteoutInDisguise",
       {Tar().File("d/f").Build(), Tar().CharDevice("d/f", 0, 0).Build()},
       code,
       {"entry d/f", "0:0"}},
      {"UnknownType", {Tar().Entry('Z', "z", "").Build()}, code, {"entry z"}},
      // libarchive makes it a directory and loses the content.
      {"FileWithContentWhoseNameEndsInASlash",
       {Tar().Header({.name = "f/", .size = 1}).Body("x").Build()},
       code,
       {"entry f/", "slash"}},
      {"DeviceMajorOutOfRange", {Tar().CharDevice("c", 4096, 0).Build()}, code, {"entry c", "device number"}},
      {"DeviceMinorOutOfRange", {Tar().BlockDevice("b", 0, 1 << 20).Build()}, code, {"entry b", "device number"}},
      {"HardLinkToNothing", {Tar().HardLink("h", "").Build()}, code, {"entry h"}},
  };
}

class TypeRefusalTest : public ::testing::TestWithParam<RefusalCase> {};
TEST_P(TypeRefusalTest, IsRefused) { CheckRefuses(GetParam()); }
INSTANTIATE_TEST_SUITE_P(Types, TypeRefusalTest, ::testing::ValuesIn(Refusals()), CaseName());

}  // namespace
}  // namespace sluice::testing
