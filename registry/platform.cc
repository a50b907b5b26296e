#include "registry/platform.h"

#include <sys/utsname.h>

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace sluice {
namespace {

// The number in "v8"; 0 when there is none.
int VariantNumber(absl::string_view variant) {
  int number = 0;
  if (!absl::SimpleAtoi(absl::StripPrefix(variant, "v"), &number)) return 0;
  return number;
}

// containerd platforms/database.go: one spelling for each architecture.
void NormalizeArchitecture(Platform& platform) {
  std::string& architecture = platform.architecture;
  std::string& variant = platform.variant;
  absl::AsciiStrToLower(&architecture);
  absl::AsciiStrToLower(&variant);
  if (architecture == "i386") {
    architecture = "386";
    variant.clear();
  } else if (architecture == "x86_64" || architecture == "x86-64" || architecture == "amd64") {
    architecture = "amd64";
    if (variant == "v1") variant.clear();
  } else if (architecture == "aarch64" || architecture == "arm64") {
    architecture = "arm64";
    if (variant == "8" || variant == "v8") variant.clear();
  } else if (architecture == "armhf") {
    architecture = "arm";
    variant = "v7";
  } else if (architecture == "armel") {
    architecture = "arm";
    variant = "v6";
  } else if (architecture == "arm") {
    if (variant.empty()) variant = "v7";
    if (variant.size() == 1 && variant >= "5" && variant <= "8") variant.insert(0, "v");
  }
}

bool IsComponent(absl::string_view text) {
  return !text.empty() && text.size() <= 64 && std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-' || c == '.';
  });
}

// What runs on `wanted`, best first (containerd platforms/compare.go, platformVector); os and features left out.
std::vector<Platform> Runnable(const Platform& wanted) {
  const auto make = [](absl::string_view architecture, absl::string_view variant) {
    Platform platform;
    platform.architecture = std::string(architecture);
    platform.variant = std::string(variant);
    NormalizeArchitecture(platform);
    return platform;
  };
  std::vector<Platform> runnable = {make(wanted.architecture, wanted.variant)};
  const auto add_below = [&](absl::string_view architecture, int from, int to) {
    for (int number = from; number >= to; --number) runnable.push_back(make(architecture, absl::StrCat("v", number)));
  };
  // Bounded, because the variant may be anybody's number.
  const int number = std::min(VariantNumber(wanted.variant), 64);
  if (wanted.architecture == "amd64") {
    add_below("amd64", number - 1, 1);
    runnable.push_back(make("386", ""));
  } else if (wanted.architecture == "arm") {
    add_below("arm", number - 1, 5);
  } else if (wanted.architecture == "arm64") {
    if (number > 8) runnable.push_back(make("arm64", ""));
    add_below("arm", 8, 5);
  }
  return runnable;
}

}  // namespace

std::string Platform::ToString() const {
  return variant.empty() ? absl::StrCat(os, "/", architecture) : absl::StrCat(os, "/", architecture, "/", variant);
}

Platform NormalizePlatform(Platform platform) {
  absl::AsciiStrToLower(&platform.os);
  if (platform.os == "macos") platform.os = "darwin";
  NormalizeArchitecture(platform);
  return platform;
}

absl::StatusOr<Platform> ParsePlatform(absl::string_view text) {
  const std::vector<absl::string_view> parts = absl::StrSplit(text, '/');
  if (parts.size() < 2 || parts.size() > 3 || !std::all_of(parts.begin(), parts.end(), IsComponent)) {
    return absl::InvalidArgumentError(
        absl::StrCat("platform \"", text.substr(0, 64), "\": not of the form os/architecture[/variant]"));
  }
  Platform platform;
  platform.os = std::string(parts[0]);
  platform.architecture = std::string(parts[1]);
  if (parts.size() == 3) platform.variant = std::string(parts[2]);
  return NormalizePlatform(std::move(platform));
}

Platform HostPlatform() {
  utsname names = {};
  uname(&names);
  Platform platform;
  platform.os = "linux";
  platform.architecture = names.machine;
  // uname's "armv7l": the variant is in the name.
  if (absl::string_view machine = names.machine; absl::ConsumePrefix(&machine, "armv")) {
    platform.architecture = "arm";
    platform.variant = std::string(machine.substr(0, 1));
  }
  if (platform.architecture == "i686") platform.architecture = "386";
  return NormalizePlatform(std::move(platform));
}

int PlatformScore(const Platform& wanted, const Platform& candidate) {
  const Platform want = NormalizePlatform(wanted);
  const Platform have = NormalizePlatform(candidate);
  if (want.os != have.os) return 0;
  if (!want.os_version.empty() && want.os_version != have.os_version) return 0;
  const bool features_met = std::all_of(have.os_features.begin(), have.os_features.end(), [&want](const auto& feature) {
    return std::find(want.os_features.begin(), want.os_features.end(), feature) != want.os_features.end();
  });
  if (!features_met) return 0;
  const std::vector<Platform> runnable = Runnable(want);
  for (size_t i = 0; i < runnable.size(); ++i) {
    if (runnable[i].architecture == have.architecture && runnable[i].variant == have.variant) {
      return static_cast<int>(runnable.size() - i);
    }
  }
  return 0;
}

}  // namespace sluice
