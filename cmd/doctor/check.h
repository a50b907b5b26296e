// The checks of `sluicectl doctor`: pure functions of what was seen.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "cmd/doctor/node_facts.h"

namespace sluice {

enum class Verdict { kOk, kWarn, kFail };

// "ok", "warn", "fail".
absl::string_view VerdictName(Verdict verdict);

struct Finding {
  Verdict verdict = Verdict::kOk;
  std::string check;  // "socket"
  std::string seen;   // one line
  std::string mend;   // the very lines to write, or the command to run; "" if all is well

  bool operator==(const Finding&) const = default;
};

// What the checks say goes here.
class Findings {
 public:
  void Ok(absl::string_view check, std::string seen);
  void Warn(absl::string_view check, std::string seen, std::string mend);
  void Fail(absl::string_view check, std::string seen, std::string mend);

  const std::vector<Finding>& all() const { return all_; }
  size_t Count(Verdict verdict) const;

 private:
  std::vector<Finding> all_;
};

// Mends: `lines` in the configuration of containerd, which is then restarted, or of our daemon.
std::string InContainerdConfig(const NodeFacts& facts, absl::string_view lines);
std::string InDaemonConfig(const NodeFacts& facts, absl::string_view lines);

// One check. It says nothing where what it looks at is not there: another one says that it is missing.
struct Check {
  const char* name;
  void (*run)(const NodeFacts& facts, Findings& findings);
};

// In the order in which they are shown: our own daemon, containerd, its clients, registries.
absl::Span<const Check> DaemonChecks();
absl::Span<const Check> ContainerdChecks();
absl::Span<const Check> ClientChecks();
absl::Span<const Check> RegistryChecks();

Findings RunChecks(const NodeFacts& facts);

}  // namespace sluice
