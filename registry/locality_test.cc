#include "registry/locality.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace sluice {
namespace {

// Each class below in its own test; `Is` prints the host that fails.
class LocalityTest : public testing::Test {
 protected:
  void ExpectAll(Locality expected, const std::vector<std::string>& hosts) {
    for (const std::string& host : hosts) EXPECT_EQ(rules_.Classify(host), expected) << host;
  }
  void Local(const std::vector<std::string>& hosts) { ExpectAll(Locality::kLocal, hosts); }
  void Remote(const std::vector<std::string>& hosts) { ExpectAll(Locality::kRemote, hosts); }
  void List(const std::vector<std::string>& entries) {
    absl::StatusOr<LocalityRules> rules = LocalityRules::Create(entries);
    ASSERT_TRUE(rules.ok()) << rules.status();
    rules_ = *std::move(rules);
  }

  LocalityRules rules_ = LocalityRules::Create({}).value();
};

TEST_F(LocalityTest, OnlyNothingIsUnknown) { EXPECT_EQ(rules_.Classify(""), Locality::kUnknown); }

TEST_F(LocalityTest, EdgesOfTheRanges) {
  Remote({"126.255.255.255", "128.0.0.0"});
  Local({"127.0.0.0", "127.0.0.1", "127.255.255.255"});
  Remote({"9.255.255.255", "11.0.0.0"});
  Local({"10.0.0.0", "10.128.0.1", "10.255.255.255"});
  Remote({"172.15.255.255", "172.32.0.0", "172.32.0.1"});
  Local({"172.16.0.0", "172.30.0.1", "172.31.255.255"});
  Remote({"192.167.255.255", "192.169.0.0"});
  Local({"192.168.0.0", "192.168.255.255"});
  Remote({"[fbff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]", "[fe00::]"});
  Local({"[fc00::]", "[fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]"});
  Remote({"[::]", "[::2]"});
  Local({"[::1]"});
}

TEST_F(LocalityTest, WhatIsNearButNotLocal) {
  Remote({"0.0.0.0", "169.254.0.1", "169.254.169.254", "100.64.0.1", "224.0.0.1", "[fe80::1]", "[febf::1]", "[fec0::1]",
          "[ff02::1]", "[2001:db8::1]", "[64:ff9b::a00:1]", "[::a00:1]"});
}

TEST_F(LocalityTest, Ports) {
  Local({"10.0.0.1:5000", "10.0.0.1:1", "10.0.0.1:65535", "localhost:5000", "[fd00::1]:5000"});
  Remote({"10.0.0.1:", "10.0.0.1:0", "10.0.0.1:65536", "10.0.0.1:x", "10.0.0.1:50:00", "[fd00::1]:", "[fd00::1]5000"});
}

TEST_F(LocalityTest, Brackets) {
  Local({"[fd00::1]", "fd00::1", "::1"});
  Remote({"[fd00::1", "fd00::1]", "[[fd00::1]]", "[10.0.0.1]", "[localhost]", "[]"});
}

TEST_F(LocalityTest, ZoneIds) { Remote({"[fe80::1%eth0]", "[fd00::1%eth0]", "[fd00::1%25eth0]:5000", "10.0.0.1%lo"}); }

TEST_F(LocalityTest, MappedIpv4) {
  Local({"[::ffff:10.0.0.1]:5000", "[::ffff:a00:1]", "[::FFFF:127.0.0.1]", "[0:0:0:0:0:ffff:c0a8:1]"});
  Remote({"[::ffff:8.8.8.8]", "[::ffff:172.32.0.1]", "[::ffff:169.254.169.254]"});
}

TEST_F(LocalityTest, FormsOfIpv4ThatAreNoLiterals) {
  Remote({"167772161", "0x0a000001", "012.0.0.1", "10.1", "10.0.1", "127.1", "0x7f.0.0.1", "2130706433", "010.0.0.1",
          "10.0.0.01"});
}

TEST_F(LocalityTest, TrailingDot) { Remote({"10.0.0.1.", "localhost.", "127.0.0.1.:5000"}); }

TEST_F(LocalityTest, UpperCase) { Local({"LOCALHOST", "LocalHost:5000", "[FD00::1]:5000"}); }

TEST_F(LocalityTest, Userinfo) {
  Remote({"user@10.0.0.1", "10.0.0.1@evil.example", "10.0.0.1:5000@evil.example", "localhost:80@evil.example",
          "user:password@localhost"});
}

TEST_F(LocalityTest, NamesThatLookLocal) {
  Remote({"10.evil.example", "10.0.0.1.evil.example", "127.0.0.1.nip.io", "192.168.evil.example:5000", "172.16.x",
          "localhost.evil", "sub.localhost", "localhost6", "fd00.example", "docker.io", "registry.lan", " 10.0.0.1",
          "10.0.0.1 ", "10.0.0.1/8", "10.0.0.1#x"});
}

TEST_F(LocalityTest, ListedHosts) {
  List({"Registry.lan:5000", "build", "203.0.113.7", "[2001:db8::7]:5000"});
  Local({"registry.lan:5000", "REGISTRY.LAN:5000", "build", "build:443", "203.0.113.7", "203.0.113.7:80",
         "[::ffff:203.0.113.7]", "[2001:db8:0::7]:5000"});
  Remote({"registry.lan", "registry.lan:5001", "x.registry.lan:5000", "xbuild", "build.evil.example", "203.0.113.8",
          "[2001:db8::7]:5001", "registry.lan.:5000"});
}

TEST_F(LocalityTest, ListedSuffixes) {
  List({"*.internal", "*.lan:5000"});
  Local({"a.internal", "a.b.INTERNAL:5000", "x.lan:5000"});
  Remote({"internal", ".internal", "ainternal", "a.internal.evil.example", "x.lan", "x.lan:5001"});
}

TEST_F(LocalityTest, ListedNetworks) {
  List({"100.64.0.0/10", "2001:db8::/32", "169.254.7.9/16", "198.51.100.1/32"});
  Local({"100.64.0.0", "100.127.255.255:5000", "[2001:db8:ffff::1]", "[::ffff:100.64.0.1]", "169.254.1.1",
         "198.51.100.1"});
  Remote({"100.63.255.255", "100.128.0.0", "[2001:db9::]", "169.255.0.0", "198.51.100.2", "100.64.evil.example",
          "100.64.1"});
}

TEST(LocalityRulesTest, ListsOnlyWhatIsWritten) {
  const LocalityRules rules = LocalityRules::Create({"172.30.0.1:5000", "*.lan", "10.0.0.0/8"}).value();
  for (const char* host : {"172.30.0.1:5000", "a.lan", "10.1.2.3:80"}) EXPECT_TRUE(rules.Lists(host)) << host;
  for (const char* host : {"172.30.0.1", "localhost", "127.0.0.1:5000", "lan", ""}) {
    EXPECT_FALSE(rules.Lists(host)) << host;
  }
}

TEST(LocalityRulesTest, RefusesEntriesThatAreNoRule) {
  for (const std::string& entry : std::vector<std::string>{
           "", "*", "*.", "*internal", "a.*.b", "10.0.0.0/33", "10.0.0.0/", "10.0.0/8", "x/8", "::/129", "10.0.0.0/-1",
           "host:", "host:0", "host:x", "[::1", "https://host", "user@host", "a b"}) {
    const absl::StatusOr<LocalityRules> rules = LocalityRules::Create({entry});
    EXPECT_EQ(rules.status().code(), absl::StatusCode::kInvalidArgument) << entry;
  }
}

TEST(LoopbackHostTest, IsContainerdsLocalhost) {
  for (const char* host : {"localhost", "localhost:5000", "127.0.0.1:5000", "127.9.9.9", "[::1]:5000"}) {
    EXPECT_TRUE(IsLoopbackHost(host)) << host;
  }
  for (const char* host : {"10.0.0.1", "localhost.evil", "127.evil.example", "[fd00::1]", ""}) {
    EXPECT_FALSE(IsLoopbackHost(host)) << host;
  }
}

TEST(MetadataAddressTest, IsFoundInAnySpelling) {
  for (const char* host :
       {"169.254.169.254", "169.254.169.254:80", "169.254.169.254.", "2852039166", "0xa9fea9fe", "0xA9FEA9FE:80",
        "0251.0376.0251.0376", "169.254.43518", "169.16689662", "[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]:80",
        "[fd00:ec2::254]", "[FD00:0EC2:0::254]:80", "fd00:ec2::254", "[64:ff9b::a9fe:a9fe]"}) {
    EXPECT_TRUE(IsMetadataAddress(host)) << host;
  }
  for (const char* host : {"169.254.169.253", "169.254.169.254.evil.example", "[fd00:ec2::253]", "localhost", ""}) {
    EXPECT_FALSE(IsMetadataAddress(host)) << host;
  }
}

}  // namespace
}  // namespace sluice
