#include "snapshotter/fill/image_origin.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "registry/host_port.h"
#include "snapshotter/containerd_labels.h"

namespace sluice {
namespace {

// Bounds what a label with thousands of repositories can make us try.
constexpr size_t kMaxEndpoints = 16;
constexpr size_t kMaxServed = 256;
constexpr size_t kMaxHostsDirEntries = 4096;

// The host as it stands in a reference: an IPv6 literal gets its brackets back.
std::string HostInReference(absl::string_view bare) {
  return absl::StrContains(bare, ':') ? absl::StrCat("[", bare, "]") : std::string(bare);
}

struct Source {
  std::string bare_host;
  std::string repository;
};

std::vector<Source> SourcesFromLabels(const std::map<std::string, std::string>& labels) {
  std::vector<Source> sources;
  for (auto label = labels.lower_bound(std::string(kDistributionSourcePrefix)); label != labels.end(); ++label) {
    absl::string_view host = label->first;
    if (!absl::ConsumePrefix(&host, kDistributionSourcePrefix)) break;
    for (absl::string_view repository : absl::StrSplit(label->second, ',', absl::SkipEmpty())) {
      sources.push_back({std::string(host), std::string(repository)});
    }
  }
  return sources;
}

bool NamesPort(const std::string& host) { return !SplitHostPort(host).port.empty(); }

// "host_5000_" is how containerd writes host:5000 where a colon is no good. "" for what names no host.
std::string HostFromDirectory(absl::string_view name) {
  std::string host(name);
  if (absl::ConsumeSuffix(&name, "_")) {
    const size_t separator = name.rfind('_');
    if (separator == 0 || separator == name.npos) return "";
    host = absl::StrCat(name.substr(0, separator), ":", name.substr(separator + 1));
    if (!NamesPort(host)) return "";
  }
  return absl::StartsWith(host, "_") || absl::StartsWith(host, ".") ? "" : host;
}

std::vector<std::string> HostsInDirectory(const std::string& directory) {
  std::vector<std::string> hosts;
  if (directory.empty()) return hosts;
  std::error_code error;
  // Made and unmade while we look, or not there at all: then it names nobody.
  for (std::filesystem::directory_iterator entry(directory, error), end; !error && entry != end;
       entry.increment(error)) {
    std::string host = HostFromDirectory(entry->path().filename().string());
    if (!host.empty()) hosts.push_back(std::move(host));
    if (hosts.size() == kMaxHostsDirEntries) break;
  }
  std::sort(hosts.begin(), hosts.end());
  return hosts;
}

}  // namespace

std::string HostWithoutPort(absl::string_view host) {
  if (absl::ConsumePrefix(&host, "[")) return std::string(host.substr(0, host.find(']')));
  if (std::count(host.begin(), host.end(), ':') > 1) return std::string(host);  // IPv6 without brackets
  return std::string(host.substr(0, host.find(':')));
}

std::string MendForUnknownPort(absl::Span<const Endpoint> endpoints, const LocalityRules& locality) {
  const bool all_guessed =
      !endpoints.empty() && absl::c_all_of(endpoints, [](const Endpoint& endpoint) { return endpoint.port_is_guess; });
  if (!all_guessed) return "";
  const std::string& host = endpoints[0].host;
  if (locality.Classify(host) == Locality::kLocal) {
    return absl::StrCat("the port of registry ", host,
                        " is not known: name it with its port in registry.local_registries");
  }
  if (host == "docker.io") return "";
  return absl::StrCat("if ", host, " listens on another port than 443, make the directory ", host,
                      ":PORT in registry.hosts_dir");
}

// One call of Find().
class OriginFinder::Search {
 public:
  Search(const OriginOptions& options, std::vector<Endpoint> served, absl::Span<const Digest> targets,
         const std::map<std::string, std::string>& source_labels)
      : options_(options), served_(std::move(served)), targets_(targets), sources_(SourcesFromLabels(source_labels)) {}

  ImageOrigin Run(absl::Span<const ImageRecord> images, const LayerHints& hints) {
    if (hints.image.has_value() && IsFromSource(*hints.image)) {
      origin_.image = hints.image->ToString();
      Add(hints.image->host, hints.image->repository);
    }
    AddNamed(images);
    for (const Endpoint& endpoint : served_) {
      if (IsFromSource(endpoint.host, endpoint.repository)) Add(endpoint.host, endpoint.repository);
    }
    AddKnownHosts();
    for (const Source& source : sources_) {
      Add(HostInReference(source.bare_host), source.repository, /*port_is_guess=*/true);
    }
    FindLocality();
    if (origin_.image.empty() && !sources_.empty() && !targets_.empty()) {
      origin_.image = absl::StrCat(HostInReference(sources_[0].bare_host), "/", sources_[0].repository, "@",
                                   targets_[0].ToString());
    }
    return std::move(origin_);
  }

 private:
  void Add(const std::string& host, const std::string& repository, bool port_is_guess = false) {
    std::vector<Endpoint>& endpoints = origin_.endpoints;
    const bool known = absl::c_any_of(endpoints, [&](const Endpoint& endpoint) {
      return endpoint.host == host && endpoint.repository == repository;
    });
    if (!known && endpoints.size() < kMaxEndpoints) endpoints.push_back({host, repository, port_is_guess});
  }

  bool IsFromSource(const std::string& host, const std::string& repository) const {
    const std::string bare = HostWithoutPort(host);
    return absl::c_any_of(
        sources_, [&](const Source& source) { return source.repository == repository && source.bare_host == bare; });
  }
  bool IsFromSource(const Reference& reference) const { return IsFromSource(reference.host, reference.repository); }

  // The image itself by its names, then others of its repository. Notes the hosts of all on the way.
  void AddNamed(absl::Span<const ImageRecord> images) {
    std::vector<Endpoint> same_repository;
    for (const ImageRecord& image : images) {
      const bool is_target = absl::c_linear_search(targets_, image.target);
      if (!is_target && !IsOfSourceHost(image.name)) continue;
      const absl::StatusOr<Reference> reference = ParseReference(image.name);
      if (!reference.ok()) continue;
      if (is_target) {
        if (origin_.image.empty()) origin_.image = image.name;
        Add(reference->host, reference->repository);
      } else if (IsFromSource(*reference)) {
        same_repository.push_back({reference->host, reference->repository});
      }
      if (!absl::c_linear_search(named_hosts_, reference->host)) named_hosts_.push_back(reference->host);
    }
    for (const Endpoint& endpoint : same_repository) Add(endpoint.host, endpoint.repository);
  }

  // Thousands of images are of other registries: their names need no parsing.
  bool IsOfSourceHost(absl::string_view name) const {
    absl::ConsumePrefix(&name, "[");
    return absl::c_any_of(sources_, [&](const Source& source) { return absl::StartsWith(name, source.bare_host); });
  }

  void AddKnownHosts() {
    std::vector<std::string> hosts;
    for (const Endpoint& endpoint : served_) hosts.push_back(endpoint.host);
    absl::c_copy_if(options_.known_hosts, std::back_inserter(hosts), NamesPort);
    absl::c_move(HostsInDirectory(options_.hosts_dir), std::back_inserter(hosts));
    absl::c_copy(named_hosts_, std::back_inserter(hosts));
    for (const Source& source : sources_) {
      for (const std::string& host : hosts) {
        if (HostWithoutPort(host) == source.bare_host) Add(host, source.repository);
      }
    }
  }

  // One manifest can have come from several registries; the nearest one counts.
  void FindLocality() {
    for (const Endpoint& endpoint : origin_.endpoints) {
      const Locality locality = options_.locality.Classify(endpoint.host);
      if (locality == Locality::kLocal) origin_.locality = Locality::kLocal;
      if (origin_.locality == Locality::kUnknown) origin_.locality = locality;
    }
  }

  const OriginOptions& options_;
  const std::vector<Endpoint> served_;
  const absl::Span<const Digest> targets_;
  const std::vector<Source> sources_;
  std::vector<std::string> named_hosts_;
  ImageOrigin origin_;
};

ImageOrigin OriginFinder::Find(absl::Span<const Digest> targets,
                               const std::map<std::string, std::string>& source_labels,
                               absl::Span<const ImageRecord> images, const LayerHints& hints) {
  return Search(options_, Served(), targets, source_labels).Run(images, hints);
}

std::vector<Endpoint> OriginFinder::Served() {
  MutexLock lock(mutex_);
  return served_;
}

void OriginFinder::NoteServed(const Endpoint& endpoint) {
  const Endpoint known = {.host = endpoint.host, .repository = endpoint.repository};
  MutexLock lock(mutex_);
  std::erase(served_, known);
  served_.insert(served_.begin(), known);
  if (served_.size() > kMaxServed) served_.pop_back();
}

}  // namespace sluice
