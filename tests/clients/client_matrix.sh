#!/usr/bin/env bash
# The table of docs/clients.md, measured: every client on every version of containerd.
#
#   sudo bazel run --config=opt //tests/clients:client_matrix               prints it
#   sudo bazel run --config=opt //tests/clients:client_matrix -- --write    writes docs/clients.md
set -euo pipefail
daemon=$1 sluicectl=$2
here=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
case ${3-} in
  '' | --write) ;;
  *) echo "client_matrix.sh: unknown argument '$3' (usage: client_matrix.sh [--write])" >&2; exit 2 ;;
esac

work=$(mktemp -d /var/tmp/sluice-matrix-XXXXXX)
trap 'rm -rf "$work"' EXIT
export CLIENT_MATRIX_RESULTS=$work/results
: >"$CLIENT_MATRIX_RESULTS"

versions_named() {
  local name version
  echo "containerd 1.6: $(containerd --version | cut -d' ' -f3), Debian's"
  while read -r name version _; do
    case $name in
      containerd-*) echo "${name/-/ }: ${version#v}" ;;
      nerdctl) echo "nerdctl: ${version#v}" ;;
    esac
  done < <("$here/build_clients.sh" --print)
}

page() {
  cat <<'END'
# Clients, measured

Every client on every version of containerd, set up by the pages here ([1.6](containerd-1.6.md), [1.7](containerd-1.7.md),
[2.x](containerd-2.x.md), [nerdctl](nerdctl.md)), with an image of 5 layers, 150 MB compressed: gzip for `here`, zstd for the
others. Each image was run, too.

- `here`: the registry, 172.30.0.1:5000, has its storage on this host. `lan`: it is at 10.1.2.3:5000, its storage elsewhere.
  `remote`: registry.example. `-auth`: it wants a password, which CRI has been given.
- Strategy: sluice's word for how it got the layers; `defer` is containerd's work because sluice can't, `containerd` because the
  client never asks sluice; `applied`: containerd fetched, sluice's differ unpacked.
- overlayfs: seconds of the same client for `here` with containerd's own snapshotter, in the same run.
- Asked: requests for layers that the registry answered.
- Setup: `docs` is the page's; `annotations` CRI's `disable_snapshot_annotations = false`; `no-export` without
  `enable_remote_snapshot_annotations`; `unknown-port` besides, sluice knows no registry's port, `+export` but for the
  annotations; `differ` the lines of the 1.7 page.

END
  versions_named | sed 's/^/- /'
  printf '\n%s, %s cores, memory file system. `sudo bazel run --config=opt //tests/clients:client_matrix -- --write` makes this page.\n\n' \
    "Linux $(uname -r | cut -d. -f1-2)" "$(nproc)"
  echo '| containerd | client | image | setup | strategy | seconds | overlayfs seconds | asked |'
  echo '|---|---|---|---|---|--:|--:|--:|'
  awk -F'\t' '{ printf "| %s | %s | %s | %s | %s | %s | %s | %s |\n", $2, $4, $5, $3, $6, $8, $9 == "" ? "–" : $9, $7 }' \
    "$CLIENT_MATRIX_RESULTS"
}

for version in 1.6 1.7 2.3 2.4; do "$here/client_matrix_test.sh" "$daemon" "$sluicectl" "$version" gzip >&2; done
page >"$work/page"
if [ "${3-}" = --write ]; then
  cp "$work/page" "$BUILD_WORKSPACE_DIRECTORY/docs/clients.md"
else
  cat "$work/page"
fi
