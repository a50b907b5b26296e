// hosts.toml at work: mirrors in their order, what they are told and what not.
#include <cstdlib>
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
#include "registry/reference.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace sluice {
namespace {

using ::sluice::testing::StatusIs;
using ::sluice::testing::TempDir;

constexpr char kManifest[] =
    R"({"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","size":2,)"
    R"("digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"},"layers":[]})";

class HostCredentials : public CredentialSource {
 public:
  absl::StatusOr<std::optional<Credentials>> Find(absl::string_view host, absl::string_view,
                                                  const Cancellation*) const override {
    Credentials credentials;
    credentials.username = std::string(host);
    credentials.password = "x";
    return credentials;
  }
};

class HostsTest : public ::testing::Test {
 protected:
  // {A} and {B} stand for the mirrors' host:port, {R} for the registry's.
  void Write(const std::string& toml) {
    const std::string directory = dir_.At(absl::StrReplaceAll(registry_.host(), {{":", "_"}}) + "_");
    std::filesystem::create_directory(directory);
    std::ofstream(directory + "/hosts.toml")
        << absl::StrReplaceAll(toml, {{"{A}", a_.host()}, {"{B}", b_.host()}, {"{R}", registry_.host()}});
  }
  void WriteUsual() {
    Write(
        "server = \"http://{R}\"\n[host.\"http://{A}\"]\ncapabilities = [\"pull\"]\n[host.\"http://{B}/cache/v2\"]\n"
        "capabilities = [\"pull\", \"resolve\"]\noverride_path = true\n");
  }
  RegistryClientOptions Options() {
    RegistryClientOptions options;
    options.clock = clock_;
    options.hosts_dir = dir_.path();
    return options;
  }
  RegistryClient Client() { return RegistryClient(LocalityRules::Create({}).value(), Options()); }
  absl::StatusOr<std::string> FetchBlob(const RegistryClient& client) {
    return client.FetchBlobDocument(registry_.host(), "app", Digest::Of(kManifest), 1000, nullptr);
  }
  absl::StatusOr<FetchedManifest> FetchManifest(const std::string& rest) {
    return Client().FetchManifest(ParseReference(registry_.host() + "/" + rest).value(), nullptr);
  }
  // A certificate of both hosts of this test, signed by nobody else.
  TlsIdentity MakeIdentity() {
    const std::string command = absl::StrCat(
        "cd ", dir_.path(), " && exec 2>/dev/null && openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=all ",
        "-addext subjectAltName=IP:127.0.0.1,IP:127.0.0.2 -keyout key.pem -out cert.pem");
    EXPECT_EQ(std::system(command.c_str()), 0);
    return {dir_.At("cert.pem"), dir_.At("key.pem")};
  }
  static std::vector<std::string> Lines(const FaultServer& server) {
    std::vector<std::string> lines;
    for (const SeenRequest& request : server.requests()) lines.push_back(request.line);
    return lines;
  }

  TempDir dir_;
  const std::string blob_path_ = absl::StrCat("blobs/", Digest::Of(kManifest).ToString());
  FaultServer a_{"127.0.0.2", kManifest};
  FaultServer b_{"127.0.0.3", kManifest};
  FaultServer registry_{"127.0.0.1", kManifest};
  const std::string ns_ = absl::StrCat("?ns=", absl::StrReplaceAll(registry_.host(), {{":", "%3A"}}));
  const std::shared_ptr<FakeRetryClock> clock_ = std::make_shared<FakeRetryClock>();
};

using Strings = std::vector<std::string>;

TEST_F(HostsTest, MirrorsAreAskedFirstAndToldForWhom) {
  WriteUsual();
  ASSERT_OK(FetchBlob(Client()));
  EXPECT_EQ(Lines(a_), Strings{absl::StrCat("GET /v2/app/", blob_path_, ns_, " HTTP/1.1")});
  EXPECT_TRUE(b_.requests().empty());
  EXPECT_TRUE(registry_.requests().empty());
}

TEST_F(HostsTest, TheNextOneIsAskedAfterAFailure) {
  WriteUsual();
  const std::vector<Reply> failures = {Reply::Status(404), Reply::Status(401), Reply::Status(500),
                                       Reply::Blob().CutHead(0, Ending::kReset), Reply::Blob().Body("other bytes")};
  size_t asked = 0;
  for (const Reply& failure : failures) {
    a_.Script({failure});
    ASSERT_OK(FetchBlob(Client()));
    EXPECT_EQ(a_.requests().size(), ++asked);
    EXPECT_EQ(b_.requests().size(), asked);
  }
  EXPECT_EQ(Lines(b_)[0], absl::StrCat("GET /cache/v2/app/", blob_path_, ns_, " HTTP/1.1"));
  EXPECT_TRUE(registry_.requests().empty());
  EXPECT_TRUE(clock_->waits().empty());
}

TEST_F(HostsTest, TheRegistryIsTheLast) {
  WriteUsual();
  a_.Script({Reply::Status(404)});
  b_.Script({Reply::Status(404)});
  ASSERT_OK(FetchBlob(Client()));
  EXPECT_EQ(Lines(registry_), Strings{absl::StrCat("GET /v2/app/", blob_path_, " HTTP/1.1")});
}

TEST_F(HostsTest, AllOfThemFail) {
  WriteUsual();
  a_.Script({Reply::Status(403)});
  b_.Script({Reply::Status(404)});
  registry_.Script({Reply::Status(404)});
  const absl::Status status = FetchBlob(Client()).status();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kNotFound, "HTTP status 403; GET http://" + b_.host()));
  EXPECT_TRUE(absl::EndsWith(
      status.message(), absl::StrCat("; GET http://", registry_.host(), "/v2/app/", blob_path_, ": HTTP status 404")))
      << status;
  // One of them may get better: then all are asked again.
  a_.Script({Reply::Status(503).Header("Retry-After: 5"), Reply::Blob()});
  ASSERT_OK(FetchBlob(Client()));
  EXPECT_EQ(clock_->waits(), std::vector<std::chrono::milliseconds>{std::chrono::seconds(5)});
}

TEST_F(HostsTest, OnlyWhoMayResolveIsAskedForATag) {
  WriteUsual();
  ASSERT_OK(FetchManifest("app:1"));
  EXPECT_TRUE(a_.requests().empty());
  EXPECT_EQ(Lines(b_), Strings{absl::StrCat("GET /cache/v2/app/manifests/1", ns_, " HTTP/1.1")});
  ASSERT_OK(FetchManifest("app:1@" + Digest::Of(kManifest).ToString()));
  EXPECT_EQ(a_.requests().size(), 1u);
}

TEST_F(HostsTest, ABlobGoesOnAtTheNextOne) {
  WriteUsual();
  a_.Script({Reply::Blob().Cut(50, Ending::kReset), Reply::Status(404)});
  ASSERT_OK_AND_ASSIGN(
      const std::unique_ptr<ByteReader> reader,
      Client().OpenBlob(registry_.host(), "app",
                        {.digest = Digest::Of(kManifest), .size = static_cast<int64_t>(sizeof(kManifest)) - 1},
                        nullptr));
  std::string read;
  std::vector<char> buffer(1000);
  while (true) {
    ASSERT_OK_AND_ASSIGN(const size_t count, reader->Read(absl::MakeSpan(buffer)));
    if (count == 0) break;
    read.append(buffer.data(), count);
  }
  EXPECT_EQ(read, kManifest);
  EXPECT_EQ(a_.requests().size(), 2u);
  EXPECT_EQ(b_.requests()[0].range, absl::StrCat("50-", sizeof(kManifest) - 2));
}

TEST_F(HostsTest, AMirrorThatBringsNothingIsLeft) {
  WriteUsual();
  a_.Script({Reply::Blob().Cut(0, Ending::kReset)});
  ASSERT_OK_AND_ASSIGN(const std::unique_ptr<ByteReader> reader,
                       Client().OpenBlob(registry_.host(), "app", {.digest = Digest::Of(kManifest)}, nullptr));
  std::vector<char> buffer(1000);
  EXPECT_OK(reader->Read(absl::MakeSpan(buffer)));
  EXPECT_EQ(a_.requests().size(), 1u);
  EXPECT_EQ(b_.requests().size(), 1u);
}

TEST_F(HostsTest, HeadersAndCredentialsAreThoseOfTheHost) {
  Write(
      "server = \"http://{R}\"\n[header]\nX-Who = \"registry\"\n[host.\"http://{A}\"]\n[host.\"http://{A}\".header]\n"
      "X-Who = [\"mirror\", \"too\"]\n");
  const Reply basic = Reply::Status(401).Header("WWW-Authenticate: Basic realm=\"x\"");
  a_.Script({basic, Reply::Status(404)});
  registry_.Script({basic, Reply::Blob()});
  RegistryClientOptions options = Options();
  options.credentials = std::make_shared<HostCredentials>();
  ASSERT_OK(FetchBlob(RegistryClient(LocalityRules::Create({}).value(), options)));
  EXPECT_EQ(a_.requests()[1].authorization, absl::StrCat("Basic ", absl::Base64Escape(a_.host() + ":x")));
  EXPECT_EQ(registry_.requests()[1].authorization, absl::StrCat("Basic ", absl::Base64Escape(registry_.host() + ":x")));
  EXPECT_TRUE(absl::StrContains(a_.requests()[0].head, "X-Who: mirror\r\nX-Who: too"));
  EXPECT_FALSE(absl::StrContains(a_.requests()[0].head, "registry\r\n"));
  EXPECT_TRUE(absl::StrContains(registry_.requests()[0].head, "X-Who: registry"));
}

TEST_F(HostsTest, AHeaderMayBeTheAuthorization) {
  Write("server = \"http://{R}\"\n[header]\nAuthorization = \"Bearer fixed\"\n");
  ASSERT_OK(FetchBlob(Client()));
  EXPECT_EQ(registry_.requests()[0].authorization, "Bearer fixed");
  // Where that is not good enough, what is goes in its place.
  registry_.Script({Reply::Status(401).Header("WWW-Authenticate: Basic realm=\"x\""), Reply::Blob()});
  RegistryClientOptions options = Options();
  options.credentials = std::make_shared<HostCredentials>();
  ASSERT_OK(FetchBlob(RegistryClient(LocalityRules::Create({}).value(), options)));
  EXPECT_TRUE(absl::StrContains(registry_.requests()[2].head, "Authorization: Basic "));
  EXPECT_FALSE(absl::StrContains(registry_.requests()[2].head, "Bearer"));
}

TEST_F(HostsTest, AClientCertificateIsShownToItsHostAlone) {
  const TlsIdentity identity = MakeIdentity();
  FaultServer registry("127.0.0.1", kManifest, &identity);
  FaultServer storage("127.0.0.2", kManifest, &identity);
  registry.Script({Reply::Redirect(absl::StrCat("https://", storage.host(), "/x"))});
  Write(absl::StrCat("server = \"https://", registry.host(), "\"\nca = \"", identity.certificate_file,
                     "\"\nclient = [[\"", identity.certificate_file, "\", \"", identity.key_file, "\"]]\n"));
  ASSERT_OK(FetchBlob(Client()));
  EXPECT_TRUE(registry.requests()[0].client_certificate);
  EXPECT_FALSE(storage.requests()[0].client_certificate);
}

TEST_F(HostsTest, SkipVerifyIsForItsHostAlone) {
  const TlsIdentity identity = MakeIdentity();
  FaultServer registry("127.0.0.1", kManifest, &identity);
  FaultServer storage("127.0.0.2", kManifest, &identity);
  registry.Script({Reply::Redirect(absl::StrCat("https://", storage.host(), "/x"))});
  Write(absl::StrCat("server = \"https://", registry.host(), "\"\nskip_verify = true\n"));
  EXPECT_THAT(FetchBlob(Client()), StatusIs(absl::StatusCode::kUnavailable, "/x: SSL certificate problem"));
  EXPECT_EQ(registry.requests().size(), 1u);
  EXPECT_TRUE(storage.requests().empty());
}

TEST_F(HostsTest, ChangesNeedNoRestart) {
  const RegistryClient client = Client();
  Write("server = \"http://{R}\"\n");
  ASSERT_OK(FetchBlob(client));
  Write("server = \"http://{A}\"\n");
  ASSERT_OK(FetchBlob(client));
  EXPECT_EQ(registry_.requests().size(), 1u);
  EXPECT_EQ(a_.requests().size(), 1u);
}

TEST_F(HostsTest, WhatIsWrongWithTheConfigurationIsSaid) {
  Write("server = \"http://{R}\"\ncapabilities = [\"push\"]\n");
  EXPECT_THAT(FetchBlob(Client()), StatusIs(absl::StatusCode::kNotFound, "allows no endpoint to pull from"));
  Write("server = \"http://{R}\"\ncapabilities = [\"pull\"]\n");
  EXPECT_THAT(FetchManifest("app:1"), StatusIs(absl::StatusCode::kNotFound, "lets no endpoint resolve a tag"));
  // Not the registry's "not found".
  Write("server = \"https://{R}\"\nca = \"missing.pem\"\n");
  EXPECT_THAT(FetchBlob(Client()), StatusIs(absl::StatusCode::kFailedPrecondition, "missing.pem"));
  Write("server = \"http://169.254.169.254\"\n");
  EXPECT_THAT(FetchBlob(Client()), StatusIs(absl::StatusCode::kPermissionDenied, "never asked"));
  RegistryClientOptions options = Options();
  options.plain_http_credentials = {"http://x"};
  EXPECT_THAT(FetchBlob(RegistryClient(LocalityRules::Create({}).value(), options)),
              StatusIs(absl::StatusCode::kInvalidArgument, "plain_http_credentials"));
}

TEST_F(HostsTest, WhatIsNoHostOrRepositoryIsRefused) {
  const RegistryClient client = Client();
  for (const char* repository : {"", "..", "a/../b", "a//b", "/a", "a?x=1", "a#b", "a%2f", "a b", "a\r\nX: y"}) {
    EXPECT_THAT(client.FetchBlobDocument(registry_.host(), repository, Digest(), 10, nullptr),
                StatusIs(absl::StatusCode::kInvalidArgument, "not a name"))
        << repository;
    EXPECT_THAT(client.OpenBlob(registry_.host(), repository, {}, nullptr),
                StatusIs(absl::StatusCode::kInvalidArgument, "not a name"));
  }
  RegistryClientOptions options = Options();
  options.hosts_dir.clear();
  const RegistryClient usual(LocalityRules::Create({}).value(), options);
  for (const char* host : {"", "a/b", "user@host", "a?b", "a#b", "a b", "a\\b", "a\r\nb"}) {
    EXPECT_THAT(usual.FetchBlobDocument(host, "app", Digest(), 10, nullptr),
                StatusIs(absl::StatusCode::kInvalidArgument, "not a host"))
        << host;
  }
}

}  // namespace
}  // namespace sluice
