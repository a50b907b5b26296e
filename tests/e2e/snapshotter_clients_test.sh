#!/usr/bin/env bash
# Clients that lie, that share the daemon, that go away; a daemon that is restarted under them.
#   snapshotter_clients_test.sh DAEMON SLUICECTL LIST_TREE PLAIN_PULL SNAPSHOTTER_CALL
set -euo pipefail
. tests/e2e/lib.sh
node_isolate "$0" "$@"
. tests/e2e/snapshotter_lib.sh
node_programs "$1" "$2"
list_tree=$(readlink -f "$3")
plain_pull=$(readlink -f "$4")
snapshotter_call=$(readlink -f "$5")

readonly REF_LABEL=containerd.io/snapshot.ref
readonly CRI=containerd.io/snapshot/cri
readonly DEPENDENT_REF=$REGISTRY/dependent:1

# pull SNAPSHOTTER [NAMESPACE]: by a client that is not ours.
pull() { "$plain_pull" "$node/containerd.sock" "${2:-$CONTAINERD_NAMESPACE}" "$1" "$REF"; }

# through_containerd CALL...: prints the answer, or "CODE: message" and fails. What is made is safe from the garbage
# collection, which may run at any time.
through_containerd() {
  "$snapshotter_call" -namespace "$CONTAINERD_NAMESPACE" "$node/containerd.sock" sluice "$@" \
    containerd.io/gc.root=test 2>&1
}
prepare() { through_containerd prepare "$@"; } # KEY PARENT [LABEL=VALUE...]
# direct [-namespace NS] CALL...: to the daemon's own socket.
direct() {
  local -a header=()
  [ "$1" != -namespace ] || { header=("$1" "$2"); shift 2; }
  "$snapshotter_call" "${header[@]}" "$node/sluice.sock" sluice "$@" 2>&1
}

snapshot_exists() { in_containerd snapshots --snapshotter sluice info "$1" >/dev/null 2>&1; }

# expect_deferred KEY PARENT REF [LABEL=VALUE...]: mounts come back, and nothing stands under the ref.
expect_deferred() {
  local key=$1 parent=$2 ref=$3 answer
  shift 3
  answer=$(prepare "$key" "$parent" "$REF_LABEL=$ref" "$@") || fail "$key: not deferred: $answer"
  grep -qE '^(overlay|bind) ' <<<"$answer" || fail "$key: no mounts: $answer"
  ! snapshot_exists "$ref" || fail "$key: containerd has a snapshot $ref"
  answer=$(direct stat "$ref") && fail "$key: the daemon has a snapshot $ref"
  [[ $answer == NotFound:* ]] || fail "$key: $answer"
  in_containerd snapshots --snapshotter sluice rm "$key"
}

node_up "$(node_image small-gzip)"
mapfile -t layers < <(layer_digests "$LAYOUT")
top=$(chain_ids "$LAYOUT" | tail -n 1)
expected=$storage/expected
"$SLUICECTL" unpack "$REF" "$expected" --layout "$LAYOUT"

dependent=$storage/dependent-gzip
dependent_layout "$dependent" 10
push "$dependent" "$DEPENDENT_REF"
mapfile -t dependent_chain < <(chain_ids "$dependent")
mapfile -t dependent_blobs < <(layer_digests "$dependent")
mapfile -t dependent_diff_ids < <(diff_ids "$dependent")
dependent_expected=$storage/dependent-expected
"$SLUICECTL" unpack "$DEPENDENT_REF" "$dependent_expected" --layout "$dependent"

sluice_config=$'[unpack]\nworkers = 1'
sluice_start "$LAYOUT" "$dependent"
sluice_log_mark
empty_use=$(disk_use)

node_case "no namespace header, one that disagrees, and a label that containerd would refuse"
# Before containerd is there: its garbage collection removes what it does not know.
answer=$(direct prepare some-namespace/1/key "") || fail "without header: $answer"
answer=$(direct -namespace some-namespace prepare some-namespace/2/key "") || fail "with the header: $answer"
answer=$(direct -namespace another prepare some-namespace/3/key "") && fail "a header that disagrees was accepted"
[[ $answer == "InvalidArgument: "*"another namespace"* ]] || fail "$answer"
direct remove some-namespace/1/key
direct remove some-namespace/2/key
answer=$(direct prepare huge "" "$REF_LABEL=$(printf 'a%.0s' $(seq 100000))" "$CRI.image-ref=$(head -c 100000 /dev/zero | tr '\0' b)") ||
  fail "a label of 100,000 bytes: $answer"
direct remove huge

containerd_start sluice other

node_case "labels that lie: nothing is stored under a ref that is not proven"
in_containerd content fetch --plain-http "$DEPENDENT_REF" >/dev/null
# A base that nobody has proven: unpacked without snapshot.ref, with a file of the attacker's.
prepare evil-key "" >/dev/null
echo evil >"$(ls -d "$root_directory"/snapshots/*/fs | tail -n 1)/evil"
through_containerd commit evil-key evil-base
victim=${dependent_chain[1]}
lies=("$CRI.layer-digest=${layers[0]}" "containerd.io/snapshot/diff-id=${dependent_diff_ids[0]}"
  "$CRI.manifest-digest=$(jq -r '.manifests[0].digest' "$LAYOUT/index.json")" "$CRI.image-ref=$REF")
expect_deferred victim-over-evil evil-base "$victim" "${lies[@]}"
expect_deferred victim-with-its-own-blob evil-base "$victim" "$CRI.layer-digest=${dependent_blobs[1]}"
sluice_log | grep -qF 'deferring to containerd: the parent ' || fail "the log does not say what is wrong with the parent"
expect_deferred victim-without-parent "" "$victim" "$CRI.layer-digest=${dependent_blobs[1]}"
unknown=sha256:$(printf unknown | sha256sum | cut -d' ' -f1)
expect_deferred unknown-over-evil evil-base "$unknown" "${lies[@]}"
expect_deferred unknown-without-parent "" "$unknown" "${lies[@]}"
sluice_log | grep -qF "does not give chainID $unknown" || fail "the lie about the blob was not looked into"

node_case "labels that are rubbish"
expect_deferred path "" "../../../etc/passwd"
expect_deferred upper "" "sha256:${unknown#sha256:}x"
expect_deferred paths "" "$unknown" "$CRI.image-ref=../../etc/passwd" "$CRI.layer-digest=/etc/passwd" \
  "$CRI.manifest-digest=sha256:../../../etc/passwd"
expect_deferred newline "" "$unknown" "$CRI.image-ref=x"$'\n'"forged line" "$CRI.layer-digest="$'\n'
! sluice_log | grep -q '^forged line' || fail "a label has forged a line of the log"
expect_deferred huge "" "$unknown" "$CRI.image-layers=$(printf "${layers[0]},%.0s" $(seq 50))"
[ "$(sluice_log | awk '{ if (length > most) most = length } END { print most }')" -lt 2000 ] ||
  fail "a label fills the log"
expect_alive

node_case "the first Prepare fills ten dependent layers, with one worker"
sluice_log_mark
answer=$(prepare first "" "$REF_LABEL=${dependent_chain[0]}") && fail "mounts instead of AlreadyExists: $answer"
[[ $answer == AlreadyExists:* ]] || fail "$answer"
all_ten() { [ "$(count_phrase "$LAYOUT_PHRASE")" = 10 ]; }
wait_until 20 "$(count_phrase "$LAYOUT_PHRASE") of 10 layers are filled" all_ten
for k in $(seq 9); do
  answer=$(prepare "next-$k" "${dependent_chain[k - 1]}" "$REF_LABEL=${dependent_chain[k]}") && fail "layer $k: $answer"
  [[ $answer == AlreadyExists:* ]] || fail "layer $k: $answer"
done
all_ten || fail "a layer was filled twice"
expect_tree sluice "${dependent_chain[9]}" "$dependent_expected"

node_case "two proxy names: one content on the disk, garbage collection under one harms the other in nothing"
forget_images
for ((k = 9; k >= 0; k--)); do in_containerd snapshots --snapshotter sluice rm "${dependent_chain[k]}"; done
in_containerd snapshots --snapshotter sluice rm evil-base
sluice_log_mark
pull sluice
one_name=$(disk_use)
pull other
two_names=$(disk_use)
[ "$(count_phrase "$LAYOUT_PHRASE")" = ${#layers[@]} ] || fail "layers were filled again for the second name"
[ $((two_names - one_name)) -lt 1024 ] || fail "the second name took $((two_names - one_name)) KiB"
expect_tree other "$top" "$expected"
in_containerd content label "$(config_digest "$LAYOUT")" containerd.io/gc.ref.snapshot.other= >/dev/null
in_containerd images tag "$REF" localhost/to-be-removed:1 >/dev/null
in_containerd images rm --sync localhost/to-be-removed:1 >/dev/null
other_is_empty() { [ -z "$(in_containerd snapshots --snapshotter other ls | sed 1d)" ]; }
wait_until 20 "nothing was collected under the other name" other_is_empty
[ "$(disk_use)" -ge $((one_name - 1024)) ] || fail "the collection took content of the first name"
expect_tree sluice "$top" "$expected"
said=$(in_containerd run --rm --snapshotter sluice "$REF" container-two-names) || fail "the container does not run"
[[ $said == "hello from "* ]] || fail "the container said '$said'"
note "empty $empty_use KiB, one name $one_name KiB, two names $two_names KiB, one again $(disk_use) KiB"
pull other
expect_tree other "$top" "$expected"
forget_images
disk_use_is_back() { [ "$(disk_use)" -le $((empty_use + 64)) ]; }
wait_until 60 "$(disk_use) KiB are in use, $empty_use KiB were before" disk_use_is_back
expect_no_strays

node_case "a client killed in the middle of its Prepare"
sluice_log_mark
pull sluice &
puller=$!
wait_until 20 "no fill begins" is_filling
kill -KILL "$puller"
wait "$puller" 2>/dev/null || true
expect_alive
expect_no_strays
pull sluice
expect_tree sluice "$top" "$expected"
for digest in "${layers[@]}"; do
  [ "$(sluice_log | grep -F "$LAYOUT_PHRASE" | grep -cF "$digest")" = 1 ] || fail "$digest was not filled exactly once"
done
forget_images

node_case "two clients, one killed: the other is unharmed, each layer is filled once"
second_namespace=$CONTAINERD_NAMESPACE-2
sluice_log_mark
kill -STOP "$sluice_pid" # both Prepares are there before the first is looked at
pull sluice >"$node/killed.log" 2>&1 &
killed=$!
pull sluice "$second_namespace" &
survivor=$!
has_config() { ctr -a "$node/containerd.sock" -n "$1" content ls -q | grep -qF "$(config_digest "$LAYOUT")"; }
for namespace in "$CONTAINERD_NAMESPACE" "$second_namespace"; do
  wait_until 20 "the client of $namespace fetches no config" has_config "$namespace"
done
sleep 0.3 # from the config to the Prepare
kill -CONT "$sluice_pid"
wait_until 20 "no fill begins" is_filling
kill -KILL "$killed"
wait "$survivor" || fail "the other client's pull failed"
[ "$(count_phrase "$LAYOUT_PHRASE")" = ${#layers[@]} ] || fail "$(count_phrase "$LAYOUT_PHRASE") fills for ${#layers[@]} layers"
pull sluice
[ "$(count_phrase "$LAYOUT_PHRASE")" = ${#layers[@]} ] || fail "what was done was not found by the next"
expect_tree sluice "$top" "$expected"
forget_images
ctr -a "$node/containerd.sock" -n "$second_namespace" images rm --sync "$REF" >/dev/null
ctr -a "$node/containerd.sock" namespaces rm "$second_namespace" >/dev/null
wait_until 60 "$(disk_use) KiB are in use, $empty_use KiB were before" disk_use_is_back

for signal in TERM KILL; do
  node_case "the daemon ended by SIG$signal in the middle of a fill"
  pull sluice >"$node/interrupted.log" 2>&1 &
  puller=$!
  wait_until 20 "no fill begins" is_filling
  ended=$(date +%s%N)
  kill -"$signal" "$sluice_pid"
  wait "$sluice_pid" 2>/dev/null || true
  milliseconds=$((($(date +%s%N) - ended) / 1000000))
  [ "$milliseconds" -lt 6000 ] || fail "it took $milliseconds ms to end"
  if [ "$signal" = TERM ]; then
    ! is_filling || fail "SIGTERM has left $(compgen -G "$root_directory/new-*")"
  fi
  sluice_log_mark
  sluice_start "$LAYOUT" "$dependent"
  wait "$puller" || note "the pull that was under way: $(tail -n 1 "$node/interrupted.log")"
  expect_no_strays
  await_daemon
  pull sluice
  expect_tree sluice "$top" "$expected"
  note "ended in $milliseconds ms; then: $(sluice_log | grep -o 'discarded [0-9]* directories without a row' | tail -n 1)"
  forget_images
done
