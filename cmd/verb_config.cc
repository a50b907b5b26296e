#include "cmd/verb_config.h"

#include <unistd.h>

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "cmd/check.h"
#include "cmd/config.h"
#include "cmd/default_config.h"
#include "cmd/provider_options.h"
#include "cmd/terminal.h"

namespace sluice {
namespace {

constexpr int kSchema = 1;

struct ConfigArguments {
  std::string file = kDefaultConfigPath;
  bool json = false;
};

// What the daemon would refuse to start with. It is no bad image, whose exit code InvalidArgument has.
absl::Status CheckFile(const std::string& file) {
  absl::StatusOr<Config> config = LoadConfig(file);
  absl::Status status = config.ok() ? ProviderOptions(*config).status() : config.status();
  if (absl::IsInvalidArgument(status)) return absl::FailedPreconditionError(status.message());
  return status;
}

absl::Status Check(const ConfigArguments& arguments) {
  RETURN_IF_ERROR(CheckFile(arguments.file));
  const bool missing = access(arguments.file.c_str(), F_OK) != 0;
  if (arguments.json) return PrintJson({{"schema", kSchema}, {"file", arguments.file}, {"missing", missing}});
  return PrintResult(absl::StrCat("OK: ", arguments.file, missing ? " is not there: the defaults hold" : "", "\n"));
}

}  // namespace

void AddConfigVerb(CLI::App& app, VerbRun& run) {
  const auto arguments = std::make_shared<ConfigArguments>();
  CLI::App* verb = app.add_subcommand("config", "The daemon's configuration file");
  verb->require_subcommand(1);

  CLI::App* print = verb->add_subcommand("default", "Print one with every key at its default");
  print->callback([&run] { run = [](const VerbContext&) { return PrintResult(kDefaultConfig); }; });

  CLI::App* check =
      verb->add_subcommand("check", "Say whether the daemon would start with it, and which line is wrong");
  check->add_option("FILE", arguments->file, "the file")->check(IsGiven())->capture_default_str();
  check->add_flag("--json", arguments->json, "on success, one JSON object instead of text");
  check->callback([arguments, &run] { run = [arguments](const VerbContext&) { return Check(*arguments); }; });
}

}  // namespace sluice
