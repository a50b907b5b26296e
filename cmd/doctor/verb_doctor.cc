#include "cmd/doctor/verb_doctor.h"

#include <memory>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "base/status_macros.h"
#include "cmd/check.h"
#include "cmd/config.h"
#include "cmd/doctor/check.h"
#include "cmd/doctor/containerd_version.h"
#include "cmd/doctor/observe.h"
#include "cmd/doctor/print_config.h"
#include "cmd/terminal.h"
#include "registry/json.h"

namespace sluice {
namespace {

constexpr int kSchema = 1;

struct DoctorArguments {
  ObserveOptions observe{.config_path = kDefaultConfigPath, .address = kDefaultAddress};
  std::string containerd_version;
  bool print_config = false;
  bool json = false;
};

Json ToJson(const Findings& findings) {
  Json checks = Json::array();
  for (const Finding& finding : findings.all()) {
    checks.push_back({{"verdict", std::string(VerdictName(finding.verdict))},
                      {"check", finding.check},
                      {"seen", finding.seen},
                      {"mend", finding.mend.empty() ? Json() : Json(finding.mend)}});
  }
  return {{"schema", kSchema},
          {"failed", findings.Count(Verdict::kFail)},
          {"warned", findings.Count(Verdict::kWarn)},
          {"checks", std::move(checks)}};
}

// A line a check, and its mend below it as it is to be written.
std::string ToText(const Findings& findings) {
  std::string text;
  for (const Finding& finding : findings.all()) {
    absl::StrAppendFormat(&text, "%-4s  %s: %s\n", VerdictName(finding.verdict), finding.check,
                          absl::StrReplaceAll(finding.seen, {{"\n", "\\n"}, {"\r", "\\r"}, {"\x1b", "\\x1b"}}));
    if (finding.mend.empty()) continue;
    absl::StrAppend(&text, "        ", absl::StrReplaceAll(finding.mend, {{"\n", "\n        "}}), "\n");
  }
  return text;
}

absl::Status Examine(const DoctorArguments& arguments, const VerbContext& context) {
  const NodeFacts facts = ObserveNode(arguments.observe, context.cancellation);
  RETURN_IF_ERROR(context.cancellation.Check());
  const Findings findings = RunChecks(facts);
  RETURN_IF_ERROR(arguments.json ? PrintJson(ToJson(findings)) : PrintResult(ToText(findings)));
  const size_t failed = findings.Count(Verdict::kFail);
  if (failed == 0) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("doctor: ", failed, " of ", findings.all().size(), " checks failed"));
}

absl::Status Print(const DoctorArguments& arguments, const VerbContext& context) {
  NodeFacts facts;
  ObserveDaemon(arguments.observe, context.cancellation, facts);
  std::optional<ContainerdVersion> version = ParseContainerdVersion(arguments.containerd_version);
  if (!version.has_value()) {
    ObserveContainerd(arguments.observe, context.cancellation, facts);
    version = facts.containerd.version;
  }
  if (!version.has_value()) {
    return absl::UnavailableError(absl::StrCat("containerd: ", facts.containerd.address,
                                               ": its version is not known: give --containerd-version"));
  }
  return PrintResult(PrintConfig(*version, facts.address, facts.root));
}

CLI::Validator IsContainerdVersion() {
  return CLI::Validator(
      [](std::string& text) {
        return ParseContainerdVersion(text).has_value() ? std::string()
                                                        : absl::StrCat(text, ": must be a version like 2.3");
      },
      "VERSION");
}

}  // namespace

void AddDoctorVerb(CLI::App& app, VerbRun& run) {
  CLI::App* verb = app.add_subcommand("doctor", "Say what is wrong on this node, and how to mend it");
  const auto arguments = std::make_shared<DoctorArguments>();
  const auto add_path = [verb](const char* name, std::string& target, const char* type, const char* description) {
    return verb->add_option(name, target, description)->type_name(type)->check(IsGiven());
  };
  ObserveOptions& observe = arguments->observe;
  add_path("--config", observe.config_path, "FILE", "the daemon's configuration")->capture_default_str();
  add_path("--address", observe.address, "PATH", "the daemon's socket")->capture_default_str();
  add_path("--containerd-config", observe.containerd_config, "FILE",
           "containerd's configuration; by default that of the running one");
  add_path("--containerd-address", observe.containerd_address, "PATH",
           "containerd's socket; by default the one in its configuration, or in the daemon's");
  CLI::Option* const print = verb->add_flag("--print-config", arguments->print_config,
                                            "print what containerd's configuration needs, and check nothing");
  verb->add_option("--containerd-version", arguments->containerd_version,
                   "what --print-config is for, such as 2.3; by default the running one")
      ->type_name("VERSION")
      ->check(IsContainerdVersion())
      ->needs(print);
  verb->add_flag("--json", arguments->json, "one JSON object instead of text")->excludes(print);
  verb->callback([arguments, &run] {
    run = [arguments](const VerbContext& context) {
      return arguments->print_config ? Print(*arguments, context) : Examine(*arguments, context);
    };
  });
}

}  // namespace sluice
