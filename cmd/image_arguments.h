// The arguments by which a verb is told an image and where to look for it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/statusor.h"
#include "cmd/config.h"
#include "cmd/verb.h"
#include "registry/image_source.h"

namespace sluice {

struct ImageArguments {
  std::string reference;
  std::string layout;  // "" when not given, as all of these
  std::string platform;
  std::string config;
  std::string hosts_dir;
  std::vector<std::string> local_registries;
  std::vector<std::string> plain_http_credentials;
  std::string cache;
  bool no_cache = false;
  bool offline = false;
  bool needs_cache = false;  // set by the verb: also for a local registry, and it is an error if it can't be used
};

// Declares REF and the options that say where it is looked for; `arguments` is borrowed and outlives the parsing.
void AddImageArguments(CLI::App& verb, ImageArguments& arguments);

// The configuration that holds for these arguments: --config, else the daemon's if it is there and may be read (an
// ordinary user needs none), with what the arguments add. Errors: as LoadConfig.
absl::StatusOr<Config> LoadSettings(const ImageArguments& arguments);

// An image and where its layers are read.
struct OpenedImage {
  std::shared_ptr<const ImageSource> source;
  ResolvedImage image;
};

// With --layout that directory answers alone and no registry is asked; without, the stores of the configuration, the
// blob cache and the registry are. What may be done without (a cache that can't be used, a hosts.toml that can't be
// read) is a warning.
// Errors: as ImageSource::Resolve; a --layout that is absent, unreadable or no layout is named as such; those of the
// configuration.
absl::StatusOr<OpenedImage> OpenImage(const ImageArguments& arguments, const VerbContext& context);

}  // namespace sluice
