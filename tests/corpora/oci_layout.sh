# shellcheck shell=bash
# Writes OCI image layouts (image-spec image-layout.md) from layer tars: one set of tars, one layout per codec.
#
#   layout_begin DIR                     an empty layout
#   layout_add_layer TAR COMMENT DIR...  TAR on top of each layout; a layout's codec is the end of its name, -gzip or -zstd
#   layout_finish DIR TAG CONFIG         manifest and index; CONFIG is the JSON of the image config's "config" object
#
# Deterministic: the same tars give the same bytes. Sourced; the caller has `set -euo pipefail`.

readonly LAYOUT_CREATED=2025-01-01T00:00:00Z

layout_architecture() {
  case $(uname -m) in
    x86_64) echo amd64 ;;
    aarch64) echo arm64 ;;
    *) uname -m ;;
  esac
}

# layout_put DIR FILE: moves FILE to its place among the blobs and prints "<sha256 hex> <size>".
layout_put() {
  local hex size
  hex=$(sha256sum <"$2" | cut -d' ' -f1)
  size=$(stat -c %s "$2")
  mv "$2" "$1/blobs/sha256/$hex"
  echo "$hex $size"
}

layout_begin() {
  mkdir -p "$1/blobs/sha256"
  printf '{"imageLayoutVersion":"1.0.0"}' >"$1/oci-layout"
  : >"$1/.layers" # one JSON object a layer; folded into config and manifest by layout_finish
}

layout_compress() { # DIR TAR
  case $1 in
    *-gzip) gzip -n -6 <"$2" >"$1/.blob" ;;
    *-zstd) zstd -q -3 <"$2" >"$1/.blob" ;;
    *) echo "layout_compress: $1: the name tells no codec" >&2; return 1 ;;
  esac
}

layout_add_layer() { # TAR COMMENT DIR...
  local tar=$1 comment=$2 dir hex size diff_id pid
  local -a pids=()
  shift 2
  for dir; do
    layout_compress "$dir" "$tar" &
    pids+=($!)
  done
  diff_id=$(sha256sum <"$tar" | cut -d' ' -f1)
  for pid in "${pids[@]}"; do wait "$pid"; done
  for dir; do
    read -r hex size < <(layout_put "$dir" "$dir/.blob")
    jq -cn --arg type "application/vnd.oci.image.layer.v1.tar+${dir##*-}" --arg digest "sha256:$hex" \
      --argjson size "$size" --arg diff_id "sha256:$diff_id" --arg comment "$comment" \
      '{descriptor: {mediaType: $type, digest: $digest, size: $size}, diff_id: $diff_id, comment: $comment}' \
      >>"$dir/.layers"
  done
}

layout_finish() { # DIR TAG CONFIG
  local dir=$1 tag=$2 config=$3 hex size
  jq -cs --argjson config "$config" --arg arch "$(layout_architecture)" --arg created "$LAYOUT_CREATED" '{
      created: $created, architecture: $arch, os: "linux", config: $config,
      rootfs: {type: "layers", diff_ids: map(.diff_id)},
      history: map({created: $created, created_by: .comment})
    }' "$dir/.layers" >"$dir/.blob"
  read -r hex size < <(layout_put "$dir" "$dir/.blob")
  jq -cs --arg digest "sha256:$hex" --argjson size "$size" '{
      schemaVersion: 2, mediaType: "application/vnd.oci.image.manifest.v1+json",
      config: {mediaType: "application/vnd.oci.image.config.v1+json", digest: $digest, size: $size},
      layers: map(.descriptor)
    }' "$dir/.layers" >"$dir/.blob"
  read -r hex size < <(layout_put "$dir" "$dir/.blob")
  jq -cn --arg digest "sha256:$hex" --argjson size "$size" --arg tag "$tag" --arg arch "$(layout_architecture)" '{
      schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json",
      manifests: [{mediaType: "application/vnd.oci.image.manifest.v1+json", digest: $digest, size: $size,
                   platform: {architecture: $arch, os: "linux"},
                   annotations: {"org.opencontainers.image.ref.name": $tag}}]
    }' >"$dir/index.json"
  rm "$dir/.layers"
}
