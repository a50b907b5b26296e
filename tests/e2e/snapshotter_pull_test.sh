#!/usr/bin/env bash
# `sluicectl pull` where something is missing or wrong: one clear line, the documented exit code, nothing left; and the
# pulls around it that must work.
#   snapshotter_pull_test.sh DAEMON SLUICECTL LIST_TREE PLAIN_PULL SNAPSHOTTER_CALL
set -euo pipefail
. tests/e2e/lib.sh
node_isolate "$0" "$@"
. tests/e2e/snapshotter_lib.sh
node_programs "$1" "$2"
list_tree=$(readlink -f "$3")

# expect_refused CODE CAUSE COMMAND...: one line on stderr that has the cause, nothing on stdout.
expect_refused() {
  local code=$1 cause=$2 status=0
  shift 2
  "$@" >"$node/out" 2>"$node/err" || status=$?
  [ "$status" = "$code" ] || fail "exit code $status: $(cat "$node/err")"
  [ ! -s "$node/out" ] || fail "on stdout: $(cat "$node/out")"
  [ "$(wc -l <"$node/err")" = 1 ] || fail "not one line: $(cat "$node/err")"
  grep -qF -- "$cause" "$node/err" || fail "not '$cause': $(cat "$node/err")"
  note "$(cut -c1-160 "$node/err")"
}

expect_empty_containerd() {
  [ -z "$(in_containerd images ls -q)" ] || fail "an image record is left: $(in_containerd images ls -q)"
  [ -z "$(in_containerd leases ls -q)" ] || fail "a lease is left: $(in_containerd leases ls -q)"
}

node_up "$(node_image small-gzip)"
top=$(chain_ids "$LAYOUT" | tail -n 1)
expected=$storage/expected
"$SLUICECTL" unpack "$REF" "$expected" --layout "$LAYOUT"

node_case "containerd is not there"
expect_refused 7 "$node/containerd.sock" sluice_pull

node_case "the snapshotter is not in containerd's configuration"
sluice_start "$LAYOUT"
containerd_start another-name
expect_refused 1 "sluice" sluice_pull
expect_empty_containerd
containerd_stop
containerd_start

node_case "an image for another platform, a tag that is not there, a registry that is down"
expect_refused 3 "no image for platform linux/s390x" sluice_pull --platform linux/s390x
expect_refused 3 "$REGISTRY/app:absent" "$SLUICECTL" pull "$REGISTRY/app:absent" --address "$node/containerd.sock"
registry_stop
expect_refused 7 "onnect" sluice_pull
expect_empty_containerd
registry_start

node_case "interrupted: SIGINT, SIGTERM and SIGKILL in the middle, then again"
for signal in INT TERM KILL; do
  sluice_log_mark
  # A background job of a script ignores SIGINT; this one must not.
  env --default-signal=INT "$SLUICECTL" pull "$REF" --address "$node/containerd.sock" \
    --namespace "$CONTAINERD_NAMESPACE" >"$node/out" 2>"$node/err" &
  puller=$!
  wait_until 20 "no fill begins" is_filling
  kill -"$signal" "$puller"
  status=0
  wait "$puller" 2>/dev/null || status=$?
  [ "$status" = $((128 + $(kill -l "$signal"))) ] || fail "exit code $status after SIG$signal: $(cat "$node/err")"
  # The lease of a client that was killed expires by itself after a day.
  [ "$signal" != KILL ] || in_containerd leases ls -q | xargs -r -n 1 ctr -a "$node/containerd.sock" \
    -n "$CONTAINERD_NAMESPACE" leases rm >/dev/null
  expect_empty_containerd
  expect_no_strays
done

# members: the name of every member of the JSON on stdin, however deep.
members() {
  jq -c '[paths | map(if type == "number" then 0 else . end)] | unique | map(select(.[0] | IN("directory", "inexact") | not))'
}

node_case "twice, with the JSON of docs/cli.md"
sluice_pull --json --progress=json >"$node/first.json" 2>"$node/events"
sluice_pull --json >"$node/second.json"
documented=$(sed -n '/^## JSON/,/^```$/p' "$repository/docs/cli.md" | sed -n '/^```json/,/^```$/{/^```/!p}' | members)
for run in first second; do
  [ "$(members <"$node/$run.json")" = "$documented" ] || fail "$run: $(cat "$node/$run.json")"
done
[ "$(jq -r '[.layers[].strategy] | unique | join(" ")' "$node/first.json")" = snapshotter ] || fail "$(cat "$node/first.json")"
[ "$(jq -r '[.layers[].strategy] | unique | join(" ")' "$node/second.json")" = present ] || fail "$(cat "$node/second.json")"
[ "$(jq -r 'select(.event == "done").bytes' "$node/events")" = "$(jq .bytes "$node/first.json")" ] ||
  fail "$(cat "$node/events")"
[ -z "$(in_containerd leases ls -q)" ] || fail "a lease is left"
expect_tree sluice "$top" "$expected"

node_case "a Docker schema 2 manifest"
forget_images
skopeo --insecure-policy copy -q --format v2s2 --dest-tls-verify=false "oci:$LAYOUT:1" "docker://$REF" ||
  fail "skopeo could not push as schema 2"
[[ $(curl -fsS -H 'Accept: application/vnd.docker.distribution.manifest.v2+json' "http://$REGISTRY/v2/app/manifests/1" |
  jq -r .mediaType) == application/vnd.docker.* ]] || fail "the registry has no schema 2 manifest"
sluice_log_mark
sluice_pull
[ "$(count_phrase "$LAYOUT_PHRASE")" -gt 0 ] || fail "no layer from the layout"
expect_tree sluice "$top" "$expected"

node_case "what is left to containerd it unpacks, and its blobs live as long as the image"
forget_images
sluice_stop
before=${sluice_config-}
sluice_config=$(printf '[[registry.policy]]\nhosts = ["%s"]\nstrategies = ["layout"]' "$REGISTRY")
sluice_start
sluice_config=$before
await_daemon
sluice_pull
in_containerd images tag "$REF" localhost/to-be-removed:1 >/dev/null
in_containerd images rm --sync localhost/to-be-removed:1 >/dev/null # collects garbage
layer_digests "$LAYOUT" | sort >"$node/layers"
in_containerd content ls -q | sort | comm -23 "$node/layers" - >"$node/lost"
[ ! -s "$node/lost" ] || fail "garbage collection took $(tr '\n' ' ' <"$node/lost")"
forget_images
[ -z "$(in_containerd content ls -q)" ] || fail "blobs outlive the image: $(in_containerd content ls -q)"

# tag_in_layout IMAGE REFERENCE: the entry of that full name in $both is this image from now on.
tag_in_layout() {
  jq --arg name "$2" --slurpfile image "$1/index.json" '
    "org.opencontainers.image.ref.name" as $key
    | .manifests |= map(select(.annotations[$key] != $name)) + [$image[0].manifests[0] | .annotations[$key] = $name]
    ' "$both/index.json" >"$both/.index"
  mv "$both/.index" "$both/index.json"
}

# expect_image REFERENCE IMAGE [FLAG...]: pulled again, the name stands for this image, and its tree is there.
expect_image() {
  local reference=$1 image=$2 target
  shift 2
  "$SLUICECTL" pull "$reference" --address "$node/containerd.sock" --namespace "$CONTAINERD_NAMESPACE" "$@"
  target=$(in_containerd images ls "name==$reference" | awk 'NR == 2 { print $3 }')
  [ "$target" = "$(jq -r '.manifests[0].digest' "$image/index.json")" ] || fail "$reference is $target, not $image"
  expect_tree sluice "$(chain_ids "$image" | tail -n 1)" "$image-tree"
}

node_case "two registries, one layout, one name, a tag that moves: never the wrong tree"
readonly SECOND_REGISTRY=172.30.0.1:5001
sed -e "s|$REGISTRY|$SECOND_REGISTRY|" -e "s|/registry}|/second-registry}|" "$node/registry.yml" >"$node/second.yml"
nsenter -t "$remote_pid" -n docker-registry serve "$node/second.yml" >"$node/second.log" 2>&1 &
wait_until 10 "the second docker-registry does not answer" curl -fsS "http://$SECOND_REGISTRY/v2/"
for count in 3 4; do
  dependent_layout "$storage/$count-gzip" "$count"
  "$SLUICECTL" unpack example.com/any:1 "$storage/$count-gzip-tree" --layout "$storage/$count-gzip"
done
both=$storage/both
cp -r "$storage/3-gzip" "$both"
cp -rn "$storage/4-gzip/blobs/." "$both/blobs"
forget_images
sluice_stop
sluice_config=$(printf '[[store]]\nkind = "oci-layout"\npath = "%s"\nregistries = ["%s", "%s"]' \
  "$both" "$REGISTRY" "$SECOND_REGISTRY")
sluice_start
await_daemon
sluice_log_mark
first=$REGISTRY/two:1
second=$SECOND_REGISTRY/two:1
tag_in_layout "$storage/3-gzip" "$first"
tag_in_layout "$storage/4-gzip" "$second"
push "$storage/3-gzip" "$first"
push "$storage/4-gzip" "$second"
expect_image "$first" "$storage/3-gzip"
expect_image "$second" "$storage/4-gzip"
[ "$(count_phrase "$LAYOUT_PHRASE")" = 4 ] || fail "$(count_phrase "$LAYOUT_PHRASE") layers from the layout, not 4"
# At the registry first: the layout's index is behind.
push "$storage/4-gzip" "$first"
expect_image "$first" "$storage/4-gzip"
# In the layout first: the registry is behind, and is not asked.
tag_in_layout "$storage/3-gzip" "$second"
expect_image "$second" "$storage/3-gzip" --layout "$both"
expect_image "$second" "$storage/4-gzip"
[ "$(count_phrase 'deferring to containerd')" = 0 ] || fail "$(sluice_log | grep -F 'deferring to containerd')"
