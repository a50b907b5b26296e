// The arguments by which a verb is told an image and where to look for it.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/status/statusor.h"
#include "base/cancellation.h"
#include "registry/image_source.h"

namespace sluice {

struct ImageArguments {
  std::string reference;
  std::string layout;    // "" when not given
  std::string platform;  // "" when not given
};

// Declares REF, --layout and --platform; `arguments` is borrowed and outlives the parsing.
void AddImageArguments(CLI::App& verb, ImageArguments& arguments);

// An image and where its layers are read.
struct OpenedImage {
  std::shared_ptr<const ImageSource> source;
  ResolvedImage image;
};

// With --layout that directory answers alone and no registry is asked; without, the registry is.
// Errors: as ImageSource::Resolve; a --layout that is absent, unreadable or no layout is named as such.
absl::StatusOr<OpenedImage> OpenImage(const ImageArguments& arguments, const Cancellation& cancellation);

}  // namespace sluice
