#!/usr/bin/env bash
# Makes the images and what to compare with, then measures in a mount namespace of its own (bench.py).
#
#   bazel run --config=opt //tests/bench:bench -- [--repeats N] [--only IMAGE]...
#
# Prints a Markdown table on stdout, progress on stderr.
set -euo pipefail

here=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
repository=$(cd "$here/../.." && pwd)
export SLUICE_CACHE=${SLUICE_CACHE:-$repository/.cache}
sluicectl=$(readlink -f "$1")
shift

[ "$(id -u)" = 0 ] || { echo "bench: needs root: it mounts file systems and unpacks foreign owners" >&2; exit 1; }

# umoci knows zstd since 0.5, Debian 12 has 0.4.7. The module needs a newer Go than Debian's; without one that row has
# no peer, and says so.
umoci_version=v0.6.0
umoci_zstd=$SLUICE_CACHE/tools/umoci-$umoci_version
build_umoci() { # DIR; `go install` refuses a module that replaces others, as umoci's does
  export GO111MODULE=on GOFLAGS=-modcacherw GOPATH=$1/path GOCACHE=$1/cache
  local source
  source=$(cd "$1" && go mod download -json "github.com/opencontainers/umoci@$umoci_version" | jq -er .Dir) || return 1
  (cd "$source" && go build -o "$1/umoci" ./cmd/umoci)
}
install_umoci() {
  local building
  [ ! -x "$umoci_zstd" ] || return 0
  mkdir -p "$SLUICE_CACHE/tools"
  building=$(mktemp -d "$SLUICE_CACHE/tools/.building-XXXXXX")
  if (build_umoci "$building") 2>"$building/log"; then
    mv "$building/umoci" "$umoci_zstd"
  else
    echo "bench: umoci $umoci_version does not build here: $(tail -n 1 "$building/log")" >&2
  fi
  chmod -R u+w "$building"
  rm -rf "$building"
}
install_umoci

for set in big bench; do "$repository/tests/corpora/make_images.sh" "$set" >&2; done

exec unshare --mount --propagation private python3 "$here/bench.py" --sluicectl "$sluicectl" \
  --images "$SLUICE_CACHE/images" --umoci-zstd "$umoci_zstd" "$@"
