#!/usr/bin/env bash
# The part of quickstart.sh that needs a node: two pulls of the same image, by sluice and by containerd alone.
#   quickstart_node.sh DAEMON SLUICECTL LAYOUT REF
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
. tests/e2e/lib.sh
node_isolate scripts/quickstart_node.sh "$@"
node_programs "$1" "$2"

begin() { echo "== $*"; start=$(date +%s%N); }
milliseconds() { echo $((($(date +%s%N) - start) / 1000000)); }
seconds() { printf '%d.%03d' $(($1 / 1000)) $(($1 % 1000)); }
end() { echo "   $(seconds "$(milliseconds)") s"; }

# run_container SNAPSHOTTER: its output; an image that runs a service is stopped after 20 s.
run_container() {
  local status=0
  timeout 20 ctr -a "$node/containerd.sock" -n "$CONTAINERD_NAMESPACE" run --rm --snapshotter "$1" "$REF" "demo-$1" \
    2>&1 | sed 's/^/   | /' || status=$?
  [ "$status" = 0 ] || [ "$status" = 124 ] || fail "the container ended with status $status"
}

# What the daemon says of each layer: strategy, digest, bytes, seconds.
print_layers() {
  sluice_log | sed -nE \
    -e "s/.*$LAYOUT_PHRASE store=([^ ]*) .*digest=sha256:([0-9a-f]{12})[0-9a-f]* bytes=([0-9]+) seconds=([0-9.]+).*/   layout  \4 s  \3 bytes  \2  store \1/p" \
    -e 's/.*using streaming unpack for local registry image .*digest=sha256:([0-9a-f]{12})[0-9a-f]* bytes=([0-9]+) seconds=([0-9.]+).*/   stream  \3 s  \2 bytes  \1/p' \
    -e 's/.*(deferring to containerd.*)/   defer   \1/p'
}

# The image as it was pushed; what the registry's own access log says of it.
pushed_layers() {
  curl -fsS -H 'Accept: application/vnd.oci.image.manifest.v1+json' \
    -H 'Accept: application/vnd.docker.distribution.manifest.v2+json' "http://$REGISTRY/v2/app/manifests/1" |
    jq -r '.layers[].digest'
}
layers_asked_for() { pushed_layers | grep -F -f - "$node/registry.log" | grep -c '"GET ' || true; }

begin "registry at $REGISTRY in its own network namespace; push the image"
node_network
registry_start
skopeo --insecure-policy copy -q --dest-tls-verify=false "oci:$3:$4" "docker://$REF" || fail "skopeo could not push $4"
end
begin "containerd with sluice as proxy plugin; the registry's storage on this host as its store"
sluice_start "$REGISTRY_STORE"
containerd_start
end

begin "sluicectl pull $REF"
sluice_log_mark
sluice_pull >"$node/pull.log" 2>&1 || fail "sluicectl: $(tail -n 1 "$node/pull.log")"
ours=$(milliseconds)
echo "   $(seconds "$ours") s"
print_layers
echo "   layers that the registry was asked for: $(layers_asked_for) of $(pushed_layers | wc -l)"
begin "a container from it (runc, snapshotter sluice)"
run_container sluice
end

forget_images
begin "the same by containerd alone: ctr images pull $REF (snapshotter overlayfs)"
in_containerd images pull --plain-http --snapshotter overlayfs "$REF" >"$node/pull.log" 2>&1 ||
  fail "ctr: $(tail -n 1 "$node/pull.log")"
theirs=$(milliseconds)
echo "   $(seconds "$theirs") s"
begin "a container from it (runc, snapshotter overlayfs)"
run_container overlayfs
end

echo "== sluice $(seconds "$ours") s, containerd's overlayfs $(seconds "$theirs") s: $(
  awk -v a="$theirs" -v b="$ours" 'BEGIN { printf "%.1f", a / b }') times as fast"
