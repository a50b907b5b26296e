// What pulls leave in containerd before it asks for their layers: documents with the labels of containerd's own fetch
// (images/handlers.go, remotes/docker/handler.go), and image records. No layer has a blob.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/digest.h"
#include "snapshotter/service/containerd/session.h"

namespace sluice::testing {

// Image `number` of an endless row: always the same one, with four layers. Images below kSharingImages have one base
// layer in common, of the others ten each; odd ones are listed by an index.
struct PulledImage {
  static constexpr int kSharingImages = 1000;

  std::string name;  // "172.30.0.1:5000/team-3/app-123:1"
  std::string repository;
  std::vector<Digest> chain_ids;  // base first
  std::string config;             // a JSON document, as are
  std::string manifest;
  std::optional<std::string> index;
};

PulledImage MakePulledImage(int number);

// A pull as far as its first Prepare, in the name of the session's lease: of what is there the labels are set anew.
absl::Status FetchDocuments(ContainerdSession& session, const PulledImage& image);
// The end of the pull: the image record.
absl::Status NameImage(ContainerdSession& session, const PulledImage& image);

// Whole pulls of the images from `first` to before `end`, in no order, under a lease that is given back.
absl::Status PullImages(ContainerdSession& session, int first, int end);

}  // namespace sluice::testing
