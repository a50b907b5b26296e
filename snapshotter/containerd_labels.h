// The labels by which containerd, its clients and its garbage collection speak of content and snapshots, each spelt as
// containerd does. Whoever reads or writes one takes its name from here; what one means to us is said where it is used.
#pragma once

#include "absl/strings/string_view.h"

namespace sluice {

// --- on snapshots ---

// On Prepare: the chainID of the layer that the client wants; on a committed snapshot: what it holds (containerd
// snapshots/snapshotter.go).
inline constexpr char kRefLabel[] = "containerd.io/snapshot.ref";

// Put on snapshots that were committed without containerd fetching the layer, as remote snapshotters do.
inline constexpr char kRemoteLabel[] = "containerd.io/snapshot/remote";
inline constexpr char kRemoteLabelValue[] = "remote snapshot";

// What the client knows of the image and the layer, where it says so (containerd pkg/snapshotters, annotations.go).
// Hints: whoever made the image may have put them there.
inline constexpr char kImageRefLabel[] = "containerd.io/snapshot/cri.image-ref";
inline constexpr char kManifestDigestLabel[] = "containerd.io/snapshot/cri.manifest-digest";
inline constexpr char kLayerDigestLabel[] = "containerd.io/snapshot/cri.layer-digest";
inline constexpr char kImageLayersLabel[] = "containerd.io/snapshot/cri.image-layers";
// The same by stargz's clients, and the diffID by those that know it.
inline constexpr char kStargzReferenceLabel[] = "containerd.io/snapshot/remote/stargz.reference";
inline constexpr char kStargzDigestLabel[] = "containerd.io/snapshot/remote/stargz.digest";
inline constexpr char kDiffIdLabel[] = "containerd.io/snapshot/diff-id";

// --- on content: what it refers to, so that garbage collection keeps that with it (containerd metadata/gc.go) ---

inline constexpr absl::string_view kContentReferencePrefix = "containerd.io/gc.ref.content.";
// An index's manifests and a manifest's layers, by number; a manifest's config.
inline constexpr absl::string_view kManifestReferencePrefix = "containerd.io/gc.ref.content.m.";
inline constexpr absl::string_view kLayerReferencePrefix = "containerd.io/gc.ref.content.l.";
inline constexpr char kConfigReferenceLabel[] = "containerd.io/gc.ref.content.config";
// Of a config, by snapshotter: the chainID that the image was unpacked to.
inline constexpr absl::string_view kSnapshotReferencePrefix = "containerd.io/gc.ref.snapshot.";

// --- on content: where it is from, what it is ---

// By host, without port: the repositories, with commas between them (containerd remotes/docker/handler.go).
inline constexpr absl::string_view kDistributionSourcePrefix = "containerd.io/distribution.source.";
// Of a layer's blob: its diffID (containerd labels/labels.go).
inline constexpr char kUncompressedLabel[] = "containerd.io/uncompressed";

// --- on leases ---

// When it ends, RFC 3339 (containerd metadata/gc.go).
inline constexpr char kExpireLabel[] = "containerd.io/gc.expire";

}  // namespace sluice
