// The images of a namespace that were unpacked with one snapshotter, as containerd's own records have them.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/digest.h"
#include "snapshotter/service/containerd/content_store_client.h"

namespace sluice {

// One platform's image.
struct UnpackedImage {
  std::vector<std::string> names;  // of the records that lead to it; at least one
  Digest manifest;
  absl::Time created_at;        // when the manifest came into the content store
  std::vector<Digest> indexes;  // that list it
  Digest config;
  std::string top_chain_id;  // as the client noted it
};

struct UnpackedImages {
  std::string containerd_namespace;
  std::vector<ImageRecord> records;  // of all images there
  std::vector<UnpackedImage> images;
};

// An image is among them once its pull is over: a client notes what it has unpacked, and then makes the record. Three
// calls, however many images there are. Errors: as ContentStore; InvalidArgument for what is no name of a snapshotter.
absl::StatusOr<UnpackedImages> ListUnpackedImages(ContentStoreClient& store, const std::string& containerd_namespace,
                                                  const std::string& snapshotter, absl::Time deadline);

}  // namespace sluice
