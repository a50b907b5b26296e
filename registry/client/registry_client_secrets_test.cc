// Whatever a registry answers, user, password, tokens and hosts.toml's headers reach nobody but whom they are for, and
// no message.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/digest.h"
#include "gtest/gtest.h"
#include "registry/client/credential_source.h"
#include "registry/client/fake_retry_clock.h"
#include "registry/client/fault_server.h"
#include "registry/client/registry_client.h"
#include "registry/locality.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace sluice {
namespace {

using ::sluice::testing::StatusIs;
using ::sluice::testing::TempDir;

constexpr char kPassword[] = "pass-5ec1";
constexpr char kIdentity[] = "identity-5ec2";
constexpr char kToken[] = "token-5ec3";
constexpr char kHeader[] = "header-5ec4";
constexpr char kSignature[] = "signature-5ec5";

// Everything that is secret in these tests, in every form in which it is sent.
std::vector<std::string> Secrets() {
  return {kPassword, absl::Base64Escape(absl::StrCat("user:", kPassword)),
          kIdentity, absl::Base64Escape(absl::StrCat(":", kIdentity)),
          kToken,    kHeader};
}

bool HasSecret(const std::string& text) {
  const std::vector<std::string> secrets = Secrets();
  return std::any_of(secrets.begin(), secrets.end(),
                     [&text](const std::string& secret) { return absl::StrContains(text, secret); });
}

class FixedCredentials : public CredentialSource {
 public:
  explicit FixedCredentials(Credentials credentials) : credentials_(std::move(credentials)) {}
  absl::StatusOr<std::optional<Credentials>> Find(absl::string_view, absl::string_view,
                                                  const Cancellation*) const override {
    return credentials_;
  }

 private:
  const Credentials credentials_;
};

class SecretsTest : public ::testing::Test {
 protected:
  SecretsTest() {
    const std::string directory = dir_.At("certs.d/127.0.0.1_" + Port(registry_) + "_");
    std::filesystem::create_directories(directory);
    std::ofstream(directory + "/hosts.toml")
        << "server = \"http://" << registry_.host() << "\"\n[header]\nX-Secret = \"" << kHeader << "\"\n";
    user_.username = "user";
    user_.password = kPassword;
    user_.source = "the test";
  }

  static std::string Port(const FaultServer& server) { return server.host().substr(server.host().find(':') + 1); }

  absl::Status Fetch(const Credentials& credentials) {
    RegistryClientOptions options;
    options.clock = std::make_shared<FakeRetryClock>();
    options.hosts_dir = dir_.At("certs.d");
    options.credentials = std::make_shared<FixedCredentials>(credentials);
    const RegistryClient client(LocalityRules::Create({}).value(), options);
    return client.FetchBlobDocument(registry_.host(), "app", Digest::Of("{}"), 1000, nullptr).status();
  }

  std::string Challenge(const FaultServer& realm) {
    return absl::StrCat("WWW-Authenticate: Bearer realm=\"http://", realm.host(), "/token\",service=\"s\"");
  }

  static bool AnySecretAt(const FaultServer& server) {
    const std::vector<SeenRequest> requests = server.requests();
    return std::any_of(requests.begin(), requests.end(),
                       [](const SeenRequest& request) { return HasSecret(request.head) || HasSecret(request.form); });
  }

  TempDir dir_;
  FaultServer registry_{"127.0.0.1", "{}"};
  FaultServer issuer_{"127.0.0.1", absl::StrCat("{\"token\":\"", kToken, "\"}")};
  FaultServer stranger_{"127.0.0.2", "{}"};
  Credentials user_;
};

TEST_F(SecretsTest, TheRegistryIsShownThemAndTheStorageIsNot) {
  registry_.Script({Reply::Status(401).Header(Challenge(issuer_)),
                    Reply::Redirect(absl::StrCat("http://", stranger_.host(), "/x?s=", kSignature))});
  ASSERT_OK(Fetch(user_));
  // That they were there to leak:
  ASSERT_EQ(registry_.requests().size(), 2u);
  EXPECT_TRUE(absl::StrContains(registry_.requests()[1].head, kToken));
  EXPECT_TRUE(absl::StrContains(registry_.requests()[1].head, absl::StrCat("X-Secret: ", kHeader)));
  EXPECT_TRUE(absl::StrContains(issuer_.requests()[0].form, kPassword));
  EXPECT_FALSE(absl::StrContains(issuer_.requests()[0].head, kHeader));
  ASSERT_EQ(stranger_.requests().size(), 1u);
  EXPECT_FALSE(AnySecretAt(stranger_));
}

TEST_F(SecretsTest, NorIsAnotherPortOrAWayBack) {
  // issuer_ stands for another port of the registry's host here.
  registry_.Script({Reply::Status(401).Header("WWW-Authenticate: Basic realm=\"x\""),
                    Reply::Redirect(absl::StrCat("http://", issuer_.host(), "/x")), Reply::Blob()});
  issuer_.Script({Reply::Redirect(absl::StrCat("http://", registry_.host(), "/back"))});
  ASSERT_OK(Fetch(user_));
  ASSERT_EQ(registry_.requests().size(), 3u);
  EXPECT_TRUE(HasSecret(registry_.requests()[1].head));
  EXPECT_FALSE(HasSecret(registry_.requests()[2].head));
  EXPECT_FALSE(AnySecretAt(issuer_));
}

TEST_F(SecretsTest, OnOneOriginARedirectKeepsThem) {
  registry_.Script(
      {Reply::Status(401).Header("WWW-Authenticate: Basic realm=\"x\""), Reply::Redirect("/other"), Reply::Blob()});
  ASSERT_OK(Fetch(user_));
  EXPECT_TRUE(HasSecret(registry_.requests()[2].head));
}

TEST_F(SecretsTest, AForeignRealmGetsNothing) {
  registry_.Script({Reply::Status(401).Header(Challenge(stranger_))});
  EXPECT_THAT(Fetch(user_), StatusIs(absl::StatusCode::kPermissionDenied, "not sent to another host"));
  EXPECT_TRUE(stranger_.requests().empty());
}

TEST_F(SecretsTest, NorDoesWhereARealmRedirects) {
  registry_.Script({Reply::Status(401).Header(Challenge(issuer_)), Reply::Status(401)});
  for (const int status : {302, 307}) {
    issuer_.Script({Reply::Redirect(absl::StrCat("http://", stranger_.host(), "/x"), status)});
    Credentials identity;
    identity.identity_token = kIdentity;
    EXPECT_FALSE(Fetch(status == 302 ? user_ : identity).ok());
  }
  EXPECT_TRUE(absl::StrContains(issuer_.requests()[0].form, kPassword));
  EXPECT_FALSE(stranger_.requests().empty());
  EXPECT_FALSE(AnySecretAt(stranger_));
}

TEST_F(SecretsTest, NorAnyMessage) {
  std::vector<Reply> last;
  for (const std::string& echo : Secrets()) {
    for (const int status : {400, 401, 403, 404, 503}) {
      last.push_back(Reply::Status(status, absl::StrCat(R"({"errors":[{"message":"you sent )", echo, "\"}]}")));
    }
  }
  last.push_back(Reply::Redirect(absl::StrCat("ftp://user:", kPassword, "@x/?", kToken)));
  last.push_back(Reply::Redirect(absl::StrCat("http://169.254.169.254/?", kToken)));
  last.push_back(Reply::Blob().Header("X: y").CutHead(20, Ending::kReset));
  Credentials both = user_;
  both.identity_token = kIdentity;
  for (const Reply& reply : last) {
    registry_.Script({Reply::Status(401).Header(Challenge(issuer_)), reply});
    const absl::Status status = Fetch(both);
    EXPECT_FALSE(status.ok());
    EXPECT_FALSE(HasSecret(status.ToString())) << status;
  }
  registry_.Script({Reply::Status(401).Header("WWW-Authenticate: Basic realm=\"x\""),
                    Reply::Status(403, absl::StrCat(R"({"errors":[{"message":"you sent )", kPassword, "\"}]}"))});
  EXPECT_THAT(Fetch(user_), StatusIs(absl::StatusCode::kPermissionDenied, "HTTP status 403"));
  // Token servers' own words are never repeated.
  registry_.Script({Reply::Status(401).Header(Challenge(issuer_))});
  for (const int code : {200, 400, 401, 403, 500}) {
    issuer_.Script({Reply::Status(code, absl::StrCat("{\"token\": 7, \"details\":\"", kPassword, "\"}"))});
    const absl::Status status = Fetch(user_);
    EXPECT_FALSE(status.ok());
    EXPECT_FALSE(HasSecret(status.ToString())) << status;
  }
}

}  // namespace
}  // namespace sluice
