#include "registry/reference.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

constexpr char kDigest[] = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

TEST(ReferenceTest, NormalisesAsDockerDoes) {
  const std::string digest = kDigest;
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"alpine", "docker.io/library/alpine:latest"},
      {"alpine:3.19", "docker.io/library/alpine:3.19"},
      {"user/app", "docker.io/user/app:latest"},
      {"docker.io/alpine", "docker.io/library/alpine:latest"},
      {"index.docker.io/alpine", "docker.io/library/alpine:latest"},
      {"docker.io/a/b/c:1", "docker.io/a/b/c:1"},
      {"localhost/app", "localhost/app:latest"},
      {"localhost:5000/app", "localhost:5000/app:latest"},
      {"172.30.0.1:5000/app:1", "172.30.0.1:5000/app:1"},
      {"[fd00::1]:5000/app", "[fd00::1]:5000/app:latest"},
      {"[fd00::1]/app", "[fd00::1]/app:latest"},
      {"Registry/app", "Registry/app:latest"},
      {"registry/app", "docker.io/registry/app:latest"},
      {"registry.example.com/app", "registry.example.com/app:latest"},
      {"example.com/a__b/c-----d.e_f:V1.0_x-y", "example.com/a__b/c-----d.e_f:V1.0_x-y"},
      {"alpine@" + digest, "docker.io/library/alpine@" + digest},
      {"alpine:3@" + digest, "docker.io/library/alpine:3@" + digest},
      {"example.com:80/app@" + digest, "example.com:80/app@" + digest},
      {"foo:5000", "docker.io/library/foo:5000"},
      {"10.evil.example/app", "10.evil.example/app:latest"},
  };
  for (const auto& [text, canonical] : cases) {
    const absl::StatusOr<Reference> reference = ParseReference(text);
    ASSERT_TRUE(reference.ok()) << text << ": " << reference.status();
    EXPECT_EQ(reference->ToString(), canonical);
    EXPECT_EQ(ParseReference(canonical).value().ToString(), canonical);
  }
}

TEST(ReferenceTest, SplitsIntoParts) {
  const Reference reference = ParseReference("[fd00::1]:5000/a/b:1@" + std::string(kDigest)).value();
  EXPECT_EQ(reference.host, "[fd00::1]:5000");
  EXPECT_EQ(reference.repository, "a/b");
  EXPECT_EQ(reference.tag, "1");
  EXPECT_EQ(reference.digest->ToString(), kDigest);
}

TEST(ReferenceTest, RefusesTheRest) {
  const std::string digest = kDigest;
  for (const std::string& text : {std::string(),
                                  std::string("https://example.com/app"),
                                  std::string("App"),
                                  std::string("example.com/App"),
                                  std::string("example.com/"),
                                  std::string("example.com//app"),
                                  std::string("/app"),
                                  std::string("app:"),
                                  std::string("app:-1"),
                                  std::string("app:a b"),
                                  std::string("app@"),
                                  std::string("app@sha512:") + std::string(128, 'a'),
                                  std::string("app@sha256:123"),
                                  std::string("app@") + digest + "@" + digest,
                                  std::string("a..b"),
                                  std::string("a___b"),
                                  std::string("-a"),
                                  std::string("a-"),
                                  std::string("a/../b"),
                                  std::string("./a"),
                                  std::string("a b"),
                                  std::string("host:port/app"),
                                  std::string("host:0/app"),
                                  std::string("host:65536/app"),
                                  std::string("host:/app"),
                                  std::string("user@host:5000/app"),
                                  std::string("10.0.0.1./app"),
                                  std::string("[fd00::1/app"),
                                  std::string("[fe80::1%eth0]:5000/app"),
                                  std::string("[]:5000/app"),
                                  std::string("[fd00::1]5000/app"),
                                  digest.substr(7),
                                  std::string("example.com/") + std::string(256, 'a'),
                                  std::string(248, 'a'),  // library/ counts
                                  std::string(258, 'a') + ".lan/app",
                                  "[" + std::string(260, 'a') + "]/app",
                                  std::string("app:") + std::string(129, 'a'),
                                  std::string(1 << 20, 'a'),
                                  std::string("app\n"),
                                  std::string("app\0x", 5),
                                  std::string("ex_ample.com/app")}) {
    const absl::StatusOr<Reference> reference = ParseReference(text);
    ASSERT_EQ(reference.status().code(), absl::StatusCode::kInvalidArgument) << text.substr(0, 80);
    EXPECT_LT(reference.status().message().size(), 1200u);
    EXPECT_FALSE(absl::StrContains(reference.status().message(), "\n"));
  }
}

// Whoever makes a path of them relies on this.
TEST(ReferenceTest, RepositoriesAndTagsAreTamePaths) {
  for (const char* text : {"a", "a/b/c", "a__b", "a.b-c/d_e"}) EXPECT_TRUE(IsRepository(text)) << text;
  for (const std::string& text :
       {std::string(), std::string("."), std::string(".."), std::string("a/../b"), std::string("a/"), std::string("/a"),
        std::string("a//b"), std::string(".a"), std::string("a/_b"), std::string("A"), std::string("a\0b", 3),
        std::string(256, 'a')}) {
    EXPECT_FALSE(IsRepository(text)) << text;
  }
  for (const char* text : {"1", "_1", "V1.0-rc", "latest"}) EXPECT_TRUE(IsTag(text)) << text;
  for (const std::string& text : {std::string(), std::string("."), std::string(".."), std::string("a/b"),
                                  std::string("a\0b", 3), std::string(129, 'a')}) {
    EXPECT_FALSE(IsTag(text)) << text;
  }
}

TEST(ReferenceTest, SaysWhatIsWrong) {
  EXPECT_EQ(ParseReference("example.com/App").status().message(),
            "reference \"example.com/App\": the repository must be in lower case");
  EXPECT_EQ(ParseReference("host:0/app").status().message(), "reference \"host:0/app\": \"0\" is not a port");
}

}  // namespace
}  // namespace sluice
