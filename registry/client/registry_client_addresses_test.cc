// Which address a request may reach: in a network namespace of this process, whose loopback device has a private, a
// public and the metadata address.
#include <sched.h>

#include <atomic>
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/digest.h"
#include "gtest/gtest.h"
#include "registry/client/fake_http_server.h"
#include "registry/client/registry_client.h"
#include "registry/locality.h"
#include "tests/testing/status_matchers.h"

namespace sluice {
namespace {

using ::sluice::testing::StatusIs;
using Connection = FakeHttpServer::Connection;

constexpr char kPrivate[] = "172.30.0.1";
constexpr char kPublic[] = "203.0.113.1";
constexpr char kMetadata[] = "169.254.169.254";

class AddressesTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    ASSERT_EQ(unshare(CLONE_NEWNET), 0) << "this test needs root";
    ASSERT_EQ(std::system("ip link set lo up"), 0);
    for (const char* address : {kPrivate, kPublic, kMetadata}) {
      ASSERT_EQ(std::system(absl::StrCat("ip addr add ", address, "/32 dev lo").c_str()), 0);
    }
  }

  absl::StatusOr<std::string> Fetch(const RegistryClient& client, const FakeHttpServer& server) {
    return client.FetchBlobDocument(server.host(), "app", Digest::Of("{}"), 100, nullptr);
  }

  const RegistryClient client_{LocalityRules::Create({}).value()};
  // Public addresses may be listed as local; then they are asked by http.
  const RegistryClient listing_client_{LocalityRules::Create({"203.0.113.0/24", "169.254.0.0/16"}).value()};
};

FakeHttpServer::Handler Document() {
  return [](const std::string&, const Connection& connection) { connection.Send(HttpAnswer(200, "{}")); };
}

FakeHttpServer::Handler RedirectTo(const FakeHttpServer& target) {
  const std::string location = absl::StrCat("Location: http://", target.host(), "/x");
  return [location](const std::string&, const Connection& c) { c.Send(HttpAnswer(307, "", {location})); };
}

TEST_F(AddressesTest, APrivateRegistryIsAskedByTlsThenByHttp) {
  FakeHttpServer server(kPrivate, Document());
  EXPECT_EQ(Fetch(client_, server).value(), "{}");
  ASSERT_EQ(server.requests().size(), 2u);
  EXPECT_EQ(server.requests()[0], "(not HTTP)");
  // What worked is remembered.
  EXPECT_EQ(Fetch(client_, server).value(), "{}");
  EXPECT_EQ(server.requests().size(), 3u);
}

TEST_F(AddressesTest, APrivateRegistryThatDropsConnectionsIsAskedAgain) {
  std::atomic<int> asked = 0;
  FakeHttpServer server(kPrivate, [&asked](const std::string&, const Connection& connection) {
    if (++asked > 2) connection.Send(HttpAnswer(200, "{}"));
  });
  EXPECT_EQ(Fetch(client_, server).value(), "{}");
  EXPECT_EQ(server.requests().size(), 6u);  // thrice by both
}

TEST_F(AddressesTest, WithoutAPort80IsTriedAfter443) {
  FakeHttpServer server(kPrivate, 80, Document());
  EXPECT_EQ(client_.FetchBlobDocument(kPrivate, "app", Digest::Of("{}"), 100, nullptr).value(), "{}");
}

TEST_F(AddressesTest, ARemoteRegistryIsNeverAskedByHttp) {
  FakeHttpServer server(kPublic, Document());
  EXPECT_THAT(Fetch(client_, server), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_EQ(server.requests(), std::vector<std::string>{"(not HTTP)"});
}

TEST_F(AddressesTest, NoRedirectFromPublicToInternal) {
  for (const char* inside : {kPrivate, "127.0.0.1"}) {
    FakeHttpServer target(inside, Document());
    FakeHttpServer server(kPublic, RedirectTo(target));
    EXPECT_THAT(Fetch(listing_client_, server), StatusIs(absl::StatusCode::kPermissionDenied, "from a public address"));
    EXPECT_TRUE(target.requests().empty());
  }
}

TEST_F(AddressesTest, NorByWayOfAName) {
  // "localhost" is no literal: it is only known for what it is when it is connected to.
  FakeHttpServer target("127.0.0.1", Document());
  const std::string port = target.host().substr(target.host().find(':'));
  FakeHttpServer server(kPublic, [&port](const std::string&, const Connection& connection) {
    connection.Send(HttpAnswer(307, "", {absl::StrCat("Location: http://localhost", port, "/x")}));
  });
  EXPECT_THAT(Fetch(listing_client_, server), StatusIs(absl::StatusCode::kPermissionDenied, "from a public address"));
  EXPECT_TRUE(target.requests().empty());
}

TEST_F(AddressesTest, NorBackInsideAfterADetour) {
  FakeHttpServer target(kPrivate, Document());
  FakeHttpServer outside(kPublic, RedirectTo(target));
  FakeHttpServer server(kPrivate, RedirectTo(outside));
  EXPECT_THAT(Fetch(client_, server), StatusIs(absl::StatusCode::kPermissionDenied, "from a public address"));
  EXPECT_TRUE(target.requests().empty());
}

TEST_F(AddressesTest, NorToATokenServer) {
  FakeHttpServer issuer("127.0.0.1", Document());
  const std::string port = issuer.host().substr(issuer.host().find(':'));
  for (const char* inside : {"127.0.0.1", "localhost"}) {
    const std::string challenge =
        absl::StrCat("WWW-Authenticate: Bearer realm=\"http://", inside, port, "/token\",service=\"s\"");
    FakeHttpServer server(kPublic, [&challenge](const std::string&, const Connection& connection) {
      connection.Send(HttpAnswer(401, "", {challenge}));
    });
    EXPECT_THAT(Fetch(listing_client_, server), StatusIs(absl::StatusCode::kPermissionDenied, "from a public address"));
  }
  EXPECT_TRUE(issuer.requests().empty());
}

TEST_F(AddressesTest, InternalRegistriesMayRedirectInside) {
  FakeHttpServer target("127.0.0.1", Document());
  FakeHttpServer server(kPrivate, RedirectTo(target));
  EXPECT_EQ(Fetch(client_, server).value(), "{}");
}

TEST_F(AddressesTest, TheMetadataServiceIsNeverAsked) {
  FakeHttpServer metadata(kMetadata, Document());
  EXPECT_THAT(Fetch(listing_client_, metadata), StatusIs(absl::StatusCode::kPermissionDenied, "never asked"));
  FakeHttpServer server(kPrivate, RedirectTo(metadata));
  EXPECT_THAT(Fetch(client_, server), StatusIs(absl::StatusCode::kPermissionDenied, "metadata"));
  EXPECT_TRUE(metadata.requests().empty());
}

}  // namespace
}  // namespace sluice
