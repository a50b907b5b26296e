#!/usr/bin/env bash
# The trials of crash_trials.py on a node of their own, with a real containerd that has pulled the image and a real registry.
#   crash_trials.sh DAEMON SLUICECTL PLAIN_PULL SNAPSHOTTER_CALL [FLAG of crash_trials.py...]
set -euo pipefail
. tests/e2e/lib.sh
node_isolate "$0" "$@"
. "$repository/tests/corpora/oci_layout.sh"
node_programs "$1" "$2"
plain_pull=$(readlink -f "$3")
snapshotter_call=$(readlink -f "$4")
shift 4

node_case "the image, pulled once: containerd has its manifest and config, and none of its layers"
image=$storage/trial-gzip
mkdir "$storage/tars"
python3 "$repository/tests/crash/trial_layers.py" "$storage/tars"
layout_begin "$image"
for number in 0 1; do layout_add_layer "$storage/tars/$number.tar" "layer $number" "$image"; done
layout_finish "$image" 1 '{}'
node_up "$image"
sluice_start "$LAYOUT"
containerd_start
await_daemon
"$plain_pull" "$node/containerd.sock" "$CONTAINERD_NAMESPACE" sluice "$REF" >/dev/null
for digest in $(layer_digests "$LAYOUT"); do
  ! in_containerd content ls -q | grep -qx "$digest" || fail "containerd has the layer $digest"
done
sluice_stop

node_case "trials"
cd "$repository"
python3 -B tests/crash/crash_trials.py --daemon "$DAEMON" --sluicectl "$SLUICECTL" --call "$snapshotter_call" \
  --containerd "$node/containerd.sock" --namespace "$CONTAINERD_NAMESPACE" --layout "$LAYOUT" --registry "$REGISTRY" \
  --directory "$storage/trials" "$@" || fail "violations, or faults that met nothing"
