// Names: bytes, whatever they are, normalised as filepath.Clean does it and clamped at the root (containerd.md §6.1).
#include <clocale>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/testing/tar_builder.h"
#include "tests/unpack/unpack_case.h"

namespace sluice::testing {
namespace {

using Tar = TarBuilder;

std::string Repeat(absl::string_view text, int count) {
  std::string out;
  for (int i = 0; i < count; ++i) absl::StrAppend(&out, text);
  return out;
}

std::vector<UnpackCase> Cases() {
  const std::string longest(255, 'n');
  const std::string long_path = absl::StrCat(Repeat(absl::StrCat(std::string(200, 'p'), "/"), 2), "end");
  return {
      {"SpellingsOfOneName",
       {Tar().File("./a").Directory("b/").Directory("c").File("c//d").File("/e").File("c/./f").File("c/../g").Build()},
       {"a -0644", "b d0755", "c d0755", "c/d -0644", "c/f -0644", "e -0644", "g -0644"}},
      {"TwoSpellingsAreOneEntry", {Tar().File("a", "1").File("./a", "2").File("/a", "3").Build()}, {R"(a -0644 "3")"}},
      {"UpwardsIsClampedAtTheRoot",
       {Tar().File("../a", "1").File("/../../b", "2").File("d/../../../c", "3").Build()},
       {R"(a -0644 "1")", R"(b -0644 "2")", R"(c -0644 "3")"}},
      {"RootEntriesInEverySpelling",
       {Tar().Directory("./").Directory("/").Directory(".").Directory("a/..").File("f").Build()},
       {"f -0644"}},
      {"NotUtf8ByteForByte",
       {Tar()
            .File("latin-\xe9", "1")
            .Directory("d\xff\xfe")
            .File("d\xff\xfe/\x80", "2")
            .Symlink("l", "\xff\xfe")
            .Build()},
       {R"(d\xff\xfe d0755)", R"(d\xff\xfe/\x80 -0644 "2")", R"(l l0777 -> \xff\xfe)", R"(latin-\xe9 -0644 "1")"}},
      {"NotUtf8InPaxRecords",
       {Tar()
            .Pax({{"path", "pax-\xe9"}})
            .File("x", "1")
            .Pax({{"path", "link"}, {"linkpath", "to-\xff"}})
            .Symlink("y", "z")
            .Build()},
       {R"(link l0777 -> to-\xff)", R"(pax-\xe9 -0644 "1")"}},
      {"NotUtf8WithABinaryHeaderCharset",
       {Tar().Pax({{"hdrcharset", "BINARY"}, {"path", "pax-\xe9"}}).File("x", "1").Build()},
       {R"(pax-\xe9 -0644 "1")"}},
      {"Utf8InEveryForm",
       {Tar().File("grün", "1").Pax({{"path", "größe"}}).File("x", "2").File("日本", "3", {.gnu = true}).Build()},
       {R"(gr\xc3\xb6\xc3\x9fe -0644 "2")", R"(gr\xc3\xbcn -0644 "1")", R"(\xe6\x97\xa5\xe6\x9c\xac -0644 "3")"}},
      // Not what Unicode would call equal: two names.
      {"NoUnicodeNormalisation",
       {Tar().File("e\xcc\x81", "1").File("\xc3\xa9", "2").Build()},
       {R"(e\xcc\x81 -0644 "1")", R"(\xc3\xa9 -0644 "2")"}},
      {"BlanksNewlinesAndBackslashes",
       {Tar()
            .File("a b")
            .File("new\nline")
            .File("back\\slash")
            .File(" lead")
            .File("tab\t")
            .File("-rf")
            .File("*")
            .Build()},
       {R"( lead -0644)", "* -0644", "-rf -0644", "a b -0644", R"(back\x5cslash -0644)", R"(new\nline -0644)",
        R"(tab\x09 -0644)"}},
      {"UstarPrefix",
       {Tar().Header({.name = "name", .prefix = "pre/fix"}).Build()},
       {"pre d0755 @0", "pre/fix d0755 @0", "pre/fix/name -0644"}},
      {"NamesThatFillTheirFields",
       {Tar().File(std::string(100, 'a')).Symlink("l", std::string(100, 't')).Build()},
       {std::string(100, 'a') + " -0644", "l l0777 -> " + std::string(100, 't')}},
      {"LongNamesInPaxAndGnuForm",
       {Tar().File(absl::StrCat("pax/", longest), "1").File(absl::StrCat("gnu/", longest), "2", {.gnu = true}).Build()},
       {"gnu d0755 @0", absl::StrCat("gnu/", longest, R"( -0644 "2")"), "pax d0755 @0",
        absl::StrCat("pax/", longest, R"( -0644 "1")")}},
      {"LongPathsAndTargets",
       {Tar()
            .File(long_path)
            .Symlink("l", std::string(3000, 't'))
            .Symlink("g", std::string(3000, 'g'), {.gnu = true})
            .Build()},
       {absl::StrCat("g l0777 -> ", std::string(3000, 'g')), absl::StrCat("l l0777 -> ", std::string(3000, 't')),
        absl::StrCat(std::string(200, 'p'), " d0755 @0"),
        absl::StrCat(Repeat(absl::StrCat(std::string(200, 'p'), "/"), 1), std::string(200, 'p'), " d0755 @0"),
        absl::StrCat(long_path, " -0644")}},
      // The last of several records of one key counts, as POSIX pax says.
      {"LastOfTwoPaxPathsWins",
       {Tar().Pax({{"path", "first"}, {"path", "second"}}).File("x").Build()},
       {"second -0644"}},
      {"TrailingSlashOfADirectoryInPax", {Tar().Pax({{"path", "d/"}}).Directory("x").Build()}, {"d d0755"}},
  };
}

class NamesTest : public ::testing::TestWithParam<UnpackCase> {};
TEST_P(NamesTest, TreeIs) { CheckUnpacks(GetParam()); }
INSTANTIATE_TEST_SUITE_P(Names, NamesTest, ::testing::ValuesIn(Cases()), CaseName());

// libarchive converts names by the locale and warns where it can't; the bytes are the same in every one.
TEST_P(NamesTest, TreeIsTheSameInAUtf8Locale) {
  ASSERT_NE(std::setlocale(LC_ALL, "C.UTF-8"), nullptr);
  CheckUnpacks(GetParam());
  std::setlocale(LC_ALL, "C");
}

std::vector<RefusalCase> Refusals() {
  const auto code = absl::StatusCode::kInvalidArgument;
  return {
      {"ComponentOver255Bytes", {Tar().File(absl::StrCat("d/", std::string(256, 'n'))).Build()}, code, {"entry d/nnn"}},
      {"SymlinkWithoutATarget", {Tar().Symlink("l", "").Build()}, code, {"entry l"}},
      // libarchive would end the name there; Go's reader, and so containerd, refuses the archive.
      {"NulInAPaxPath",
       {Tar().Pax({{"path", std::string("a\0/../../b", 11)}}).File("x", "1").Build()},
       code,
       {"a pax header with a NUL byte in its path"}},
      {"NulInAPaxLinkPath",
       {Tar().Pax({{"linkpath", std::string("t\0u", 3)}}).Symlink("l", "y").Build()},
       code,
       {"a pax header with a NUL byte in its linkpath"}},
      {"SymlinkTargetOver4095Bytes", {Tar().Symlink("l", std::string(4096, 't')).Build()}, code, {"entry l"}},
  };
}

class NameRefusalTest : public ::testing::TestWithParam<RefusalCase> {};
TEST_P(NameRefusalTest, IsRefused) { CheckRefuses(GetParam()); }
INSTANTIATE_TEST_SUITE_P(Names, NameRefusalTest, ::testing::ValuesIn(Refusals()), CaseName());

}  // namespace
}  // namespace sluice::testing
