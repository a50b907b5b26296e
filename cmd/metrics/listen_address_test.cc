#include "cmd/metrics/listen_address.h"

#include <netinet/in.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "base/unique_fd.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;

TEST(ListenAddressTest, AnIpLiteralWithAPort) {
  for (const char* text : {"127.0.0.1:9464", "0.0.0.0:1", "[::1]:9464", "[::]:65535"}) {
    ASSERT_OK_AND_ASSIGN(const ListenAddress address, ParseListenAddress(text));
    EXPECT_EQ(address.text, text);
    EXPECT_EQ(address.socket.ss_family, text[0] == '[' ? AF_INET6 : AF_INET);
  }
}

TEST(ListenAddressTest, WhatElseTheServersLibraryWouldTakeIsRefused) {
  for (const char* text :
       {"", "9464", ":9464", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:-1",
        "127.0.0.1:9464s", "127.0.0.1:9464,127.0.0.1:9465", "+9464", "localhost:9464", "::1:9464", "unix:/run/x",
        "127.0.0.1:9464/metrics", "127.1:9464", "http://127.0.0.1:9464"}) {
    EXPECT_THAT(ParseListenAddress(text).status().message(), HasSubstr("must be an IP address with a port")) << text;
  }
}

TEST(ListenAddressTest, SaysWhyNobodyCanListenThere) {
  const UniqueFd taken(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(listen(taken.get(), 1), 0);
  sockaddr_in bound = {};
  socklen_t length = sizeof(bound);
  ASSERT_EQ(getsockname(taken.get(), reinterpret_cast<sockaddr*>(&bound), &length), 0);
  ASSERT_OK_AND_ASSIGN(const ListenAddress address,
                       ParseListenAddress(absl::StrCat("127.0.0.1:", ntohs(bound.sin_port))));
  EXPECT_THAT(ProbeListenAddress(address).message(), HasSubstr("Address already in use"));
  ASSERT_OK_AND_ASSIGN(const ListenAddress foreign, ParseListenAddress("192.0.2.1:9464"));
  EXPECT_THAT(ProbeListenAddress(foreign).message(), HasSubstr("bind(192.0.2.1:9464): Cannot assign"));
}

}  // namespace
}  // namespace sluice
