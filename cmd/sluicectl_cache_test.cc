// sluicectl and the blob cache: what is kept, what is not fetched twice, and what explain says of it.
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "cmd/sluicectl_fixture.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "registry/client/fake_http_server.h"

namespace sluice {
namespace {

using ::nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::Outcome;
using testing::Read;
using testing::Sluicectl;

// A remote registry, which is on loopback only because hosts.toml says so.
class SluicectlCacheTest : public testing::SluicectlFixture {
 protected:
  SluicectlCacheTest() {
    bodies_["/v2/app/manifests/1"] = image_.manifest_json;
    bodies_["/v2/app/manifests/" + image_.manifest.ToString()] = image_.manifest_json;
    bodies_["/v2/app/blobs/" + image_.config.ToString()] = image_.config_json;
    for (const auto& layer : image_.layers) {
      bodies_["/v2/app/blobs/" + layer.digest.ToString()] = Read(layout_.BlobPath(layer.digest));
    }
    std::filesystem::create_directories(hosts_.At("registry.example"));
    std::ofstream(hosts_.At("registry.example/hosts.toml")) << "server = \"http://" << server_.host() << "\"\n";
  }

  std::vector<std::string> With(std::vector<std::string> arguments, const std::vector<std::string>& more = {}) const {
    for (const std::string& option : {std::string("--hosts-dir"), hosts_.path(), std::string("--cache"), Cache()}) {
      arguments.push_back(option);
    }
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }
  std::string Cache() const { return cache_dir_.At("cache"); }
  // The paths that were asked for since the last call.
  std::vector<std::string> Asked() {
    std::vector<std::string> paths;
    const std::vector<std::string> requests = server_.requests();
    for (; seen_ < requests.size(); ++seen_) {
      const std::vector<std::string> words = absl::StrSplit(requests[seen_], ' ');
      paths.push_back(words[1].substr(0, words[1].find('?')));
    }
    return paths;
  }

  std::map<std::string, std::string> bodies_;
  testing::TempDir hosts_;
  testing::TempDir cache_dir_;
  size_t seen_ = 0;
  FakeHttpServer server_{"127.0.0.1", [this](const std::string& head, const FakeHttpServer::Connection& connection) {
                           const std::vector<std::string> words = absl::StrSplit(head, ' ');
                           const auto body = bodies_.find(words[1].substr(0, words[1].find('?')));
                           connection.Send(body == bodies_.end() ? HttpAnswer(404, "") : HttpAnswer(200, body->second));
                         }};
};

TEST_F(SluicectlCacheTest, SecondUnpackOfADigestAsksNobodyAndOfATagOnce) {
  const std::string by_digest = absl::StrCat("registry.example/app@", image_.manifest.ToString());
  ASSERT_EQ(Sluicectl(With({"unpack", by_digest, work_.At("a")})).code, 0);
  EXPECT_EQ(Asked().size(), 2 + image_.layers.size());
  const Outcome again = Sluicectl(With({"unpack", by_digest, work_.At("b"), "--json"}));
  ASSERT_EQ(again.code, 0) << again.err;
  EXPECT_THAT(Asked(), IsEmpty());
  for (const json& layer : json::parse(again.out)["layers"]) {
    EXPECT_EQ(layer["strategy"], "cached");
    EXPECT_EQ(layer["source"], Cache());
  }
  ASSERT_EQ(Sluicectl(With({"unpack", "registry.example/app:1", work_.At("c")})).code, 0);
  EXPECT_THAT(Asked(), ElementsAre("/v2/app/manifests/1"));
  ExpectTree(work_.At("b"));
  ExpectTree(work_.At("c"));
}

TEST_F(SluicectlCacheTest, OfflineSaysHowOldItsAnswerIs) {
  ExpectFailure(3, With({"unpack", "registry.example/app:1", work_.At("root"), "--offline"}), "no image");
  ASSERT_EQ(Sluicectl(With({"cache", "add", "registry.example/app:1"})).code, 0);
  Asked();
  const Outcome offline = Sluicectl(With({"unpack", "registry.example/app:1", work_.At("root"), "--offline"}));
  EXPECT_EQ(offline.code, 0) << offline.err;
  EXPECT_THAT(offline.err, HasSubstr("offline: registry.example/app:1 is what it was just now"));
  EXPECT_THAT(Asked(), IsEmpty());
  ExpectTree(work_.At("root"));
}

TEST_F(SluicectlCacheTest, DamagedBlobIsDroppedAndTheNextRunIsRight) {
  ASSERT_EQ(Sluicectl(With({"cache", "add", "registry.example/app:1"})).code, 0);
  const std::string blob = absl::StrCat(Cache(), "/blobs/sha256/", image_.layers[2].digest.Hex());
  std::filesystem::permissions(blob, std::filesystem::perms::owner_write, std::filesystem::perm_options::add);
  std::fstream file(blob, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(1000);
  file.put('!');
  file.close();
  ExpectFailure(5, With({"unpack", "registry.example/app:1", work_.At("root")}), "the next run fetches it again");
  ASSERT_EQ(Sluicectl(With({"unpack", "registry.example/app:1", work_.At("root")})).code, 0);
  ExpectTree(work_.At("root"));
}

TEST_F(SluicectlCacheTest, WithoutACacheNothingIsKept) {
  std::vector<std::string> arguments = {
      "unpack", "registry.example/app:1", work_.At("root"), "--hosts-dir", hosts_.path(), "--no-cache"};
  ASSERT_EQ(Sluicectl(arguments).code, 0);
  EXPECT_FALSE(std::filesystem::exists(Cache()));
  ExpectFailure(2, {"unpack", "a", work_.At("x"), "--no-cache", "--cache", Cache()}, "excludes");
  ExpectFailure(2, {"unpack", "a", work_.At("x"), "--offline", "--layout", images_.path()}, "excludes");
}

TEST_F(SluicectlCacheTest, ListsAndPrunes) {
  ASSERT_EQ(Sluicectl(With({"cache", "add", "registry.example/app:1"})).code, 0);
  const json listed = json::parse(Sluicectl({"cache", "ls", "--json", "--cache", Cache()}).out);
  EXPECT_EQ(listed["blobs"].size(), 2 + image_.layers.size());
  EXPECT_EQ(listed["path"], Cache());
  const int64_t total = listed["bytes"];
  EXPECT_GT(total, 500'000);
  const json some = json::parse(Sluicectl({"cache", "prune", "--max-bytes", "1000", "--json", "--cache", Cache()}).out);
  EXPECT_GT(some["freedBytes"], 500'000);
  const json all = json::parse(Sluicectl({"cache", "prune", "--json", "--cache", Cache()}).out);
  EXPECT_EQ(some["freedBytes"].get<int64_t>() + all["freedBytes"].get<int64_t>(), total);
  EXPECT_THAT(Sluicectl({"cache", "ls", "--cache", Cache()}).out, HasSubstr("0 blobs, 0 B in "));
  ExpectFailure(2, {"cache", "prune", "--max-bytes", "lots"}, "must be a size");
  ExpectFailure(2, {"cache"}, "subcommand is required");
}

TEST_F(SluicectlCacheTest, ExplainSaysWhatWouldBeDoneAndWhyNotOtherwise) {
  const auto explain = [&] {
    const Outcome outcome = Sluicectl(With({"explain", "registry.example/app:1", "--json"}));
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return json::parse(outcome.out);
  };
  json layer = explain()["layers"][2];
  EXPECT_EQ(layer["strategy"], "cached");
  EXPECT_EQ(layer["source"], "store=registry.example/app kind=registry");
  EXPECT_EQ(layer["bytesToMove"], image_.layers[2].size);
  EXPECT_EQ(layer["digest"], image_.layers[2].digest.ToString());
  ASSERT_EQ(Sluicectl(With({"cache", "add", "registry.example/app:1"})).code, 0);
  layer = explain()["layers"][2];
  EXPECT_EQ(layer["strategy"], "cached");
  EXPECT_EQ(layer["source"], absl::StrCat("store=", Cache(), " kind=cache"));
  EXPECT_EQ(layer["bytesToMove"], 0);
  EXPECT_EQ(layer["others"].size(), 4u) << layer["others"];

  const json local =
      json::parse(Sluicectl({"explain", server_.host() + "/app:1", "--json", "--hosts-dir", hosts_.path()}).out);
  EXPECT_EQ(local["layers"][0]["strategy"], "stream");
  EXPECT_EQ(local["credentials"], nullptr);
}

}  // namespace
}  // namespace sluice
