#include "registry/ip_address.h"

#include <string>

#include "gtest/gtest.h"

namespace sluice {
namespace {

IpAddress Address(absl::string_view text) { return IpAddress::Parse(text).value(); }

TEST(IpAddressTest, ParsesLiteralsOnly) {
  for (const char* text : {"10.0.0.1", "::1", "fd00::1", "::ffff:10.0.0.1", "FE80::1", "255.255.255.255"}) {
    EXPECT_TRUE(IpAddress::Parse(text).has_value()) << text;
  }
  for (const char* text :
       {"", "10.0.0", "10.0.0.1.", "10.0.0.01", "010.0.0.1", "0x7f.0.0.1", "2130706433", "127.1", "[::1]",
        "fe80::1%eth0", "10.0.0.1:80", " 10.0.0.1", "10.0.0.256", "localhost", "1.2.3.4.5", ":::"}) {
    EXPECT_FALSE(IpAddress::Parse(text).has_value()) << text;
  }
  EXPECT_FALSE(IpAddress::Parse(absl::string_view("10.0.0.1\0.evil", 14)).has_value());
}

TEST(IpAddressTest, MappedAndPlainAreOneAddress) { EXPECT_EQ(Address("::ffff:a00:1"), Address("10.0.0.1")); }

TEST(IpAddressTest, MatchesNetworksAtTheirEdges) {
  EXPECT_TRUE(Address("100.127.255.255").InNetwork(Address("100.64.0.0"), 96 + 10));
  EXPECT_FALSE(Address("100.128.0.0").InNetwork(Address("100.64.0.0"), 96 + 10));
  EXPECT_FALSE(Address("100.63.255.255").InNetwork(Address("100.64.0.0"), 96 + 10));
  EXPECT_TRUE(Address("1.2.3.4").InNetwork(Address("9.9.9.9"), 0));
  EXPECT_TRUE(Address("1.2.3.4").InNetwork(Address("1.2.3.4"), 128));
  EXPECT_FALSE(Address("1.2.3.5").InNetwork(Address("1.2.3.4"), 128));
}

TEST(IpAddressTest, KnowsWhatIsInternal) {
  for (const char* text :
       {"127.0.0.1", "::1", "10.1.2.3", "172.31.255.255", "192.168.0.0", "fc00::", "fdff::1", "169.254.0.1", "fe80::1",
        "febf::1", "0.0.0.0", "::", "100.64.0.1", "64:ff9b::a00:1", "::7f00:1"}) {
    EXPECT_TRUE(Address(text).IsInternal()) << text;
  }
  for (const char* text :
       {"8.8.8.8", "172.32.0.0", "11.0.0.0", "2001:db8::1", "fe00::1", "64:ff9b::808:808", "100.128.0.0", "fec0::1"}) {
    EXPECT_FALSE(Address(text).IsInternal()) << text;
  }
}

TEST(IpAddressTest, KnowsTheMetadataAddresses) {
  for (const char* text :
       {"169.254.169.254", "::ffff:169.254.169.254", "fd00:ec2::254", "64:ff9b::a9fe:a9fe", "::a9fe:a9fe"}) {
    EXPECT_TRUE(Address(text).IsMetadata()) << text;
  }
  EXPECT_FALSE(Address("169.254.169.253").IsMetadata());
  EXPECT_FALSE(Address("fd00:ec2::255").IsMetadata());
}

}  // namespace
}  // namespace sluice
