#include "snapshotter/fill/image_origin.h"

#include <algorithm>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace sluice {
namespace {

constexpr absl::string_view kSourcePrefix = "containerd.io/distribution.source.";
// Bounds what a label with thousands of repositories can make us try.
constexpr size_t kMaxEndpoints = 16;

// The host as it stands in a reference: an IPv6 literal gets its brackets back.
std::string HostInReference(absl::string_view bare) {
  return absl::StrContains(bare, ':') ? absl::StrCat("[", bare, "]") : std::string(bare);
}

void AddEndpoint(std::vector<Endpoint>& endpoints, std::string host, const std::string& repository) {
  const Endpoint endpoint{std::move(host), repository};
  if (endpoints.size() < kMaxEndpoints && !absl::c_linear_search(endpoints, endpoint)) endpoints.push_back(endpoint);
}

struct Source {
  std::string bare_host;
  std::string repository;
};

std::vector<Source> SourcesFromLabels(const std::map<std::string, std::string>& labels) {
  std::vector<Source> sources;
  for (auto label = labels.lower_bound(std::string(kSourcePrefix)); label != labels.end(); ++label) {
    absl::string_view host = label->first;
    if (!absl::ConsumePrefix(&host, kSourcePrefix)) break;
    for (absl::string_view repository : absl::StrSplit(label->second, ',', absl::SkipEmpty())) {
      sources.push_back({std::string(host), std::string(repository)});
    }
  }
  return sources;
}

bool IsFrom(const Reference& reference, const std::vector<Source>& sources) {
  const std::string bare = HostWithoutPort(reference.host);
  return absl::c_any_of(sources, [&](const Source& source) {
    return source.bare_host == bare && source.repository == reference.repository;
  });
}

}  // namespace

std::string HostWithoutPort(absl::string_view host) {
  if (absl::ConsumePrefix(&host, "[")) return std::string(host.substr(0, host.find(']')));
  if (std::count(host.begin(), host.end(), ':') > 1) return std::string(host);  // IPv6 without brackets
  return std::string(host.substr(0, host.find(':')));
}

OriginFinder::OriginFinder(const LocalityRules& rules, std::vector<std::string> known_hosts)
    : rules_(rules), known_hosts_(std::move(known_hosts)) {}

ImageOrigin OriginFinder::Find(absl::Span<const Digest> targets,
                               const std::map<std::string, std::string>& source_labels,
                               absl::Span<const ImageRecord> images, const LayerHints& hints) const {
  ImageOrigin origin;
  const std::vector<Source> sources = SourcesFromLabels(source_labels);

  if (hints.image.has_value() && IsFrom(*hints.image, sources)) {
    origin.image = hints.image->ToString();
    AddEndpoint(origin.endpoints, hints.image->host, hints.image->repository);
  }

  std::vector<std::string> hosts_with_port = known_hosts_;
  for (const ImageRecord& image : images) {
    const absl::StatusOr<Reference> reference = ParseReference(image.name);
    if (!reference.ok()) continue;
    hosts_with_port.push_back(reference->host);
    if (!absl::c_linear_search(targets, image.target)) continue;
    if (origin.image.empty()) origin.image = image.name;
    AddEndpoint(origin.endpoints, reference->host, reference->repository);
  }

  for (const Source& source : sources) {
    for (const std::string& host : hosts_with_port) {
      if (HostWithoutPort(host) == source.bare_host) AddEndpoint(origin.endpoints, host, source.repository);
    }
    AddEndpoint(origin.endpoints, HostInReference(source.bare_host), source.repository);
  }

  // One manifest can have come from several registries; the nearest one counts.
  for (const Endpoint& endpoint : origin.endpoints) {
    const Locality locality = rules_.Classify(endpoint.host);
    if (locality == Locality::kLocal) origin.locality = Locality::kLocal;
    if (origin.locality == Locality::kUnknown) origin.locality = locality;
  }
  if (origin.image.empty() && !sources.empty() && !targets.empty()) {
    origin.image =
        absl::StrCat(HostInReference(sources[0].bare_host), "/", sources[0].repository, "@", targets[0].ToString());
  }
  return origin;
}

}  // namespace sluice
