#include <memory>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "cmd/doctor/observe.h"
#include "registry/manifest.h"
#include "registry/platform.h"
#include "snapshotter/containerd_labels.h"
#include "snapshotter/service/containerd/connection.h"
#include "snapshotter/service/containerd/content_store_client.h"
#include "snapshotter/service/containerd/namespace_client.h"

namespace sluice {
namespace {

// For all images together: a node may have thousands.
constexpr absl::Duration kLookLimit = absl::Seconds(10);

// One namespace's view of the content store.
class Content {
 public:
  Content(const std::shared_ptr<grpc::Channel>& channel, std::string containerd_namespace, absl::Time deadline)
      : client_(channel), namespace_(std::move(containerd_namespace)), deadline_(deadline) {}

  absl::StatusOr<std::vector<ImageRecord>> Images() { return client_.ListImages(namespace_, deadline_); }

  // What is missing of it; NotFound if the manifest itself is not here.
  absl::StatusOr<HollowImage> Inspect(const ImageRecord& image) {
    ASSIGN_OR_RETURN(const Manifest manifest, ManifestOf(image.target));
    HollowImage hollow;
    hollow.containerd_namespace = namespace_;
    hollow.name = image.name;
    for (const Descriptor& layer : manifest.layers) {
      // Not HasBlob(), which does not tell "missing" from "no answer".
      const absl::Status found = client_.Stat(namespace_, layer.digest, deadline_).status();
      if (!found.ok() && !absl::IsNotFound(found)) return found;
      hollow.missing_layers += found.ok() ? 0 : 1;
    }
    ASSIGN_OR_RETURN(const ContentInfo config, client_.Stat(namespace_, manifest.config.digest, deadline_));
    for (const auto& [label, value] : config.labels) {
      absl::string_view snapshotter = label;
      if (absl::ConsumePrefix(&snapshotter, kSnapshotReferencePrefix)) {
        hollow.snapshotters.insert(std::string(snapshotter.substr(0, snapshotter.find('/'))));
      }
    }
    return hollow;
  }

 private:
  // Of this machine's platform, if `target` is an index.
  absl::StatusOr<Manifest> ManifestOf(const Digest& target) {
    ASSIGN_OR_RETURN(const std::string text, client_.ReadDocument(namespace_, target, kMaxManifestBytes, deadline_));
    ASSIGN_OR_RETURN(const auto document, ParseManifestOrIndex(text));
    if (std::holds_alternative<Manifest>(document)) return std::get<Manifest>(document);
    ASSIGN_OR_RETURN(const Descriptor chosen, SelectPlatform(std::get<Index>(document), HostPlatform()));
    ASSIGN_OR_RETURN(const std::string inner,
                     client_.ReadDocument(namespace_, chosen.digest, kMaxManifestBytes, deadline_));
    ASSIGN_OR_RETURN(const auto manifest, ParseManifestOrIndex(inner));
    if (std::holds_alternative<Manifest>(manifest)) return std::get<Manifest>(manifest);
    return absl::InvalidArgumentError("an index in an index");
  }

  ContentStoreClient client_;
  const std::string namespace_;
  const absl::Time deadline_;
};

}  // namespace

// An image that can't be looked at (another platform's, removed meanwhile) is not one that is trapped.
void ObserveImages(NodeFacts& facts) {
  if (!facts.containerd.answers.ok()) return;
  const absl::Time deadline = absl::Now() + kLookLimit;
  const std::shared_ptr<grpc::Channel> channel = OpenContainerdChannel(facts.containerd.address);
  for (const std::string& one : ListNamespaces(channel, deadline).value_or(std::vector<std::string>())) {
    Content content(channel, one, deadline);
    for (const ImageRecord& image : content.Images().value_or(std::vector<ImageRecord>())) {
      absl::StatusOr<HollowImage> hollow = content.Inspect(image);
      if (hollow.ok() && hollow->missing_layers > 0) facts.hollow_images.push_back(*std::move(hollow));
    }
  }
}

}  // namespace sluice
