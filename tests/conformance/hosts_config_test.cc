// hosts.toml by us and by containerd's own code, Debian's 1.6: every directory of the corpus must mean the same, or
// differ as the corpus says.
#include "registry/client/hosts_config.h"

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "registry/client/hosts_config_corpus.h"
#include "tests/testing/temp_dir.h"

namespace sluice {
namespace {

using ::testing::ElementsAreArray;
using testing::HostsCase;
using testing::TempDir;

constexpr char kContainerdHosts[] = "tests/conformance/containerd_hosts/containerd_hosts";

using Lines = std::vector<std::string>;

// The lines of each case, in the order of the corpus.
std::vector<Lines> AskContainerd(const TempDir& dir) {
  std::ofstream input(dir.At("input"));
  for (const HostsCase& hosts_case : testing::HostsCases()) {
    input << testing::WriteHostsDirectory(hosts_case, dir.path()) << "\t" << hosts_case.host << "\n";
  }
  input.close();
  const std::string command = absl::StrCat(kContainerdHosts, " < ", dir.At("input"), " > ", dir.At("output"));
  EXPECT_EQ(std::system(command.c_str()), 0) << command;
  std::vector<Lines> answers;
  std::ifstream output(dir.At("output"));
  for (std::string line; std::getline(output, line);) {
    if (absl::StartsWith(line, "# ")) {
      answers.emplace_back();
    } else {
      answers.back().push_back(line);
    }
  }
  return answers;
}

// Ours in the same words.
Lines Ask(const std::string& hosts_dir, const std::string& host) {
  const auto endpoints = LoadHostsConfig(hosts_dir, host);
  if (!endpoints.ok()) return {"refused"};
  // Nothing is said of the host: it is asked itself, by https, since no host of the corpus without files is a loopback.
  if (!endpoints->has_value()) return {absl::StrCat("https://", host, "/v2")};
  Lines lines;
  for (const ConfiguredEndpoint& endpoint : **endpoints) lines.push_back(testing::DescribeForPeer(endpoint));
  return lines;
}

TEST(HostsConfigConformanceTest, ContainerdReadsTheSame) {
  const TempDir dir;
  const std::vector<Lines> answers = AskContainerd(dir);
  const std::vector<HostsCase>& cases = testing::HostsCases();
  ASSERT_EQ(answers.size(), cases.size());
  for (size_t i = 0; i < cases.size(); ++i) {
    SCOPED_TRACE(cases[i].name);
    const Lines ours = Ask(dir.At(cases[i].name), cases[i].host);
    if (cases[i].in_1_6.empty()) {
      EXPECT_THAT(ours, ElementsAreArray(answers[i]));
    } else {
      EXPECT_THAT(answers[i], ElementsAreArray(cases[i].in_1_6));
      EXPECT_NE(ours, answers[i]) << "no longer differs";
    }
  }
}

}  // namespace
}  // namespace sluice
