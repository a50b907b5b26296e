// Tokens: fetched once, kept as long as they live, renewed in time.
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/digest.h"
#include "gtest/gtest.h"
#include "registry/client/credential_source.h"
#include "registry/client/fake_retry_clock.h"
#include "registry/client/fault_server.h"
#include "registry/client/registry_client.h"
#include "registry/locality.h"
#include "tests/testing/status_matchers.h"

namespace sluice {
namespace {

using ::sluice::testing::StatusIs;

class CountedCredentials : public CredentialSource {
 public:
  absl::StatusOr<std::optional<Credentials>> Find(absl::string_view host, absl::string_view,
                                                  const Cancellation*) const override {
    ++looked_up;
    last_host = std::string(host);
    if (failure.has_value()) return *failure;
    return credentials;
  }
  std::optional<Credentials> credentials;
  std::optional<absl::Status> failure;
  mutable std::atomic<int> looked_up = 0;
  mutable std::string last_host;
};

class AuthTest : public ::testing::Test {
 protected:
  AuthTest() {
    Credentials user;
    user.username = "us er";
    user.password = "p&w=d";
    user.source = "the test";
    credentials_->credentials = user;
    RegistryClientOptions options;
    options.clock = clock_;
    options.credentials = credentials_;
    options.plain_http_credentials = {"127.0.0.1"};
    client_ = std::make_unique<RegistryClient>(LocalityRules::Create({}).value(), options);
    // As a registry does: who brings a token of today is let in.
    registry_.OnRequest([this](const SeenRequest& request) {
      const bool allowed = absl::StartsWith(request.authorization, "Bearer t") && request.authorization != refused_;
      registry_.Script({allowed ? Reply::Blob() : Reply::Status(401).Header(challenge_)});
    });
    issuer_.OnRequest([this](const SeenRequest&) {
      issuer_.Script({Reply::Status(200, absl::StrCat("{\"token\":\"t", ++issued_, "\",\"expires_in\":300}"))});
    });
  }

  absl::Status Fetch(const std::string& repository = "app") {
    return client_->FetchBlobDocument(registry_.host(), repository, Digest::Of("{}"), 100, nullptr).status();
  }

  FaultServer registry_{"127.0.0.1", "{}"};
  FaultServer issuer_{"127.0.0.1", ""};
  std::string challenge_ = absl::StrCat("WWW-Authenticate: Bearer realm=\"http://", issuer_.host(),
                                        "/token?a=1\",service=\"the registry\",scope=\"b repository:app:pull a\"");
  std::string refused_;
  std::atomic<int> issued_ = 0;
  const std::shared_ptr<FakeRetryClock> clock_ = std::make_shared<FakeRetryClock>();
  const std::shared_ptr<CountedCredentials> credentials_ = std::make_shared<CountedCredentials>();
  std::unique_ptr<RegistryClient> client_;
};

TEST_F(AuthTest, AsksByAForm) {
  ASSERT_OK(Fetch());
  ASSERT_EQ(issuer_.requests().size(), 1u);
  EXPECT_EQ(issuer_.requests()[0].line, "POST /token?a=1 HTTP/1.1");
  EXPECT_EQ(issuer_.requests()[0].form,
            "grant_type=password&username=us%20er&password=p%26w%3Dd&client_id=sluice&access_type=online&"
            "service=the%20registry&scope=a%20b%20repository%3Aapp%3Apull");
  EXPECT_TRUE(absl::StrContains(issuer_.requests()[0].head, "Content-Type: application/x-www-form-urlencoded"));
  EXPECT_EQ(credentials_->last_host, registry_.host());
}

TEST_F(AuthTest, WithAnIdentityTokenByAnotherForm) {
  credentials_->credentials = Credentials();
  credentials_->credentials->identity_token = "id";
  ASSERT_OK(Fetch());
  EXPECT_TRUE(absl::StartsWith(issuer_.requests()[0].form, "grant_type=refresh_token&refresh_token=id&client_id="));
}

TEST_F(AuthTest, BesideAnIdentityTokenAPasswordStaysOne) {
  credentials_->credentials->identity_token = "id";
  ASSERT_OK(Fetch());
  EXPECT_TRUE(absl::StrContains(issuer_.requests()[0].form, "&refresh_token=id&"));
  EXPECT_FALSE(absl::StrContains(issuer_.requests()[0].form, "password"));
  challenge_ = "WWW-Authenticate: Basic realm=\"x\"";
  refused_ = "Bearer t1";
  EXPECT_FALSE(Fetch().ok());
  EXPECT_EQ(registry_.requests().back().authorization, "Basic dXMgZXI6cCZ3PWQ=");
}

TEST_F(AuthTest, AnIdentityTokenWhereNoPostIsKnown) {
  credentials_->credentials = Credentials();
  credentials_->credentials->identity_token = "id";
  issuer_.OnRequest([this](const SeenRequest& request) {
    issuer_.Script({request.form.empty() ? Reply::Status(200, R"({"access_token":"t1"})") : Reply::Status(404)});
  });
  ASSERT_OK(Fetch());
  EXPECT_EQ(issuer_.requests()[1].authorization, "Basic Omlk");
}

TEST_F(AuthTest, AnonymouslyByAQuery) {
  credentials_->credentials.reset();
  ASSERT_OK(Fetch());
  EXPECT_EQ(issuer_.requests()[0].line,
            "GET /token?a=1&service=the%20registry&scope=a&scope=b&scope=repository%3Aapp%3Apull HTTP/1.1");
  EXPECT_EQ(issuer_.requests()[0].authorization, "");
}

TEST_F(AuthTest, ARegistryTokenIsUsedAsItIs) {
  credentials_->credentials = Credentials();
  credentials_->credentials->registry_token = "t-ready";
  ASSERT_OK(Fetch());
  EXPECT_TRUE(issuer_.requests().empty());
  EXPECT_EQ(registry_.requests()[1].authorization, "Bearer t-ready");
}

TEST_F(AuthTest, OneTokenServesUntilShortlyBeforeItsEnd) {
  for (int i = 0; i < 3; ++i) ASSERT_OK(Fetch());
  clock_->Advance(absl::Seconds(265));
  ASSERT_OK(Fetch());
  EXPECT_EQ(issued_, 1);
  EXPECT_EQ(credentials_->looked_up, 1);
  EXPECT_EQ(registry_.requests().size(), 5u);  // one of them without a token
  clock_->Advance(absl::Seconds(10));
  ASSERT_OK(Fetch());
  EXPECT_EQ(issued_, 2);
  // Renewed beforehand, not on a refusal.
  EXPECT_EQ(registry_.requests().size(), 6u);
  EXPECT_EQ(registry_.requests()[5].authorization, "Bearer t2");
}

TEST_F(AuthTest, ATokenThatIsRefusedBeforeItsTimeIsRenewed) {
  ASSERT_OK(Fetch());
  refused_ = "Bearer t1";
  ASSERT_OK(Fetch());
  EXPECT_EQ(issued_, 2);
}

TEST_F(AuthTest, EachRepositoryHasItsOwn) {
  ASSERT_OK(Fetch("app"));
  ASSERT_OK(Fetch("other/app"));
  EXPECT_EQ(issued_, 2);
  EXPECT_TRUE(absl::StrContains(issuer_.requests()[1].form, "repository%3Aother%2Fapp%3Apull"));
}

TEST_F(AuthTest, ManyAtOnceFetchOneToken) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) threads.emplace_back([this] { EXPECT_OK(Fetch()); });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(issued_, 1);
}

TEST_F(AuthTest, AFailingHelperIsAnError) {
  credentials_->failure = absl::UnavailableError("docker-credential-x: not found");
  EXPECT_THAT(Fetch(), StatusIs(absl::StatusCode::kUnavailable, "docker-credential-x: not found"));
}

TEST_F(AuthTest, KindsThatAreNotKnownAreNamed) {
  challenge_ = "WWW-Authenticate: Negotiate";
  EXPECT_THAT(Fetch(),
              StatusIs(absl::StatusCode::kUnauthenticated, "of the kind \"negotiate\", which sluice does not"));
  challenge_ = "X: y";
  EXPECT_THAT(Fetch(), StatusIs(absl::StatusCode::kUnauthenticated, "does not say of which kind"));
}

TEST_F(AuthTest, ARealmMustBeAUrl) {
  for (const char* realm : {"", "token", "ftp://x/", "http://user:secret@x/"}) {
    challenge_ = absl::StrCat("WWW-Authenticate: Bearer realm=\"", realm, "\"");
    const absl::Status status = Fetch();
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument, "token server")) << realm;
    EXPECT_FALSE(absl::StrContains(status.message(), "secret")) << status;
  }
}

}  // namespace
}  // namespace sluice
