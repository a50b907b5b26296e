#include "tests/testing/pulled_images.h"

#include <atomic>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/mutex.h"
#include "base/status_macros.h"
#include "nlohmann/json.hpp"
#include "registry/descriptor.h"
#include "registry/image_config.h"
#include "snapshotter/service/containerd/content_writer.h"
#include "snapshotter/service/containerd/image_client.h"
#include "snapshotter/service/containerd/lease.h"

namespace sluice::testing {
namespace {

using nlohmann::json;

constexpr char kManifestType[] = "application/vnd.oci.image.manifest.v1+json";
constexpr char kIndexType[] = "application/vnd.oci.image.index.v1+json";
constexpr char kConfigType[] = "application/vnd.oci.image.config.v1+json";
constexpr char kLayerType[] = "application/vnd.oci.image.layer.v1.tar+gzip";
constexpr int kHistoryLines = 20;
constexpr int kThreads = 4;

std::vector<std::string> LayerNames(int number) {
  const std::string base = number < PulledImage::kSharingImages ? "shared" : absl::StrCat("base ", number / 10);
  return {base, absl::StrCat("1 of ", number), absl::StrCat("2 of ", number), absl::StrCat("3 of ", number)};
}

json DescriptorOf(const char* media_type, const std::string& document) {
  return {{"mediaType", media_type}, {"digest", Digest::Of(document).ToString()}, {"size", document.size()}};
}

Descriptor TargetOf(const PulledImage& image) {
  Descriptor target;
  target.media_type = image.index.has_value() ? kIndexType : kManifestType;
  const std::string& document = image.index.value_or(image.manifest);
  target.digest = Digest::Of(document);
  target.size = static_cast<int64_t>(document.size());
  return target;
}

}  // namespace

PulledImage MakePulledImage(int number) {
  PulledImage image;
  image.repository = absl::StrCat("team-", number % 50, "/app-", number);
  image.name = absl::StrCat("172.30.0.1:5000/", image.repository, ":1");

  std::vector<Digest> diff_ids;
  json config = {{"architecture", "amd64"}, {"os", "linux"}, {"author", image.repository}};
  config["config"] = {{"Env", {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}}};
  config["rootfs"] = {{"type", "layers"}, {"diff_ids", json::array()}};
  json layers = json::array();
  for (const std::string& name : LayerNames(number)) {
    diff_ids.push_back(Digest::Of(absl::StrCat("tar ", name)));
    config["rootfs"]["diff_ids"].push_back(diff_ids.back().ToString());
    layers.push_back(
        {{"mediaType", kLayerType}, {"digest", Digest::Of(absl::StrCat("blob ", name)).ToString()}, {"size", 1000}});
  }
  // As long as configs are.
  for (int line = 0; line < kHistoryLines; ++line) {
    config["history"].push_back({{"created", "2024-05-01T00:00:00Z"},
                                 {"created_by", absl::StrCat("RUN /bin/sh -c apt-get install -y package-", line)},
                                 {"empty_layer", line >= 4}});
  }
  image.chain_ids = ChainIds(diff_ids);
  image.config = config.dump();
  const json manifest = {{"schemaVersion", 2},
                         {"mediaType", kManifestType},
                         {"config", DescriptorOf(kConfigType, image.config)},
                         {"layers", layers}};
  image.manifest = manifest.dump();
  if (number % 2 == 1) {
    json entry = DescriptorOf(kManifestType, image.manifest);
    entry["platform"] = {{"architecture", "amd64"}, {"os", "linux"}};
    image.index = json({{"schemaVersion", 2}, {"mediaType", kIndexType}, {"manifests", {entry}}}).dump();
  }
  return image;
}

absl::Status FetchDocuments(ContainerdSession& session, const PulledImage& image) {
  ContentWriter writer(session);
  const ContentLabels source = {{"containerd.io/distribution.source.172.30.0.1", image.repository}};
  if (image.index.has_value()) {
    ContentLabels labels = source;
    labels["containerd.io/gc.ref.content.m.0"] = Digest::Of(image.manifest).ToString();
    RETURN_IF_ERROR(writer.WriteDocument(Digest::Of(*image.index), *image.index, labels));
  }
  ContentLabels labels = source;
  labels["containerd.io/gc.ref.content.config"] = Digest::Of(image.config).ToString();
  const json layers = json::parse(image.manifest)["layers"];
  for (size_t i = 0; i < layers.size(); ++i) {
    labels[absl::StrCat("containerd.io/gc.ref.content.l.", i)] = layers[i]["digest"].get<std::string>();
  }
  RETURN_IF_ERROR(writer.WriteDocument(Digest::Of(image.manifest), image.manifest, labels));
  return writer.WriteDocument(Digest::Of(image.config), image.config, source);
}

absl::Status NameImage(ContainerdSession& session, const PulledImage& image) {
  return PutImage(session, image.name, TargetOf(image));
}

absl::Status PullImages(ContainerdSession& session, int first, int end) {
  ASSIGN_OR_RETURN(Lease lease, Lease::Take(session));
  std::atomic<int> next{first};
  Mutex mutex;
  absl::Status failure;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (int number = next++; number < end; number = next++) {
        const PulledImage image = MakePulledImage(number);
        absl::Status status = FetchDocuments(session, image);
        if (status.ok()) status = NameImage(session, image);
        if (status.ok()) continue;
        MutexLock lock(mutex);
        failure.Update(Annotate(status, image.name));
        return;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return failure;
}

}  // namespace sluice::testing
