#include "registry/client/hosts_file.h"

#include "gtest/gtest.h"
#include "tests/fuzz/fuzzing.h"

namespace sluice::testing {
namespace {

// Stands for a password in the seeds; mutations carry it everywhere.
constexpr char kSecret[] = "S3CRET";

void CheckUrl(const HostUrl& url) {
  if (!url.Usable()) return;
  const absl::StatusOr<HostUrl> again = ParseHostUrl(url.ToString(), /*override_path=*/true);
  ASSERT_TRUE(again.ok()) << url.ToString() << ": " << again.status();
  EXPECT_EQ(again->ToString(), url.ToString());
  EXPECT_EQ(url.path.find('?'), std::string::npos);
  EXPECT_EQ(url.host.find('@'), std::string::npos);
}

void CheckEntry(const HostsFileEntry& entry) {
  CheckUrl(entry.url);
  if (entry.ca_files.has_value()) {
    for (const std::string& file : *entry.ca_files) EXPECT_EQ(file[0], '/') << file;
  }
  for (const auto& client : entry.clients) {
    EXPECT_EQ(client.certificate[0], '/');
    EXPECT_TRUE(client.key.empty() || client.key[0] == '/') << client.key;
  }
  if (entry.dial_timeout.has_value()) {
    EXPECT_GE(entry.dial_timeout->count(), 0);
  }
}

}  // namespace

SLUICE_FUZZ_TARGET(input) {
  const absl::StatusOr<std::vector<HostsFileEntry>> entries = ParseHostsFile(input, "/etc/containerd/certs.d/h");
  ExpectGoodMessage(entries.status());
  // Neither a header's value nor a URL nor the line itself may be part of a message.
  EXPECT_EQ(entries.status().message().find(kSecret), absl::string_view::npos) << entries.status();
  if (!entries.ok()) return;
  EXPECT_FALSE(entries->empty());
  for (const HostsFileEntry& entry : *entries) CheckEntry(entry);
}

}  // namespace sluice::testing
