#!/usr/bin/env bash
# Runs buildifier at the one version that everybody uses: the way a BUILD file is formatted changes between versions, and
# Debian has no package. Installed from the Go module proxy by Debian's Go, once, into $SLUICE_CACHE/tools.
#
#   scripts/buildifier.sh              formats every BUILD and .bzl file
#   scripts/buildifier.sh --check      only says which are not formatted
set -euo pipefail

version=v0.0.0-20240918101019-be1c24cc9a44 # buildtools has no v-tags; the last that Go 1.19 compiles
go=/usr/lib/go-1.19/bin/go

die() { echo "buildifier.sh: $*" >&2; exit 1; }

cd "$(dirname "$(readlink -f "$0")")/.."
case "${1-}" in
  '') mode=fix ;;
  --check) mode=check ;;
  *) echo "buildifier.sh: unknown argument '$1' (usage: buildifier.sh [--check])" >&2; exit 2 ;;
esac

tools=${SLUICE_CACHE:-$PWD/.cache}/tools
buildifier=$tools/buildifier-$version
if [ ! -x "$buildifier" ]; then
  [ -x "$go" ] || die "$go is missing: run scripts/install-deps.sh"
  mkdir -p "$tools"
  building=$(mktemp -d "$tools/.building-XXXXXX")
  trap 'chmod -R u+w "$building"; rm -rf "$building"' EXIT
  GO111MODULE=on GOFLAGS=-mod=mod GOPATH=$building/path GOCACHE=$building/cache GOBIN=$building/bin \
    "$go" install "github.com/bazelbuild/buildtools/buildifier@$version" 2>"$building/log" ||
    die "cannot be installed: $(tail -n 1 "$building/log")"
  mv "$building/bin/buildifier" "$buildifier"
  chmod -R u+w "$building"
  rm -rf "$building"
  trap - EXIT
fi

git ls-files -z --cached --others --exclude-standard -- '*BUILD' '*BUILD.bazel' '*WORKSPACE' '*.bzl' |
  xargs -0 "$buildifier" --lint=off --mode="$mode"
