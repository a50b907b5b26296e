// The real sluicectl, run as people run it: what it leaves on the disk, what it says, and its exit code.
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/unique_fd.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "registry/client/fake_http_server.h"
#include "tests/testing/oci_layout_builder.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/tar_builder.h"
#include "tests/testing/temp_dir.h"

namespace sluice {
namespace {

using ::sluice::testing::BuiltImage;
using ::sluice::testing::ImageSpec;
using ::sluice::testing::LayerCompression;
using ::sluice::testing::OciLayoutBuilder;
using ::sluice::testing::TarBuilder;
using ::sluice::testing::TempDir;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

// Relative to the test's runfiles, where Bazel starts it; absolute, because some tests change directory.
const std::string& Program() {
  static const std::string program = std::filesystem::absolute("cmd/sluicectl");
  return program;
}

struct Outcome {
  int code = -1;  // as a shell gives it: 128 + signal for a death by signal
  std::string out;
  std::string err;
};

std::string Read(const std::string& path) {
  std::stringstream content;
  content << std::ifstream(path).rdbuf();
  return content.str();
}

std::vector<std::string> NamesIn(const std::string& directory) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) names.push_back(entry.path().filename());
  return names;
}

// A run of sluicectl with its output in two files.
class Process {
 public:
  explicit Process(const std::vector<std::string>& arguments) {
    std::vector<char*> argv = {const_cast<char*>(Program().c_str())};
    for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    pid_ = fork();
    if (pid_ != 0) return;
    const int out = open(files_.At("out").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    const int err = open(files_.At("err").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (dup2(out, STDOUT_FILENO) < 0 || dup2(err, STDERR_FILENO) < 0) _exit(126);
    execv(argv[0], argv.data());
    _exit(127);
  }
  ~Process() {
    if (pid_ > 0) kill(pid_, SIGKILL);
    if (pid_ > 0) waitpid(pid_, nullptr, 0);
  }

  void Signal(int signal) const { kill(pid_, signal); }
  Outcome Wait() {
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = -1;
    const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return {code, Read(files_.At("out")), Read(files_.At("err"))};
  }

 private:
  TempDir files_;
  pid_t pid_ = -1;
};

Outcome Sluicectl(const std::vector<std::string>& arguments) { return Process(arguments).Wait(); }

class SluicectlTest : public ::testing::Test {
 protected:
  SluicectlTest() {
    ImageSpec spec;
    spec.layers = {
        {.tar = TarBuilder().Directory("etc").File("etc/a", "first").File("etc/gone", "x").Build()},
        {.tar = TarBuilder().Directory("etc").File("etc/a", "second").Whiteout("etc/gone").Build(),
         .compression = LayerCompression::kZstd},
        {.tar = TarBuilder().File("big", std::string(500'000, 'b')).Build(), .compression = LayerCompression::kNone},
    };
    spec.config = {{"Env", {"A=b", "PATH=/bin"}}, {"Entrypoint", {"/run"}}, {"WorkingDir", "/w"}};
    image_ = layout_.AddImage(spec, "example.com/app:1");
  }

  std::vector<std::string> UnpackArguments(const std::string& directory, std::vector<std::string> more = {}) const {
    std::vector<std::string> arguments = {"unpack", "example.com/app:1", directory, "--layout", layout_.directory()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }
  // Fails with one line that has `cause`, and leaves work_ as it was.
  void ExpectFailure(const std::vector<std::string>& arguments, const std::string& cause, int code = 1) const {
    const std::vector<std::string> before = NamesIn(work_.path());
    const Outcome outcome = Sluicectl(arguments);
    EXPECT_EQ(outcome.code, code) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(cause));
    EXPECT_TRUE(absl::StartsWith(outcome.err, "sluicectl: ")) << outcome.err;
    const size_t lines = code == 2 ? 2 : 1;  // a usage error has a hint
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), static_cast<ptrdiff_t>(lines)) << outcome.err;
    EXPECT_EQ(outcome.out, "");
    EXPECT_EQ(NamesIn(work_.path()), before);
  }
  void ExpectTree(const std::string& directory) const {
    EXPECT_EQ(Read(directory + "/etc/a"), "second");
    EXPECT_EQ(Read(directory + "/big"), std::string(500'000, 'b'));
    EXPECT_FALSE(std::filesystem::exists(directory + "/etc/gone"));
    EXPECT_FALSE(std::filesystem::exists(directory + "/etc/.wh.gone"));
  }

  TempDir images_;
  TempDir work_;
  OciLayoutBuilder layout_{images_.path()};
  BuiltImage image_;
};

TEST_F(SluicectlTest, UnpacksIntoANewDirectory) {
  const Outcome outcome = Sluicectl(UnpackArguments(work_.At("root")));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.out, "");
  EXPECT_THAT(outcome.err, HasSubstr("example.com/app:1: 3 layers, "));
  EXPECT_THAT(outcome.err, Not(HasSubstr("\x1b")));
  ExpectTree(work_.At("root"));
  EXPECT_EQ(NamesIn(work_.path()), std::vector<std::string>{"root"});
}

TEST_F(SluicectlTest, UnpacksIntoAnEmptyDirectory) {
  const std::string directory = work_.MakeDirectory("root");
  ASSERT_EQ(Sluicectl(UnpackArguments(directory)).code, 0);
  ExpectTree(directory);
}

TEST_F(SluicectlTest, TwiceInARow) {
  ASSERT_EQ(Sluicectl(UnpackArguments(work_.At("one"))).code, 0);
  ASSERT_EQ(Sluicectl(UnpackArguments(work_.At("two"))).code, 0);
  ExpectTree(work_.At("two"));
  ExpectFailure(UnpackArguments(work_.At("one")), "not empty");
  ExpectTree(work_.At("one"));
}

TEST_F(SluicectlTest, WritesTheMetadata) {
  ASSERT_EQ(Sluicectl(UnpackArguments(work_.At("root"), {"--metadata", work_.At("m.json")})).code, 0);
  const nlohmann::json metadata = nlohmann::json::parse(Read(work_.At("m.json")));
  EXPECT_EQ(metadata["config"]["Env"], (nlohmann::json{"A=b", "PATH=/bin"}));
  EXPECT_EQ(metadata["config"]["Entrypoint"], nlohmann::json::array({"/run"}));
  EXPECT_EQ(metadata["architecture"], "amd64");
}

TEST_F(SluicectlTest, PrintsJsonWhenAsked) {
  const Outcome outcome = Sluicectl(UnpackArguments(work_.At("root"), {"--json"}));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.err, "");
  const nlohmann::json summary = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(summary["manifest"], image_.manifest.ToString());
  EXPECT_EQ(summary["layers"], 3);
}

TEST_F(SluicectlTest, AFlippedByteInAnyLayerIsRefused) {
  std::ofstream(work_.At("m.json")) << "old";
  for (size_t i = 0; i < image_.layers.size(); ++i) {
    const std::string path = layout_.BlobPath(image_.layers[i].digest);
    const std::string good = Read(path);
    std::string bad = good;
    bad[bad.size() / 2] ^= 1;
    std::ofstream(path) << bad;
    ExpectFailure(UnpackArguments(work_.At("root"), {"--metadata", work_.At("m.json")}),
                  absl::StrCat("layer ", i + 1, " of 3 (", path, ")"));
    EXPECT_EQ(Read(work_.At("m.json")), "old");
    std::ofstream(path) << good;
  }
  // The very same command, with the bytes as they were.
  EXPECT_EQ(Sluicectl(UnpackArguments(work_.At("root"), {"--metadata", work_.At("m.json")})).code, 0);
}

TEST_F(SluicectlTest, AFailureLeavesAnEmptyDirectoryEmpty) {
  const std::string directory = work_.MakeDirectory("root");
  std::ofstream(layout_.BlobPath(image_.layers[2].digest), std::ios::app) << "x";
  ExpectFailure(UnpackArguments(directory), "layer 3 of 3");
  EXPECT_THAT(NamesIn(directory), IsEmpty());
}

TEST_F(SluicectlTest, RefusesDirectoriesItCanNotFill) {
  std::ofstream(work_.At("file")) << "x";
  std::ofstream(absl::StrCat(work_.MakeDirectory("full"), "/x")) << "x";
  ASSERT_EQ(symlink("nowhere", work_.At("link").c_str()), 0);
  ExpectFailure(UnpackArguments(work_.At("file")), "not a directory");
  ExpectFailure(UnpackArguments(work_.At("full")), "not empty");
  ExpectFailure(UnpackArguments(work_.At("link")), "a link to nowhere");
  ExpectFailure(UnpackArguments(work_.At("no/root")), "its parent directory");
  ExpectFailure(UnpackArguments(work_.path()), "not empty");
}

TEST_F(SluicectlTest, RefusesMetadataFilesItCanNotWrite) {
  ExpectFailure(UnpackArguments(work_.At("root"), {"--metadata", work_.At("no/m.json")}), "no/m.json");
  ExpectFailure(UnpackArguments(work_.At("root"), {"--metadata", images_.path()}), "not a regular file");
}

TEST_F(SluicectlTest, RefusesLayoutsThatAreNone) {
  std::ofstream(work_.At("file")) << "x";
  const std::string empty = work_.MakeDirectory("empty");
  for (const auto& [layout, cause] :
       std::vector<std::pair<std::string, std::string>>{{work_.At("absent"), "No such file or directory"},
                                                        {work_.At("file"), "not a directory"},
                                                        {empty, "not an OCI layout"}}) {
    ExpectFailure({"unpack", "example.com/app:1", work_.At("root"), "--layout", layout}, cause);
    ExpectFailure({"inspect", "example.com/app:1", "--layout", layout}, cause);
  }
  std::ofstream(layout_.IndexPath()) << "{";
  ExpectFailure(UnpackArguments(work_.At("root")), "index.json: manifest: not JSON");
}

TEST_F(SluicectlTest, RefusesImagesThatAreNotThere) {
  ExpectFailure({"unpack", "example.com/app:2", work_.At("root"), "--layout", layout_.directory()},
                "it has example.com/app:1");
  ExpectFailure(UnpackArguments(work_.At("root"), {"--platform", "linux/s390x"}), "no image for platform linux/s390x");
  ASSERT_EQ(unlink(layout_.BlobPath(image_.layers[1].digest).c_str()), 0);
  ExpectFailure(UnpackArguments(work_.At("root")), image_.layers[1].digest.Hex());
}

TEST_F(SluicectlTest, RefusesLayersThatAreNoTar) {
  nlohmann::json manifest = nlohmann::json::parse(image_.manifest_json);
  manifest["layers"][1]["mediaType"] = "application/vnd.oci.image.layer.v1.tar+encrypted";
  const std::string reference = "example.com/app@" + layout_.WriteBlob(manifest.dump()).ToString();
  ExpectFailure({"unpack", reference, work_.At("root"), "--layout", layout_.directory()}, "is not a tar layer");
  EXPECT_EQ(Sluicectl({"inspect", reference, "--layout", layout_.directory()}).code, 0);
}

TEST_F(SluicectlTest, WrongCommandLinesExitWith2) {
  ExpectFailure({}, "subcommand is required", 2);
  ExpectFailure({"explode"}, "no verb is called \"explode\"", 2);
  ExpectFailure({"unpack"}, "REF is required", 2);
  ExpectFailure({"unpack", "example.com/app:1"}, "DIR is required", 2);
  ExpectFailure(UnpackArguments(work_.At("root"), {"--bogus"}), "--bogus", 2);
  ExpectFailure(UnpackArguments(work_.At("root"), {"another"}), "another", 2);
  ExpectFailure({"unpack", "example.com/App:1", work_.At("root")}, "must be in lower case", 2);
  ExpectFailure(UnpackArguments(work_.At("root"), {"--platform", "amd64"}), "os/architecture", 2);
  ExpectFailure({"inspect"}, "REF is required", 2);
}

TEST_F(SluicectlTest, HelpNamesTheVerbsAndTheExitCodes) {
  const Outcome outcome = Sluicectl({"--help"});
  EXPECT_EQ(outcome.code, 0);
  for (const char* word : {"unpack", "inspect", "Exit codes", "130"}) EXPECT_THAT(outcome.out, HasSubstr(word));
  EXPECT_EQ(Sluicectl({"unpack", "--help"}).code, 0);
}

TEST_F(SluicectlTest, InspectShowsTheImageWithoutItsLayers) {
  for (const auto& layer : image_.layers) ASSERT_EQ(unlink(layout_.BlobPath(layer.digest).c_str()), 0);
  const Outcome text = Sluicectl({"inspect", "example.com/app:1", "--layout", layout_.directory()});
  ASSERT_EQ(text.code, 0) << text.err;
  for (const std::string& part : {image_.manifest.ToString(), image_.layers[1].digest.ToString(), std::string("A=b")}) {
    EXPECT_THAT(text.out, HasSubstr(part));
  }
  const Outcome json = Sluicectl({"inspect", "example.com/app:1", "--layout", layout_.directory(), "--json"});
  ASSERT_EQ(json.code, 0) << json.err;
  const nlohmann::json document = nlohmann::json::parse(json.out);
  EXPECT_EQ(document["layers"][2]["diffID"], image_.layers[2].diff_id.ToString());
  EXPECT_EQ(document["metadata"]["config"]["WorkingDir"], "/w");
  EXPECT_EQ(document["platform"], "linux/amd64");
}

TEST_F(SluicectlTest, InspectNeedsNoPrivilege) {
  const std::string command =
      absl::StrCat("setpriv --securebits=+noroot --inh-caps=-all --bounding-set=-all ", Program(),
                   " inspect example.com/app:1 --layout ", layout_.directory(), " >", work_.At("out"));
  EXPECT_EQ(WEXITSTATUS(std::system(command.c_str())), 0);
  EXPECT_THAT(Read(work_.At("out")), HasSubstr(image_.manifest.ToString()));
}

TEST_F(SluicectlTest, InspectSaysWhenItCanNotPrint) {
  const std::string command = absl::StrCat(Program(), " inspect example.com/app:1 --layout ", layout_.directory(),
                                           " >/dev/full 2>", work_.At("err"));
  EXPECT_EQ(WEXITSTATUS(std::system(command.c_str())), 1);
  EXPECT_THAT(Read(work_.At("err")), HasSubstr("write(stdout): No space left on device"));
}

// A registry that serves image_ and, if told so, hangs in the middle of its last layer.
class RegistryTest : public SluicectlTest {
 protected:
  RegistryTest() {
    Put(absl::StrCat("manifests/1"), image_.manifest_json);
    for (const auto& layer : image_.layers) PutBlob(layer.digest);
    PutBlob(image_.config);
  }
  void Put(const std::string& path, const std::string& body) { bodies_["/v2/app/" + path] = body; }
  void PutBlob(const Digest& digest) { Put("blobs/" + digest.ToString(), Read(layout_.BlobPath(digest))); }
  std::string Ref() const { return server_->host() + "/app:1"; }

  void Serve(const std::string& hang_in = "") {
    server_ = std::make_unique<FakeHttpServer>(
        "127.0.0.1", [this, hang_in](const std::string& head, const FakeHttpServer::Connection& c) {
          const std::vector<std::string> words = absl::StrSplit(head, ' ');
          const std::string answer = HttpAnswer(200, bodies_[words[1]]);
          if (hang_in.empty() || !absl::StrContains(head, hang_in)) {
            c.Send(answer);
            return;
          }
          c.Send(answer.substr(0, answer.size() / 2));
          hangs_ = true;
          c.AwaitClose();
        });
  }
  void AwaitHang() const {
    for (int i = 0; i < 1000 && !hangs_; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    ASSERT_TRUE(hangs_);
  }

  std::map<std::string, std::string> bodies_;
  std::atomic<bool> hangs_ = false;
  std::unique_ptr<FakeHttpServer> server_;
};

TEST_F(RegistryTest, UnpacksFromARegistry) {
  Serve();
  const Outcome outcome = Sluicectl({"unpack", Ref(), work_.At("root")});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  ExpectTree(work_.At("root"));
}

TEST_F(RegistryTest, AnUnreachableRegistryIsOneLine) {
  Serve();
  const std::string reference = Ref();
  server_.reset();
  ExpectFailure({"unpack", reference, work_.At("root")}, "Connection refused");
  ExpectFailure({"inspect", reference}, "Connection refused");
}

TEST_F(RegistryTest, SignalsCleanUp) {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    for (const bool in_place : {false, true}) {
      hangs_ = false;
      Serve(image_.layers[2].digest.Hex());
      if (in_place) work_.MakeDirectory("root");
      Process process({"unpack", Ref(), work_.At("root"), "--metadata", work_.At("m.json")});
      AwaitHang();
      process.Signal(signal);
      process.Signal(signal);  // an impatient person changes nothing
      const auto start = std::chrono::steady_clock::now();
      const Outcome outcome = process.Wait();
      EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(2));
      EXPECT_EQ(outcome.code, 128 + signal) << outcome.err;
      EXPECT_THAT(outcome.err, HasSubstr("cancelled"));
      EXPECT_EQ(NamesIn(work_.path()).size(), in_place ? 1u : 0u) << absl::StrJoin(NamesIn(work_.path()), " ");
      if (!in_place) continue;
      EXPECT_THAT(NamesIn(work_.At("root")), IsEmpty());
      std::filesystem::remove(work_.At("root"));
    }
  }
}

TEST_F(RegistryTest, OnATerminalABarIsShownAndTakenAway) {
  Serve(image_.layers[2].digest.Hex());
  winsize size = {};
  size.ws_col = 100;
  size.ws_row = 24;
  int terminal = -1;
  const std::vector<std::string> arguments = {Program(), "unpack", Ref(), work_.At("root")};
  const pid_t pid = forkpty(&terminal, nullptr, nullptr, &size);
  if (pid == 0) {
    setenv("TERM", "xterm", 1);
    execl(Program().c_str(), arguments[0].c_str(), arguments[1].c_str(), arguments[2].c_str(), arguments[3].c_str(),
          nullptr);
    _exit(127);
  }
  const UniqueFd fd(terminal);
  std::string shown;
  const auto read_more = [&] {
    char buffer[4096];
    const ssize_t count = read(fd.get(), buffer, sizeof(buffer));
    if (count > 0) shown.append(buffer, static_cast<size_t>(count));
    return count > 0;
  };
  while (!absl::StrContains(shown, " kB/s") && read_more()) {
  }
  EXPECT_THAT(shown, HasSubstr("%  "));
  // Ctrl-C, as the terminal sends it.
  ASSERT_EQ(write(fd.get(), "\x03", 1), 1);
  while (read_more()) {
  }
  int status = 0;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_EQ(WEXITSTATUS(status), 130);
  EXPECT_THAT(shown, HasSubstr("\r\x1b[Ksluicectl: "));
  EXPECT_THAT(NamesIn(work_.path()), IsEmpty());
}

}  // namespace
}  // namespace sluice
