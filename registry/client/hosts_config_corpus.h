// hosts.toml files and what they mean, for the table test beside hosts_config and for the one that asks containerd's
// own code (tests/conformance/hosts_config_test.cc).
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "registry/client/hosts_config.h"

namespace sluice::testing {

struct HostsCase {
  std::string name;  // also of its directory
  std::string host;
  // By their path below the hosts directory. "<certificate>", "<key>" and "<other key>" stand for PEM made by
  // WriteHostsDirectory.
  std::map<std::string, std::string> files;
  // One line for each endpoint, as Describe writes it: containerd 2.4's answer. {"unset"}; {"refused <cause>"}.
  std::vector<std::string> want;
  // A part of what `ignored` says; "" for nothing.
  std::string ignored;
  // What containerd 1.6 answers where that is something else, as DescribeForPeer writes it.
  std::vector<std::string> in_1_6;
};

const std::vector<HostsCase>& HostsCases();

// Writes the files of `hosts_case` below `directory` + "/" + its name, and returns that.
std::string WriteHostsDirectory(const HostsCase& hosts_case, const std::string& directory);

// The base, then what is not as by default, file names as below `hosts_dir`:
// "http://a:5000/v2 mirror no-resolve ca=reg.x/ca.pem header=x:1".
std::string Describe(const ConfiguredEndpoint& endpoint, absl::string_view hosts_dir);

// What can be seen of containerd's docker.RegistryHost: "http://a:5000/v2 no-resolve ca header=x:1". 1.6 knows neither
// dial_timeout nor the fallback to http: it asks by http at once.
std::string DescribeForPeer(const ConfiguredEndpoint& endpoint);

}  // namespace sluice::testing
