#include "registry/client/endpoints.h"

#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gtest/gtest.h"
#include "registry/client/hosts_config.h"
#include "registry/locality.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace sluice {
namespace {

using ::sluice::testing::StatusIs;
using ::sluice::testing::TempDir;
using Configured = std::optional<std::vector<ConfiguredEndpoint>>;

// "https://h/v2 insecure|http://h/v2 no-credentials, https://next/v2"
std::string Show(const std::vector<EndpointSchemes>& endpoints) {
  const auto one = [](std::string* out, const RegistryEndpoint& endpoint) {
    absl::StrAppend(out, endpoint.base.text, endpoint.query, endpoint.tls.verify ? "" : " insecure",
                    endpoint.allow_credentials ? "" : " no-credentials", endpoint.headers.empty() ? "" : " headers");
  };
  return absl::StrJoin(endpoints, ", ", [&one](std::string* out, const EndpointSchemes& schemes) {
    absl::StrAppend(out, absl::StrJoin(schemes, "|", one));
  });
}

Endpoints Rules(const Configured& configured = std::nullopt, const std::vector<std::string>& plain = {}) {
  return Endpoints({LocalityRules::Create({"*.lan"}).value(), plain, "/certs.d", std::chrono::seconds(3)},
                   [configured](const std::string&, absl::string_view) { return configured; });
}

TEST(EndpointsTest, TheUsualOnes) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"docker.io", "https://registry-1.docker.io/v2"},
      {"ghcr.io", "https://ghcr.io/v2"},
      {"ghcr.io:5000", "https://ghcr.io:5000/v2"},
      {"localhost", "http://localhost/v2 no-credentials|https://localhost/v2 insecure"},
      {"127.0.0.1:5000", "http://127.0.0.1:5000/v2 no-credentials|https://127.0.0.1:5000/v2 insecure"},
      {"[::1]:5000", "http://[::1]:5000/v2 no-credentials|https://[::1]:5000/v2 insecure"},
      {"127.0.0.1:443", "https://127.0.0.1:443/v2 insecure"},
      {"172.30.0.1:5000", "https://172.30.0.1:5000/v2|http://172.30.0.1:5000/v2 no-credentials"},
      {"registry.lan", "https://registry.lan/v2|http://registry.lan/v2 no-credentials"},
  };
  for (const auto& [host, want] : cases) EXPECT_EQ(Show(Rules().Of(host).value()), want) << host;
}

TEST(EndpointsTest, CredentialsOverPlainHttpWhereThatIsAllowed) {
  const Endpoints rules = Rules(std::nullopt, {"127.0.0.1:5000", "*.lan"});
  EXPECT_EQ(Show(rules.Of("127.0.0.1:5000").value()), "http://127.0.0.1:5000/v2|https://127.0.0.1:5000/v2 insecure");
  EXPECT_EQ(Show(rules.Of("registry.lan").value()), "https://registry.lan/v2|http://registry.lan/v2");
  EXPECT_EQ(Show(rules.Of("172.30.0.1").value()), "https://172.30.0.1/v2|http://172.30.0.1/v2 no-credentials");
}

TEST(EndpointsTest, ConfiguredOnes) {
  ConfiguredEndpoint mirror;
  mirror.base = "http://mirror:5000/cache/v2";
  mirror.is_mirror = true;
  mirror.dial_timeout = std::chrono::seconds(7);
  ConfiguredEndpoint no_pull = mirror;
  no_pull.can_pull = false;
  ConfiguredEndpoint server;
  server.base = "https://ghcr.io/v2";
  server.skip_verify = true;
  server.headers = {{"X", "y"}};
  const Endpoints rules = Rules(std::vector<ConfiguredEndpoint>{no_pull, mirror, server});
  ASSERT_OK_AND_ASSIGN(const std::vector<EndpointSchemes> endpoints, rules.Of("ghcr.io"));
  EXPECT_EQ(Show(endpoints), "http://mirror:5000/cache/v2?ns=ghcr.io, https://ghcr.io/v2 insecure headers");
  EXPECT_EQ(endpoints[0][0].credential_host, "mirror:5000");
  EXPECT_EQ(endpoints[0][0].connect_timeout, std::chrono::seconds(7));
  EXPECT_EQ(endpoints[1][0].credential_host, "ghcr.io");
  EXPECT_EQ(endpoints[1][0].headers, std::vector<std::string>{"X: y"});
}

TEST(EndpointsTest, AWrittenHttpWithCertificatesIsTriedByHttpsFirst) {
  ConfiguredEndpoint server;
  server.base = "https://registry:5000/v2";
  server.plain_http_fallback = true;
  server.headers = {{"X", "y"}};
  EXPECT_EQ(Show(Rules(std::vector<ConfiguredEndpoint>{server}).Of("registry:5000").value()),
            "https://registry:5000/v2 headers|http://registry:5000/v2 headers");
}

TEST(EndpointsTest, AHostThatIsOnlyImpliedIsAskedAsUsual) {
  ConfiguredEndpoint server;
  server.is_implied = true;
  const auto show = [&](const std::string& host) {
    server.base = absl::StrCat("https://", host, "/v2");
    return Show(Rules(std::vector<ConfiguredEndpoint>{server}).Of(host).value());
  };
  EXPECT_EQ(show("172.30.0.1"), "https://172.30.0.1/v2|http://172.30.0.1/v2 no-credentials");
  EXPECT_EQ(show("ghcr.io"), "https://ghcr.io/v2");
  // Secrets are not for http that nobody has written.
  server.headers = {{"X", "y"}};
  EXPECT_EQ(show("172.30.0.1"), "https://172.30.0.1/v2 headers");
  server.plain_http_fallback = true;
  EXPECT_EQ(show("127.0.0.1:5000"), "https://127.0.0.1:5000/v2 headers|http://127.0.0.1:5000/v2 no-credentials");
}

TEST(EndpointsTest, AuthoritiesAreReadAnew) {
  const TempDir dir;
  ConfiguredEndpoint server;
  server.base = "https://ghcr.io/v2";
  server.ca_files = {dir.At("a.pem"), dir.At("b.pem")};
  const Endpoints rules = Rules(std::vector<ConfiguredEndpoint>{server});
  EXPECT_THAT(rules.Of("ghcr.io"), StatusIs(absl::StatusCode::kFailedPrecondition, dir.At("a.pem")));
  std::ofstream(dir.At("a.pem")) << "-----BEGIN CERTIFICATE-----\n1";
  std::ofstream(dir.At("b.pem")) << "nothing";
  EXPECT_THAT(rules.Of("ghcr.io"), StatusIs(absl::StatusCode::kInvalidArgument, "no certificate in PEM form"));
  std::ofstream(dir.At("b.pem")) << "-----BEGIN CERTIFICATE-----\n2";
  EXPECT_EQ(rules.Of("ghcr.io").value()[0][0].tls.extra_ca_pem,
            "-----BEGIN CERTIFICATE-----\n1\n-----BEGIN CERTIFICATE-----\n2\n");
}

}  // namespace
}  // namespace sluice
