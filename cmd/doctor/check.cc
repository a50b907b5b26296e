#include "cmd/doctor/check.h"

#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace sluice {

absl::string_view VerdictName(Verdict verdict) {
  switch (verdict) {
    case Verdict::kOk:
      return "ok";
    case Verdict::kWarn:
      return "warn";
    case Verdict::kFail:
      break;
  }
  return "fail";
}

void Findings::Ok(absl::string_view check, std::string seen) {
  all_.push_back({Verdict::kOk, std::string(check), std::move(seen), ""});
}
void Findings::Warn(absl::string_view check, std::string seen, std::string mend) {
  all_.push_back({Verdict::kWarn, std::string(check), std::move(seen), std::move(mend)});
}
void Findings::Fail(absl::string_view check, std::string seen, std::string mend) {
  all_.push_back({Verdict::kFail, std::string(check), std::move(seen), std::move(mend)});
}

size_t Findings::Count(Verdict verdict) const {
  return static_cast<size_t>(
      absl::c_count_if(all_, [verdict](const Finding& finding) { return finding.verdict == verdict; }));
}

std::string InContainerdConfig(const NodeFacts& facts, absl::string_view lines) {
  return absl::StrCat("in ", facts.containerd_config.path, ":\n", absl::StripSuffix(lines, "\n"),
                      "\nthen: systemctl restart containerd");
}

std::string InDaemonConfig(const NodeFacts& facts, absl::string_view lines) {
  return absl::StrCat("in ", facts.config_path, ":\n", lines, "\nthen: systemctl restart containerd-sluice-grpc");
}

Findings RunChecks(const NodeFacts& facts) {
  Findings findings;
  for (const absl::Span<const Check> checks : {DaemonChecks(), ContainerdChecks(), ClientChecks(), RegistryChecks()}) {
    for (const Check& check : checks) check.run(facts, findings);
  }
  return findings;
}

std::vector<ProxyPlugin> OurProxies(const NodeFacts& facts, absl::string_view type) {
  std::vector<ProxyPlugin> ours;
  for (const ProxyPlugin& proxy : facts.containerd_config.proxies) {
    if (proxy.address == facts.address && proxy.type == type) ours.push_back(proxy);
  }
  return ours;
}

}  // namespace sluice
