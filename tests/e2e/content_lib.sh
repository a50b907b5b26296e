# shellcheck shell=bash
# What containerd's content store has of an image, for the tests of what puts it there; sourced after lib.sh.

# stored_layers [LAYOUT]: how many of the image's layers containerd has.
stored_layers() {
  layer_digests "${1:-$LAYOUT}" | sort -u >"$node/wanted-layers"
  in_containerd content ls -q | sort -u | comm -12 "$node/wanted-layers" - | wc -l
}
is_whole() { [ "$(stored_layers "$@")" = "$(layer_digests "${1:-$LAYOUT}" | sort -u | wc -l)" ]; } # [LAYOUT]

# image_state REF: what `ctr images check` says of it: complete or incomplete.
image_state() { in_containerd images check "name==$1" | awk 'NR == 2 { print $4 }'; }

# expect_whole REF LAYOUT: to containerd's own tools the image is all there, every byte right.
expect_whole() {
  local digest
  is_whole "$2" || fail "$(stored_layers "$2") layers are stored: $(in_containerd content ls -q)"
  [ "$(image_state "$1")" = complete ] || fail "$(in_containerd images check "name==$1")"
  in_containerd images export "$node/export.tar" "$1" || fail "the image can't be exported"
  [ "$(tar tf "$node/export.tar" | grep -c '^blobs/sha256/.')" -ge "$(layer_count "$2")" ] || fail "the export lacks blobs"
  for digest in $(layer_digests "$2"); do
    in_containerd content get "$digest" | cmp - "$2/blobs/${digest/://}" || fail "$digest has other bytes"
  done
}

expect_incomplete() { # REF
  local answer
  [ "$(image_state "$1")" = incomplete ] || fail "$(in_containerd images check "name==$1")"
  answer=$(in_containerd images export "$node/export.tar" "$1" 2>&1) && fail "an image without blobs was exported"
  grep -qE 'content digest .* not found' <<<"$answer" || fail "$answer"
}

# What is half done, as a number; containerd keeps it for a day.
ingests() { in_containerd content active | sed 1d | wc -l; }
half_done() { [ "$(ingests)" -gt 0 ]; }
# Something of it, that is: a MiB at least.
bytes_arrive() { find "$storage/containerd/io.containerd.content.v1.content/ingest" -name data -size +1M | grep -q .; }
no_leases() { [ -z "$(in_containerd leases ls -q)" ]; }

# collect_garbage: containerd's own, waited for.
collect_garbage() {
  in_containerd leases create --id "collect-$RANDOM" >/dev/null
  in_containerd leases ls -q | grep '^collect-' | xargs -r -n 1 ctr -a "$node/containerd.sock" \
    -n "$CONTAINERD_NAMESPACE" leases rm --sync >/dev/null
}

# limit_downloads BYTES: lines for $sluice_config, so that what comes from the registry takes its time.
limit_downloads() {
  printf '[[registry.policy]]\nhosts = ["%s"]\nmax_bytes_per_second = "%s"\n' "$REGISTRY" "$1"
}
