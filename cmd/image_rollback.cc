#include "cmd/image_rollback.h"

#include <utility>

#include "absl/algorithm/container.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/status_macros.h"
#include "cmd/exit_code.h"
#include "snapshotter/service/containerd/container_client.h"
#include "snapshotter/service/containerd/image_client.h"
#include "snapshotter/service/containerd/session.h"

namespace sluice {
namespace {

// A node can have thousands of images.
constexpr absl::Duration kListTimeout = absl::Seconds(60);
constexpr absl::Duration kCallTimeout = absl::Seconds(10);

// Nobody has the blob, whenever he is asked.
bool IsNowhere(const absl::Status& status) { return absl::IsNotFound(status); }

// The next image would fare no better.
bool EndsAll(const absl::Status& status) {
  return absl::IsCancelled(status) || ExitCodeOf(status) == ExitCode::kNoSpace;
}

}  // namespace

absl::string_view NameOf(RollbackAction action) {
  switch (action) {
    case RollbackAction::kNone:
      return "none";
    case RollbackAction::kFetch:
      return "fetch";
    case RollbackAction::kRemove:
      return "remove";
    case RollbackAction::kKeep:
      return "keep";
    case RollbackAction::kFail:
      return "fail";
  }
  return "";
}

int64_t RolledBackImage::bytes() const {
  int64_t sum = 0;
  for (const FilledBlob& blob : blobs) sum += blob.blob.size;
  return sum;
}

absl::Status ImageRollback::Run(const std::string& snapshotter, const Cancellation& cancellation,
                                const std::function<void(const RolledBackImage&)>& on_image) {
  for (const std::string& containerd_namespace : node_.namespaces) {
    ASSIGN_OR_RETURN(const UnpackedImages images,
                     ListUnpackedImages(store_, containerd_namespace, snapshotter, absl::Now() + kListTimeout));
    for (const UnpackedImage& image : images.images) {
      RETURN_IF_ERROR(cancellation.Check());
      absl::StatusOr<RolledBackImage> rolled_back = RollBack(images, image, cancellation);
      if (!rolled_back.ok()) return Annotate(rolled_back.status(), image.names.front());
      on_image(*rolled_back);
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<RolledBackImage> ImageRollback::RollBack(const UnpackedImages& images, const UnpackedImage& image,
                                                        const Cancellation& cancellation) {
  RolledBackImage result;
  result.containerd_namespace = images.containerd_namespace;
  result.image = image;
  const absl::StatusOr<ImageBlobs> blobs = backfill_.Inspect(images, image);
  if (!blobs.ok()) {
    result.action = RollbackAction::kFail;
    result.reason = AboutContainerd(blobs.status());
    return result;
  }
  result.missing = blobs->missing.size();
  if (result.missing == 0) return result;
  const absl::Status status = dry_run_ ? Locate(*blobs, cancellation, result.blobs)
                                       : backfill_.Fill(*blobs, cancellation, [&result](const FilledBlob& filled) {
                                           result.blobs.push_back(filled);
                                         });
  if (EndsAll(status)) return status;
  result.reason = status;
  if (status.ok()) {
    result.action = RollbackAction::kFetch;
  } else if (IsNowhere(status)) {
    RETURN_IF_ERROR(Remove(result, cancellation));
  } else {
    result.action = RollbackAction::kFail;
  }
  return result;
}

absl::Status ImageRollback::Locate(const ImageBlobs& blobs, const Cancellation& cancellation,
                                   std::vector<FilledBlob>& located) {
  for (const Descriptor& blob : blobs.missing) {
    FilledBlob found = {blob, ""};
    const bool elsewhere = absl::c_any_of(node_.all_namespaces, [&](const std::string& name) {
      return store_.HasBlob(name, blob.digest, blob.size, absl::Now() + kCallTimeout);
    });
    if (!elsewhere) {
      ASSIGN_OR_RETURN(found.place, backfill_.Locate(blobs, blob, cancellation));
    }
    located.push_back(std::move(found));
  }
  return absl::OkStatus();
}

absl::Status ImageRollback::Remove(RolledBackImage& image, const Cancellation& cancellation) {
  ContainerdSession session(node_.containerd, image.containerd_namespace, cancellation);
  // Only now: fetching takes its time, and a container may have been made meanwhile.
  ASSIGN_OR_RETURN(const std::vector<ContainerRecord> containers, ListContainers(session));
  for (const ContainerRecord& container : containers) {
    if (absl::c_linear_search(image.image.names, container.image)) image.containers.push_back(container.id);
  }
  image.action = image.containers.empty() ? RollbackAction::kRemove : RollbackAction::kKeep;
  if (dry_run_ || image.action == RollbackAction::kKeep) return absl::OkStatus();
  for (const std::string& name : image.image.names) RETURN_IF_ERROR(RemoveImage(session, name));
  return absl::OkStatus();
}

}  // namespace sluice
