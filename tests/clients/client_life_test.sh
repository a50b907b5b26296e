#!/usr/bin/env bash
# What happens to clients in the course of a day: two at once, one that gives up, a daemon or a containerd that is restarted
# under them, images of every shape, and nerdctl's whole round.
#   client_life_test.sh DAEMON SLUICECTL VERSION
set -euo pipefail
. tests/e2e/lib.sh
. "$repository/tests/corpora/oci_layout.sh"
. tests/clients/clients_lib.sh
. tests/clients/client_images.sh
node_isolate "$0" "$@"
node_programs "$1" "$2"

# The clients that ask sluice by themselves.
case $3 in
  1.6) clients=(cri sluicectl) ;;
  1.7) clients=(nerdctl cri) ;;
  *) clients=(ctr nerdctl cri) ;;
esac

pull() { pull_by "$@" >"$node/pull.log" 2>&1 || fail "the pull failed: $(tail -n 3 "$node/pull.log")"; }

# fresh: nothing is left of what a case pulled.
fresh() {
  forget_all
  cri pull "$(ref_of here pause:1)" >/dev/null
  sluicectl cache prune --cache "$SLUICE_ROOT/cache" >/dev/null 2>&1
  forget_requests
  sluice_log_mark
}

# daemon_again [LINE...]: restarted, with these lines of configuration beside the store.
daemon_again() {
  sluice_stop
  { store_of_here; printf '%s\n' "$@"; } >/etc/containerd-sluice-grpc/config.toml
  daemon_up
  await_daemon
}

containerd_again() { # SETUP
  containerd_stop
  containerd_up "$1"
}

filled() { [ "$(sluice_log | grep -c "$STREAM_PHRASE")" -ge "$1" ]; } # LAYERS
asked_for() { grep -F "$2" "$node/$1.log" | grep -c '"GET ' || true; } # CASE DIGEST

expect_filled_once() { # LAYOUT
  local digest
  for digest in $(layer_digests "$1"); do
    [ "$(sluice_log | grep -F -e "$LAYOUT_PHRASE" -e "$STREAM_PHRASE" | grep -cF "$digest")" = 1 ] ||
      fail "$digest was not filled exactly once: $(sluice_log | grep -F "$digest")"
  done
}

expect_strategy() { # STRATEGY LAYERS
  local seen
  seen=$(strategy_seen "$2")
  [ "$seen" = "$1" ] || fail "'$seen' and not '$1' for $2 layers: $(sluice_log | tail -n 5)"
}

client_node "$3"
daemon_up
containerd_up docs
cri pull "$(ref_of here pause:1)" >/dev/null
sluice_log_mark

node_case "two clients at once: each layer is filled once, both images run"
first=${clients[0]} second=cri
pull_by "$first" "$(ref_of lan)" >"$node/first.log" 2>&1 &
puller=$!
pull "$second" "$(ref_of lan)"
wait "$puller" || fail "$first: $(tail -n 3 "$node/first.log")"
expect_filled_once "$lan_layout"
expect_runs "$first" "$(ref_of lan)"
expect_runs "$second" "$(ref_of lan)"
fresh

node_case "a rebuilt image: only the layer that changed is filled"
rebuilt=$storage/rebuilt-gzip
rebuilt_layout "$rebuilt" "$here_layout"
push_to here "$rebuilt" app:2
pull "$first" "$(ref_of here)"
expect_strategy layout "$(layer_count "$here_layout")"
sluice_log_mark
pull "$first" "$(ref_of here app:2)"
expect_strategy layout 1
expect_runs "$first" "$(ref_of here app:2)"
fresh

node_case "100 layers"
deep=$storage/deep-gzip
tiny_layout "$deep" 100
push_to here "$deep" deep:1
for client in "${clients[@]}"; do
  pull "$client" "$(ref_of here deep:1)"
  expect_strategy layout 100
  expect_runs "$client" "$(ref_of here deep:1)"
  fresh
done

node_case "an index with images for other platforms"
push_index here "$deep" platforms:1
for client in "${clients[@]}"; do
  pull "$client" "$(ref_of here platforms:1)"
  expect_strategy layout 100
  expect_runs "$client" "$(ref_of here platforms:1)"
  fresh
done

node_case "Docker schema 2"
skopeo --insecure-policy copy -q --format v2s2 --dest-tls-verify=false "oci:$storage/deep-gzip:1" \
  "docker://$(ref_of here docker:1)"
for client in "${clients[@]}"; do
  pull "$client" "$(ref_of here docker:1)"
  expect_strategy layout 100
  expect_runs "$client" "$(ref_of here docker:1)"
  fresh
done

node_case "a foreign layer is containerd's"
push_foreign here "$deep" foreign:1
for client in "${clients[@]}"; do
  pull "$client" "$(ref_of here foreign:1)"
  [[ $3 == 1.* ]] || applied=+applied:1
  expect_strategy "layout:99+defer:1${applied-}" 100
  expect_runs "$client" "$(ref_of here foreign:1)"
  fresh
done

node_case "a pull that is given up and repeated finds the work done"
daemon_again '[[registry.policy]]' "hosts = [\"$LAN_REGISTRY\"]" 'max_downloads = 1' 'max_bytes_per_second = "30MiB"'
sluice_log_mark
mapfile -t blobs < <(layer_digests "$lan_layout")
pull_by "${clients[0]}" "$(ref_of lan)" >"$node/pull.log" 2>&1 &
puller=$!
wait_until 30 "no layer is filled" filled 1
kill "$puller"
wait "$puller" || true
pull "${clients[0]}" "$(ref_of lan)"
[ "$(asked_for lan "${blobs[0]}")" = 1 ] || fail "the layer that was done was asked for again"
expect_filled_once "$lan_layout"
expect_runs "${clients[0]}" "$(ref_of lan)"
daemon_again
fresh

node_case "the daemon restarted during a pull"
daemon_again '[[registry.policy]]' "hosts = [\"$LAN_REGISTRY\"]" 'max_downloads = 1' 'max_bytes_per_second = "30MiB"'
sluice_log_mark
pull_by "${clients[0]}" "$(ref_of lan)" >"$node/pull.log" 2>&1 &
puller=$!
wait_until 30 "no layer is filled" filled 1
daemon_again
if wait "$puller"; then note "the pull went on"; else note "the pull: $(tail -n 1 "$node/pull.log")"; fi
pull "${clients[0]}" "$(ref_of lan)"
expect_runs "${clients[0]}" "$(ref_of lan)"

node_case "daemon and containerd restarted while containers run"
pull cri "$(ref_of here)"
read -r pod container < <(cri run survivor "$(ref_of here)" "/$CONTAINERD_NAMESPACE" sleep infinity)
cri exec "$container" touch /tmp/before
unharmed() { cri exec "$container" ls /tmp/before >/dev/null || fail "the container is not what it was: $*"; }
for restarted in daemon containerd both; do
  [ "$restarted" = daemon ] || containerd_stop
  if [ "$restarted" != containerd ]; then
    sluice_stop
    [ "$restarted" = both ] || unharmed "without the daemon"
    # Before containerd, whose CRI forgets the images of a snapshotter that does not answer it at its start.
    daemon_up
  fi
  [ "$restarted" = daemon ] || containerd_up docs
  await_daemon
  unharmed "after the restart of $restarted"
  expect_runs cri "$(ref_of here)"
  expect_runs "${clients[0]}" "$(ref_of lan)"
done
cri stop "$pod"
fresh

if [[ $3 == 2.* ]]; then
  node_case "max_concurrent_unpacks above 1"
  containerd_again parallel
  pull ctr "$(ref_of here)"
  expect_strategy layout "$(layer_count "$here_layout")"
  expect_runs ctr "$(ref_of here)"
  containerd_again docs
  fresh
fi

node_case "CRI's image_pull_progress_timeout is shorter than a Prepare"
containerd_again timeout
# The second layer alone takes a minute.
size=$(jq -r '.layers[1].size' "$(layout_manifest "$lan_layout")")
daemon_again '[[registry.policy]]' "hosts = [\"$LAN_REGISTRY\"]" "max_bytes_per_second = \"$((size / 60))\""
sluice_log_mark
started=$SECONDS
pull cri "$(ref_of lan)"
[ $((SECONDS - started)) -ge 55 ] || fail "control: it took only $((SECONDS - started)) s"
expect_strategy stream "$(layer_count "$lan_layout")"
expect_runs cri "$(ref_of lan)"
note "pulled in $((SECONDS - started)) s"
containerd_again docs
daemon_again
fresh

if [[ $3 != 1.6 ]]; then
  node_case "the daemon is down: images of overlayfs do not notice"
  # Who asks the differs of containerd's global list.
  case $3 in 1.7) applying=ctr ;; *) applying=ctr-local ;; esac
  sluice_stop
  pull "$applying" "$(ref_of here deep:1)" overlayfs
  pull_by "$applying" "$(ref_of here deep:1)" >"$node/pull.log" 2>&1 && fail "control: sluice is not down"
  forget_images

  node_case "the daemon is down and its differ is in the global list: every pull fails"
  containerd_again differ
  pull_by "$applying" "$(ref_of here deep:1)" overlayfs >"$node/pull.log" 2>&1 && fail "docs/containerd-1.7.md exaggerates"
  note "$(tail -n 1 "$node/pull.log")"
  daemon_up
  await_daemon
  pull "$applying" "$(ref_of here deep:1)" overlayfs
  containerd_again docs
  fresh
fi

if [[ $3 != 1.6 ]]; then
  node_case "nerdctl's round: run, exec, commit, save, rmi, system prune leave nothing"
  snapshots() { find "$SLUICE_ROOT/snapshots" -mindepth 1 -maxdepth 1 | wc -l; }
  before=$(snapshots)
  docs_block nerdctl run >"$node/round.sh"
  sh -eu "$node/round.sh" >"$node/round.log" 2>&1 || fail "docs/nerdctl.md: $(tail -n 2 "$node/round.log")"
  grep -q '^hello from ' "$node/round.log" || fail "docs/nerdctl.md: $(cat "$node/round.log")"
  nerd rmi "$REF" >/dev/null
  pull nerdctl "$REF"
  nerd run --detach --name worker --net none --entrypoint sleep "$REF" infinity >/dev/null
  nerd exec worker sh -c 'echo changed >/tmp/changed'
  # What sluice has not given to containerd nerdctl downloads as soon as it wants to write an image.
  forget_requests
  nerd commit worker committed:1 >"$node/round.log" 2>&1 || fail "commit: $(tail -n 2 "$node/round.log")"
  [ "$(blobs_asked here)" = "$(layer_count "$here_layout")" ] || fail "commit: $(blobs_asked here) layers were asked for"
  [ "$(nerd run --rm --net none --entrypoint cat committed:1 /tmp/changed)" = changed ] || fail "the commit is not right"
  nerd tag committed:1 "$(ref_of here committed:1)"
  nerd push "$(ref_of here committed:1)" >"$node/round.log" 2>&1 || fail "push: $(tail -n 2 "$node/round.log")"
  nerd rmi "$(ref_of here committed:1)" >/dev/null
  nerd save -o "$storage/saved.tar" "$REF" >"$node/round.log" 2>&1 || fail "save: $(tail -n 2 "$node/round.log")"
  mkdir "$storage/saved"
  tar -C "$storage/saved" -xf "$storage/saved.tar"
  for digest in $(layer_digests "$here_layout"); do
    [ "sha256:$(sha256sum <"$storage/saved/blobs/${digest/://}" | cut -d' ' -f1)" = "$digest" ] || fail "save: not $digest"
  done
  nerd rm -f worker >/dev/null
  nerd rmi committed:1 >/dev/null
  nerd system prune --all --force >/dev/null 2>&1
  [ -z "$(nerd images -q)" ] || fail "images are left: $(nerd images)"
  as_before() { [ "$(snapshots)" = "$before" ]; }
  wait_until 30 "$(snapshots) directories, $before before" as_before
fi
