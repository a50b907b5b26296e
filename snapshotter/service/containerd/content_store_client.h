// ContentStore over containerd's Content, Images and Leases services.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "containerd/services/content/v1/content.grpc.pb.h"
#include "containerd/services/images/v1/images.grpc.pb.h"
#include "containerd/services/leases/v1/leases.grpc.pb.h"
#include "grpcpp/channel.h"
#include "snapshotter/fill/content_store.h"

namespace sluice {

class ContentStoreClient : public ContentStore {
 public:
  explicit ContentStoreClient(const std::shared_ptr<grpc::Channel>& channel);

  absl::StatusOr<std::vector<ContentInfo>> ListManifests(const std::string& containerd_namespace,
                                                         absl::Time deadline) override;
  absl::StatusOr<std::vector<Digest>> ListLeased(const std::string& containerd_namespace, absl::Time deadline) override;
  absl::StatusOr<ContentInfo> Stat(const std::string& containerd_namespace, const Digest& digest,
                                   absl::Time deadline) override;
  absl::StatusOr<std::string> ReadDocument(const std::string& containerd_namespace, const Digest& digest,
                                           int64_t max_bytes, absl::Time deadline) override;
  bool HasBlob(const std::string& containerd_namespace, const Digest& digest, std::optional<int64_t> size,
               absl::Time deadline) override;
  absl::StatusOr<std::unique_ptr<ByteReader>> OpenBlob(const std::string& containerd_namespace, const Digest& digest,
                                                       const Cancellation* cancellation) override;
  absl::StatusOr<std::vector<ImageRecord>> ListImages(const std::string& containerd_namespace,
                                                      absl::Time deadline) override;

  // The configs of images that were unpacked with `snapshotter`, and the chainID of the top layer there: clients note
  // it when all layers are (core/unpack/unpacker.go). InvalidArgument for what is no name of a snapshotter.
  absl::StatusOr<std::map<Digest, std::string>> ListUnpacked(const std::string& containerd_namespace,
                                                             const std::string& snapshotter, absl::Time deadline);

 private:
  using Lease = containerd::services::leases::v1::Lease;

  // Those that pass one of `filters`.
  absl::StatusOr<std::vector<ContentInfo>> ListOnce(const std::string& containerd_namespace,
                                                    const std::vector<std::string>& filters, absl::Time deadline);
  // Newest first.
  absl::StatusOr<std::vector<Lease>> ListLeasesOnce(const std::string& containerd_namespace, absl::Time deadline);

  const std::shared_ptr<grpc::Channel> channel_;
  const std::unique_ptr<containerd::services::content::v1::Content::Stub> content_;
  const std::unique_ptr<containerd::services::images::v1::Images::Stub> images_;
  const std::unique_ptr<containerd::services::leases::v1::Leases::Stub> leases_;
};

}  // namespace sluice
