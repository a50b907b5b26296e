// A resolver over a containerd whose answers and faults a test chooses.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "registry/image_config.h"
#include "snapshotter/fill/resolver.h"

namespace sluice {

inline constexpr char kLayerType[] = "application/vnd.oci.image.layer.v1.tar+gzip";

inline Digest DiffId(int i) { return Digest::Of(absl::StrCat("tar ", i)); }
inline Digest BlobOf(int i, const std::string& compression = "gzip") {
  return Digest::Of(absl::StrCat("blob ", i, compression));
}

// What is in one namespace.
struct Contents {
  std::vector<ContentInfo> manifests;
  std::vector<ImageRecord> images;
  std::vector<Digest> leased;
};

// containerd's content store with what a pull puts into it, and a count of what was asked. Its namespace is "default",
// `other` that of "k8s.io". Thread-safe while nothing is added.
class ContainerdDouble : public ContentStore, public Contents {
 public:
  struct Image {
    Digest config;
    Digest manifest;
  };

  // An image of the layers `layers`; the newest so far. `salt` makes the config another one.
  Image Add(const std::vector<int>& layers, const std::string& salt = "", const std::string& compression = "gzip",
            const char* layer_type = kLayerType) {
    nlohmann::json config = {
        {"architecture", "amd64"}, {"os", "linux"}, {"author", salt}, {"config", nlohmann::json::object()}};
    config["rootfs"] = {{"type", "layers"}, {"diff_ids", nlohmann::json::array()}};
    nlohmann::json manifest = {{"schemaVersion", 2}, {"mediaType", "application/vnd.oci.image.manifest.v1+json"}};
    manifest["layers"] = nlohmann::json::array();
    for (int layer : layers) {
      config["rootfs"]["diff_ids"].push_back(DiffId(layer).ToString());
      manifest["layers"].push_back(
          {{"mediaType", layer_type}, {"digest", BlobOf(layer, compression).ToString()}, {"size", 100 + layer}});
    }
    Image image;
    image.config = Put(config.dump());
    manifest["config"] = {{"mediaType", "application/vnd.oci.image.config.v1+json"},
                          {"digest", image.config.ToString()},
                          {"size", config.dump().size()}};
    image.manifest = Put(manifest.dump());
    ContentInfo info;
    info.digest = image.manifest;
    info.labels = {{"containerd.io/gc.ref.content.config", image.config.ToString()},
                   {"containerd.io/distribution.source.172.30.0.1", "app"}};
    manifests.insert(manifests.begin(), info);
    return image;
  }

  Digest Put(const std::string& document) {
    const Digest digest = Digest::Of(document);
    documents[digest] = document;
    return digest;
  }

  absl::StatusOr<std::vector<ContentInfo>> ListManifests(const std::string& containerd_namespace, absl::Time) override {
    ++lists;
    if (!failure.ok()) return failure;
    return In(containerd_namespace).manifests;
  }

  absl::StatusOr<std::vector<Digest>> ListLeased(const std::string& containerd_namespace, absl::Time) override {
    ++lease_lists;
    if (!lease_failure.ok()) return lease_failure;
    return In(containerd_namespace).leased;
  }

  absl::StatusOr<ContentInfo> Stat(const std::string& containerd_namespace, const Digest& digest, absl::Time) override {
    ++stats;
    if (!stat_failure.ok()) return stat_failure;
    for (const ContentInfo& manifest : In(containerd_namespace).manifests) {
      if (manifest.digest != digest) continue;
      ContentInfo content = manifest;
      auto touched = updated.find(digest);
      content.updated_at = touched == updated.end() ? absl::UnixEpoch() : touched->second;
      return content;
    }
    return absl::NotFoundError("containerd: stat: not found");
  }

  absl::StatusOr<std::string> ReadDocument(const std::string&, const Digest& digest, int64_t max_bytes,
                                           absl::Time) override {
    auto document = documents.find(digest);
    const bool is_config = document != documents.end() && absl::StrContains(document->second, "rootfs");
    if (is_config && answers_left-- <= 0) return slow;
    ++reads;
    if (document == documents.end()) return absl::NotFoundError("containerd: read: not found");
    if (static_cast<int64_t>(document->second.size()) > max_bytes) {
      return absl::ResourceExhaustedError("containerd: read: larger than it may be");
    }
    return document->second;
  }

  bool HasBlob(const std::string&, const Digest&, std::optional<int64_t>, absl::Time) override { return false; }
  absl::StatusOr<std::unique_ptr<ByteReader>> OpenBlob(const std::string&, const Digest&,
                                                       const Cancellation*) override {
    return absl::NotFoundError("no blobs here");
  }

  absl::StatusOr<std::vector<ImageRecord>> ListImages(const std::string& containerd_namespace, absl::Time) override {
    if (!image_failure.ok()) return image_failure;
    return In(containerd_namespace).images;
  }

  const Contents& In(const std::string& containerd_namespace) const {
    return containerd_namespace == "default" ? *this : other;
  }

  Contents other;
  std::map<Digest, std::string> documents;
  std::map<Digest, absl::Time> updated;
  absl::Status failure;
  absl::Status lease_failure;
  absl::Status image_failure;
  absl::Status stat_failure;
  // After so many configs the others fail with `slow`.
  std::atomic<int> answers_left{1'000'000};
  absl::Status slow = absl::DeadlineExceededError("containerd: read: Deadline Exceeded");
  std::atomic<int> lists{0};
  std::atomic<int> lease_lists{0};
  std::atomic<int> stats{0};
  std::atomic<int> reads{0};
};

class ResolverTest : public ::testing::Test {
 protected:
  static LayerRequest Wanting(const std::vector<int>& chain) {
    std::vector<Digest> diff_ids;
    for (int layer : chain) diff_ids.push_back(DiffId(layer));
    const std::vector<Digest> chain_ids = ChainIds(diff_ids);
    LayerRequest request;
    request.containerd_namespace = "default";
    request.ref = chain_ids.back();
    request.has_parent = chain.size() > 1;
    if (request.has_parent) request.parent_chain_id = chain_ids[chain.size() - 2];
    return request;
  }

  ContainerdDouble containerd_;
  absl::Time now_ = absl::FromUnixSeconds(1'000'000);
  Resolver resolver_{&containerd_, {}, [this] { return now_; }};
};

}  // namespace sluice
