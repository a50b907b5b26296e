#include "cmd/image_arguments.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/errno_status.h"
#include "base/status_macros.h"
#include "cmd/check.h"
#include "cmd/config.h"
#include "cmd/configured_stores.h"
#include "cmd/image_cache.h"
#include "cmd/registry_access.h"
#include "registry/client/registry_client.h"
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

// "3 hours ago"; "at a time that nobody noted".
std::string DescribeAge(absl::Time time) {
  if (time == absl::InfinitePast()) return "at a time that nobody noted";
  const absl::Duration age = absl::Now() - time;
  if (age >= absl::Hours(48)) return absl::StrCat(absl::ToInt64Hours(age) / 24, " days ago");
  if (age >= absl::Hours(2)) return absl::StrCat(absl::ToInt64Hours(age), " hours ago");
  if (age >= absl::Minutes(2)) return absl::StrCat(absl::ToInt64Minutes(age), " minutes ago");
  return "just now";
}

absl::StatusOr<ImageSource> OpenLayout(const std::string& path) {
  RETURN_IF_ERROR(CheckLayout(path));
  std::vector<std::shared_ptr<const Store>> stores;
  stores.push_back(MakeOciLayoutStore(path, path, {}, /*owns_all=*/true));
  return ImageSource(std::move(stores), nullptr);
}

absl::StatusOr<ImageSource> OpenSource(const ImageArguments& arguments, const Reference& reference,
                                       const VerbContext& context) {
  if (!arguments.layout.empty()) return OpenLayout(arguments.layout);
  ASSIGN_OR_RETURN(const Config config, LoadSettings(arguments));
  ASSIGN_OR_RETURN(RegistryAccess access, AccessFor(config));
  access.on_ignored_hosts = [&messages = context.messages](const absl::Status& ignored) {
    messages.Warning(absl::StrCat("not used: ", ignored.message()));
  };
  ImageCaching caching;
  caching.locality = access.locality;
  caching.offline = arguments.offline;
  // What a local registry has is not kept.
  const bool local = access.locality.Classify(reference.host) == Locality::kLocal;
  if (arguments.needs_cache || (!arguments.no_cache && !local)) {
    absl::StatusOr<std::unique_ptr<BlobCache>> cache = OpenCache(arguments.cache, config);
    // Whoever names a cache wants it; nobody else needs it.
    const bool wanted = arguments.needs_cache || !arguments.cache.empty();
    if (!cache.ok() && wanted) return cache.status();
    if (!cache.ok()) context.messages.Warning(absl::StrCat("without a cache: ", cache.status().message()));
    if (cache.ok()) caching.cache = *std::move(cache);
  }
  return ImageSource(MakeStores(config.stores), MakeRegistryClient(access), std::move(caching));
}

}  // namespace

void AddImageArguments(CLI::App& verb, ImageArguments& arguments) {
  verb.add_option("REF", arguments.reference, "the image, such as 172.30.0.1:5000/app:1 or debian@sha256:...")
      ->required()
      ->check(IsReference());
  CLI::Option* const layout =
      verb.add_option("--layout", arguments.layout,
                      "look for it in this OCI layout directory and nowhere else; no registry is asked")
          ->type_name("PATH")
          ->check(IsGiven());
  verb.add_option("--platform", arguments.platform,
                  "os/architecture[/variant] to choose; the default is this machine's")
      ->type_name("PLATFORM")
      ->check(IsPlatform());
  verb.add_option("--config", arguments.config,
                  "the daemon's configuration, for its stores and registries; by default its own, if there is one")
      ->type_name("FILE")
      ->check(IsGiven())
      ->excludes(layout);
  verb.add_option("--hosts-dir", arguments.hosts_dir, "containerd's directory of hosts.toml files")
      ->type_name("DIR")
      ->check(IsGiven())
      ->excludes(layout);
  verb.add_option("--local-registry", arguments.local_registries,
                  "host, host:port, *.suffix or network that is local, beside private addresses; may be repeated")
      ->type_name("HOST")
      ->check(IsGiven())
      ->excludes(layout);
  verb.add_option("--plain-http-credentials", arguments.plain_http_credentials,
                  "host to which a password may go over plain http; may be repeated")
      ->type_name("HOST")
      ->check(IsGiven())
      ->excludes(layout);
  CLI::Option* const cache =
      verb.add_option(
              "--cache", arguments.cache,
              "directory where blobs of remote registries are kept; by default root's is the daemon's, a user's is "
              "below XDG_CACHE_HOME")
          ->type_name("DIR")
          ->check(IsGiven())
          ->excludes(layout);
  verb.add_flag("--no-cache", arguments.no_cache, "keep nothing, and use nothing that was kept")
      ->excludes(layout)
      ->excludes(cache);
  verb.add_flag("--offline", arguments.offline,
                "ask no registry; a tag is what it was when its image was last kept in the cache")
      ->excludes(layout);
}

absl::StatusOr<Config> LoadSettings(const ImageArguments& arguments) {
  const bool is_default = arguments.config.empty();
  absl::StatusOr<Config> config = LoadConfig(is_default ? kDefaultConfigPath : arguments.config);
  if (is_default && absl::IsPermissionDenied(config.status())) config = Config{};
  RETURN_IF_ERROR(config.status());
  if (!arguments.hosts_dir.empty()) config->registry.hosts_dir = arguments.hosts_dir;
  const auto append = [](std::vector<std::string>& to, const std::vector<std::string>& from) {
    to.insert(to.end(), from.begin(), from.end());
  };
  append(config->registry.local_registries, arguments.local_registries);
  append(config->registry.plain_http_credentials, arguments.plain_http_credentials);
  return config;
}

absl::StatusOr<OpenedImage> OpenImage(const ImageArguments& arguments, const VerbContext& context) {
  ASSIGN_OR_RETURN(const Reference reference, ParseReference(arguments.reference));
  std::optional<Platform> platform;
  if (!arguments.platform.empty()) {
    ASSIGN_OR_RETURN(platform, ParsePlatform(arguments.platform));
  }
  ASSIGN_OR_RETURN(ImageSource source, OpenSource(arguments, reference, context));
  OpenedImage opened;
  opened.source = std::make_shared<ImageSource>(std::move(source));
  ASSIGN_OR_RETURN(opened.image, opened.source->Resolve(reference, platform, &context.cancellation));
  if (opened.image.named_at.has_value()) {
    context.messages.Warning(
        absl::StrCat("offline: ", reference.ToString(), " is what it was ", DescribeAge(*opened.image.named_at)));
  }
  return opened;
}

}  // namespace sluice
