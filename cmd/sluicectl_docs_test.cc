// docs/cli.md beside the program: verbs, flags, exit codes and JSON are those of real runs, none missing on either
// side.
#include <signal.h>
#include <sys/stat.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "cmd/sluicectl_fixture.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "registry/client/fake_http_server.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;
using testing::Outcome;
using testing::Process;
using testing::Program;
using testing::Read;
using testing::Sluicectl;
using Json = nlohmann::json;

using Names = std::set<std::string>;

// All that `pattern`'s first group matches.
Names Matches(const std::string& text, const std::string& pattern) {
  const std::regex regex(pattern, std::regex::multiline);
  Names names;
  for (auto match = std::sregex_iterator(text.begin(), text.end(), regex); match != std::sregex_iterator(); ++match) {
    names.insert((*match)[1]);
  }
  return names;
}

// "layers[].digest" for every member, however deep.
void AddPaths(const Json& json, const std::string& prefix, Names& paths) {
  if (!prefix.empty()) paths.insert(prefix);
  for (const auto& item : json.items()) {
    if (json.is_structured()) AddPaths(item.value(), prefix + (json.is_array() ? "[]" : "." + item.key()), paths);
  }
}

Names Paths(const Json& json) {
  Names paths;
  AddPaths(json, "", paths);
  return paths;
}

class SluicectlDocsTest : public testing::SluicectlFixture {
 protected:
  // The image of the manual's examples: its metadata, two layers.
  SluicectlDocsTest() {
    const Json metadata = Json::parse(Block("## Metadata", 0));
    testing::ImageSpec spec;
    spec.layers = {{.tar = testing::TarBuilder().File("a", "1").Build()},
                   {.tar = testing::TarBuilder().File("b", "2").Build()}};
    testing::BuiltImage image = layout_.WriteImage(spec);
    Json config = metadata;
    config["rootfs"] = Json::parse(image.config_json)["rootfs"];
    Json manifest = Json::parse(image.manifest_json);
    manifest["config"]["digest"] = layout_.WriteBlob(config.dump()).ToString();
    manifest["config"]["size"] = config.dump().size();
    image.descriptor["digest"] = layout_.WriteBlob(manifest.dump()).ToString();
    image.descriptor["size"] = manifest.dump().size();
    layout_.AddDescriptor(image.descriptor, kReference);
  }

  // From the heading to the next one.
  std::string Section(const std::string& heading) const {
    const size_t start = manual_.find("\n" + heading);
    if (start == std::string::npos) ADD_FAILURE() << "no section " << heading;
    return manual_.substr(start, manual_.find("\n## ", start + 1) - start);
  }
  // The n-th fenced block of a section.
  std::string Block(const std::string& heading, size_t n) const {
    const std::vector<std::string> parts = absl::StrSplit(Section(heading), "\n```");
    if (parts.size() < 2 * n + 2) return ADD_FAILURE() << heading << " has no block " << n, "";
    return std::string(absl::StripPrefix(parts[2 * n + 1], "json\n"));
  }
  std::vector<std::string> On(const std::string& verb, std::vector<std::string> more) const {
    std::vector<std::string> arguments = {verb, kReference, "--layout", layout_.directory()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }

  static constexpr char kReference[] = "172.30.0.1:5000/app:1";
  const std::string manual_ = Read("docs/cli.md");
};

TEST_F(SluicectlDocsTest, TheVerbs) {
  const Names documented = Matches(manual_, "^## `sluicectl (\\w+) .*`$");
  EXPECT_GE(documented.size(), 5u);
  const std::string help = Sluicectl({"--help"}).out;
  EXPECT_EQ(Matches(help.substr(help.find("Subcommands:")), "^  (\\w+) "), documented);
}

TEST_F(SluicectlDocsTest, TheFlagsOfEachVerb) {
  for (const std::string& verb : Matches(manual_, "^## `sluicectl ([\\w ]+) \\[.*`$")) {
    SCOPED_TRACE(verb);
    const std::string section = Section(absl::StrCat("## `sluicectl ", verb, " "));
    std::vector<std::string> arguments = absl::StrSplit(verb, ' ');
    arguments.push_back("--help");
    const std::string help = Sluicectl(arguments).out;
    Names offered = Matches(help, "^  (?:-\\w,)?(--[\\w-]+)");
    EXPECT_EQ(offered.erase("--help"), 1u);
    EXPECT_EQ(Matches(section, "^\\| `(--[\\w-]+)"), offered);
    for (const std::string& usage : Matches(section, "^## `(.*)`$")) EXPECT_THAT(help, HasSubstr("Usage: " + usage));
  }
}

TEST_F(SluicectlDocsTest, TheStylesOfProgress) {
  const Names documented = Matches(Section("## Progress"), "^\\| `(\\w+)` \\|");
  EXPECT_EQ(documented, (Names{"auto", "bar", "plain", "json", "none"}));
  for (const std::string& style : documented) {
    EXPECT_EQ(Sluicectl(On("unpack", {work_.At(style), "--progress", style})).code, 0) << style;
  }
  EXPECT_EQ(Sluicectl(On("unpack", {work_.At("x"), "--progress", "another"})).code, 2);
}

TEST_F(SluicectlDocsTest, TheJsonOfUnpack) {
  const Outcome outcome = Sluicectl(On("unpack", {work_.At("root"), "--json"}));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(Paths(Json::parse(outcome.out)), Paths(Json::parse(Block("## JSON", 0))));
}

TEST_F(SluicectlDocsTest, TheJsonOfInspect) {
  const Outcome outcome = Sluicectl(On("inspect", {"--json"}));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(Paths(Json::parse(outcome.out)), Paths(Json::parse(Block("## JSON", 1))));
}

TEST_F(SluicectlDocsTest, EveryMemberIsExplained) {
  Names members;
  for (const std::string& path : Paths(Json::parse(Block("## JSON", 0)))) {
    // A layer's own digests and type, and descriptors, are OCI's words.
    const std::string name = path.substr(path.rfind('.') + 1);
    const bool is_oci = name == "digest" || name == "diffId" || name == "mediaType" || name == "size";
    if (!is_oci && !absl::EndsWith(name, "[]")) members.insert(name);
  }
  std::string first_cells;
  for (const std::string& row : Matches(Section("## JSON"), "^\\| (`.*?) \\|"))
    absl::StrAppend(&first_cells, row, "\n");
  EXPECT_EQ(Matches(first_cells, "`(\\w+)`"), members);
}

TEST_F(SluicectlDocsTest, TheMetadataIsTheConfigVerbatim) {
  ASSERT_EQ(Sluicectl(On("unpack", {work_.At("root"), "--metadata", work_.At("m.json")})).code, 0);
  EXPECT_EQ(Json::parse(Read(work_.At("m.json"))), Json::parse(Block("## Metadata", 0)));
}

TEST_F(SluicectlDocsTest, TheEventsOfProgress) {
  std::map<std::string, Names> documented, seen;
  for (absl::string_view line : absl::StrSplit(Block("## Progress", 0), '\n', absl::SkipEmpty())) {
    const Json event = Json::parse(std::string(line));
    documented[event["event"]] = Paths(event);
  }
  // A success, one that can't print its result, and a failure.
  const std::string command =
      absl::StrCat(Program(), " unpack ", kReference, " --layout ", layout_.directory(), " --progress json ");
  const std::string runs = absl::StrCat(command, work_.At("a"), " 2>", work_.At("err"), "; ", command, work_.At("b"),
                                        " --json >/dev/full 2>>", work_.At("err"), "; ", command, work_.At("a"), " 2>>",
                                        work_.At("err"), "; ", command, " 2>>", work_.At("err"));
  EXPECT_EQ(WEXITSTATUS(std::system(runs.c_str())), 2);
  for (const std::string& line : Matches(Read(work_.At("err")), "^(.+)$")) {
    ASSERT_TRUE(Json::accept(line)) << line;
    const Json event = Json::parse(line);
    seen[event["event"]] = Paths(event);
    EXPECT_EQ(event["schema"], 1);
  }
  EXPECT_EQ(seen, documented);
}

class SluicectlExitCodeTest : public SluicectlDocsTest {
 protected:
  // A registry that answers every request with this status.
  int CodeWithRegistry(int status) const {
    const FakeHttpServer registry("127.0.0.1", [status](const std::string&, const FakeHttpServer::Connection& c) {
      c.Send(HttpAnswer(status, ""));
    });
    return Sluicectl({"inspect", registry.host() + "/app:1"}).code;
  }
  int CodeOfUnpack(const std::string& directory) const { return Sluicectl(On("unpack", {directory})).code; }
  // Root without its privileges over files is an ordinary user.
  int CodeWithoutAccess() const {
    const std::string sealed = work_.MakeDirectory("sealed");
    EXPECT_EQ(chmod(sealed.c_str(), 0500), 0);
    return WEXITSTATUS(std::system(absl::StrCat("setpriv --securebits=+noroot --inh-caps=-all --bounding-set=-all ",
                                                Program(), " unpack ", kReference, " ", sealed, "/root --layout ",
                                                layout_.directory(), " 2>/dev/null")
                                       .c_str()));
  }
  int CodeOnFullDisk() const {
    const std::string disk = work_.MakeDirectory("disk");
    // The mount is in a namespace of its own and goes with it.
    const std::string script =
        absl::StrCat("mount -t tmpfs -o nr_inodes=3 tmpfs ", disk, " && exec ", Program(), " unpack ", kReference, " ",
                     disk, "/root --layout ", layout_.directory(), " 2>/dev/null");
    return WEXITSTATUS(std::system(absl::StrCat("unshare --mount sh -c '", script, "'").c_str()));
  }
  int CodeWhenInterrupted(int signal) const {
    std::atomic<bool> asked = false;
    const FakeHttpServer registry("127.0.0.1", [&asked](const std::string&, const FakeHttpServer::Connection& c) {
      asked = true;
      c.AwaitClose();
    });
    Process process({"inspect", registry.host() + "/app:1"});
    while (!asked) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    process.Signal(signal);
    return process.Wait().code;
  }
};

TEST_F(SluicectlExitCodeTest, TheTableIsTrue) {
  const std::map<std::string, std::function<void()>> cases = {
      {"0", [this] { EXPECT_EQ(CodeOfUnpack(work_.At("new")), 0); }},
      {"1", [this] { EXPECT_EQ(CodeOfUnpack(images_.path()), 1); }},
      {"2", [] { EXPECT_EQ(Sluicectl({"unpack"}).code, 2); }},
      {"3",
       [this] {
         EXPECT_EQ(CodeWithRegistry(404), 3);
         EXPECT_EQ(Sluicectl(On("inspect", {"--platform", "linux/s390x"})).code, 3);
         EXPECT_EQ(CodeOfUnpack(work_.At("absent/root")), 3);
       }},
      {"4",
       [this] {
         EXPECT_EQ(CodeWithRegistry(401), 4);
         EXPECT_EQ(CodeWithRegistry(403), 4);
         EXPECT_EQ(CodeWithoutAccess(), 4);
       }},
      {"5",
       [this] {
         EXPECT_EQ(CodeWithRegistry(200), 5) << "an empty manifest";
         const std::string blob = layout_.BlobPath(image_.layers[0].digest);
         std::string bytes = Read(blob);
         bytes[bytes.size() / 2] ^= 1;
         std::ofstream(blob) << bytes;
         EXPECT_EQ(Sluicectl(UnpackArguments(work_.At("bad"))).code, 5);
       }},
      {"6", [this] { EXPECT_EQ(CodeOnFullDisk(), 6); }},
      {"7",
       [this] {
         EXPECT_EQ(CodeWithRegistry(429), 7);
         EXPECT_EQ(CodeWithRegistry(503), 7);
         EXPECT_EQ(Sluicectl({"inspect", "127.0.0.1:1/app:1"}).code, 7);
         EXPECT_EQ(Sluicectl(On("pull", {"--address", work_.At("absent.sock")})).code, 7);
       }},
      {"128 + n",
       [this] {
         EXPECT_EQ(CodeWhenInterrupted(SIGINT), 130);
         EXPECT_EQ(CodeWhenInterrupted(SIGTERM), 143);
       }},
  };
  Names tested;
  for (const auto& [code, run] : cases) {
    SCOPED_TRACE(code);
    tested.insert(code);
    run();
  }
  EXPECT_EQ(Matches(Section("## Exit codes"), "^\\| (\\d[^|]*?) \\|"), tested);
}

}  // namespace
}  // namespace sluice
