#include "cmd/image_arguments.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/errno_status.h"
#include "base/status_macros.h"
#include "cmd/check.h"
#include "registry/client/registry_client.h"
#include "registry/locality.h"
#include "registry/platform.h"
#include "registry/reference.h"
#include "registry/store/store.h"

namespace sluice {
namespace {

// To a store a missing directory is a miss; to somebody who has just typed its name it is the error.
absl::Status CheckLayout(const std::string& path) {
  struct stat attributes = {};
  if (stat(path.c_str(), &attributes) != 0) return Annotate(ErrnoStatus(errno, "stat", path), "layout");
  if (!S_ISDIR(attributes.st_mode)) {
    return absl::FailedPreconditionError(absl::StrCat("layout: ", path, ": not a directory"));
  }
  if (access(path.c_str(), R_OK | X_OK) != 0) return Annotate(ErrnoStatus(errno, "access", path), "layout");
  // By digest a layout can be read without its index.
  for (const char* name : {"/index.json", "/blobs"}) {
    const std::string member = path + name;
    if (lstat(member.c_str(), &attributes) != 0) continue;
    if (access(member.c_str(), R_OK) != 0) return Annotate(ErrnoStatus(errno, "access", member), "layout");
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(
      absl::StrCat("layout: ", path, ": not an OCI layout: it has neither index.json nor blobs"));
}

}  // namespace

void AddImageArguments(CLI::App& verb, ImageArguments& arguments) {
  verb.add_option("REF", arguments.reference, "the image, such as 172.30.0.1:5000/app:1 or debian@sha256:...")
      ->required()
      ->check(IsReference());
  verb.add_option("--layout", arguments.layout,
                  "look for it in this OCI layout directory and nowhere else; no registry is asked")
      ->type_name("PATH");
  verb.add_option("--platform", arguments.platform,
                  "os/architecture[/variant] to choose; the default is this machine's")
      ->type_name("PLATFORM")
      ->check(IsPlatform());
}

absl::StatusOr<OpenedImage> OpenImage(const ImageArguments& arguments, const Cancellation& cancellation) {
  ASSIGN_OR_RETURN(const Reference reference, ParseReference(arguments.reference));
  std::optional<Platform> platform;
  if (!arguments.platform.empty()) {
    ASSIGN_OR_RETURN(platform, ParsePlatform(arguments.platform));
  }
  std::vector<std::shared_ptr<const Store>> stores;
  std::shared_ptr<const RegistryClient> client;
  if (arguments.layout.empty()) {
    ASSIGN_OR_RETURN(LocalityRules rules, LocalityRules::Create({}));
    client = std::make_shared<RegistryClient>(std::move(rules));
  } else {
    RETURN_IF_ERROR(CheckLayout(arguments.layout));
    stores.push_back(MakeOciLayoutStore(arguments.layout, arguments.layout, {}, /*owns_all=*/true));
  }
  OpenedImage opened;
  opened.source = std::make_shared<ImageSource>(std::move(stores), std::move(client));
  ASSIGN_OR_RETURN(opened.image, opened.source->Resolve(reference, platform, &cancellation));
  return opened;
}

}  // namespace sluice
