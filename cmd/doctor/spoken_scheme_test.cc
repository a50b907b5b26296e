#include "cmd/doctor/spoken_scheme.h"

#include "gtest/gtest.h"
#include "registry/client/fake_http_server.h"

namespace sluice {
namespace {

TEST(SpokenSchemeTest, OnlyTheLocalNetworkIsAsked) {
  EXPECT_EQ(LocalAddressOf("172.30.0.1:5000", "443"), "172.30.0.1:5000");
  EXPECT_EQ(LocalAddressOf("10.0.0.1", "443"), "10.0.0.1:443");
  EXPECT_EQ(LocalAddressOf("localhost:5000", "80"), "127.0.0.1:5000");
  EXPECT_EQ(LocalAddressOf("[fd00::1]:5000", "443"), "[fd00::1]:5000");
  for (const char* host : {"docker.io", "registry.lan:5000", "8.8.8.8:5000", "169.254.169.254", "172.32.0.1:5000",
                           "10.evil.example", "[fd00:ec2::254]:80", ""}) {
    EXPECT_EQ(LocalAddressOf(host, "443"), "") << host;
  }
}

SpokenScheme SpokenBy(const std::string& answer) {
  const FakeHttpServer server("127.0.0.1", [&answer](const std::string&, const FakeHttpServer::Connection& connection) {
    connection.Send(answer);
  });
  return FindSpokenScheme(server.host(), std::chrono::seconds(10));
}

TEST(SpokenSchemeTest, ByTheAnswerToAPlainRequest) {
  EXPECT_EQ(SpokenBy("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"), SpokenScheme::kHttp);
  EXPECT_EQ(SpokenBy("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
            SpokenScheme::kHttp);
  EXPECT_EQ(SpokenBy("HTTP/1.1 400 Bad Request\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbad"),
            SpokenScheme::kHttp);
  EXPECT_EQ(SpokenBy("HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"),
            SpokenScheme::kHttps);
  EXPECT_EQ(SpokenBy("\x15\x03\x01\x00\x02\x02\x16"), SpokenScheme::kHttps) << "an alert of TLS";
}

TEST(SpokenSchemeTest, NobodyIsThere) {
  EXPECT_EQ(FindSpokenScheme("127.0.0.1:1", std::chrono::seconds(10)), SpokenScheme::kNone);
  EXPECT_EQ(FindSpokenScheme("127.0.0.1:99999", std::chrono::seconds(10)), SpokenScheme::kNone);
  EXPECT_EQ(FindSpokenScheme("", std::chrono::seconds(10)), SpokenScheme::kNone);
}

TEST(SpokenSchemeTest, WhoKeepsSilentIsNotWaitedFor) {
  const FakeHttpServer server(
      "127.0.0.1", [](const std::string&, const FakeHttpServer::Connection& connection) { connection.AwaitClose(); });
  EXPECT_EQ(FindSpokenScheme(server.host(), std::chrono::milliseconds(50)), SpokenScheme::kNone);
}

}  // namespace
}  // namespace sluice
