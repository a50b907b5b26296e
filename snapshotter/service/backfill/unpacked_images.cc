#include "snapshotter/service/backfill/unpacked_images.h"

#include <map>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "base/status_macros.h"
#include "snapshotter/containerd_labels.h"

namespace sluice {
namespace {

// The indexes that list each manifest.
std::map<std::string, std::vector<Digest>> IndexesByManifest(const std::vector<ContentInfo>& contents) {
  std::map<std::string, std::vector<Digest>> indexes;
  for (const ContentInfo& content : contents) {
    for (const auto& [label, value] : content.labels) {
      if (absl::StartsWith(label, kManifestReferencePrefix)) indexes[value].push_back(content.digest);
    }
  }
  return indexes;
}

std::vector<std::string> NamesOf(const UnpackedImage& image, const std::vector<ImageRecord>& records) {
  std::vector<std::string> names;
  for (const ImageRecord& record : records) {
    if (record.target == image.manifest || absl::c_linear_search(image.indexes, record.target)) {
      names.push_back(record.name);
    }
  }
  return names;
}

}  // namespace

absl::StatusOr<UnpackedImages> ListUnpackedImages(ContentStoreClient& store, const std::string& containerd_namespace,
                                                  const std::string& snapshotter, absl::Time deadline) {
  UnpackedImages found;
  found.containerd_namespace = containerd_namespace;
  ASSIGN_OR_RETURN(const auto tops, store.ListUnpacked(containerd_namespace, snapshotter, deadline));
  if (tops.empty()) return found;
  ASSIGN_OR_RETURN(const std::vector<ContentInfo> contents, store.ListManifests(containerd_namespace, deadline));
  ASSIGN_OR_RETURN(found.records, store.ListImages(containerd_namespace, deadline));

  const std::map<std::string, std::vector<Digest>> indexes = IndexesByManifest(contents);
  for (const ContentInfo& content : contents) {
    const auto label = content.labels.find(kConfigReferenceLabel);
    if (label == content.labels.end()) continue;
    const absl::StatusOr<Digest> config = Digest::Parse(label->second);
    const auto top = config.ok() ? tops.find(*config) : tops.end();
    if (top == tops.end()) continue;
    UnpackedImage image;
    image.manifest = content.digest;
    image.created_at = content.created_at;
    image.config = *config;
    image.top_chain_id = top->second;
    if (const auto listed = indexes.find(content.digest.ToString()); listed != indexes.end()) {
      image.indexes = listed->second;
    }
    image.names = NamesOf(image, found.records);
    if (!image.names.empty()) found.images.push_back(std::move(image));
  }
  return found;
}

}  // namespace sluice
