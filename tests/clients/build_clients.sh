#!/usr/bin/env bash
# The clients that people use, in the versions that are tested, built from the Go module proxy:
#
#   tests/clients/build_clients.sh             all of them
#   tests/clients/build_clients.sh NAME...     of: containerd-1.7 containerd-2.3 containerd-2.4 nerdctl cri_client
#   tests/clients/build_clients.sh --print     "NAME VERSION DIRECTORY" a line, nothing is built
#
# Result: $SLUICE_CACHE/clients/<name>-<version> (default <repository>/.cache), each renamed into place when it is whole;
# a second run only checks. Needs Debian's Go, which is too old for these modules and fetches the toolchain that is not;
# neither Go nor a module is kept. containerd 1.6, runc and the CNI plugins are Debian's packages.
set -euo pipefail

# --- versions: the only place that names them ---
readonly TOOLCHAIN=go1.26.8
readonly CONTAINERD_1_7=v1.7.35
readonly CONTAINERD_2_3=v2.3.7 # the LTS
readonly CONTAINERD_2_4=v2.4.2
readonly NERDCTL=v2.3.5

here=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
clients=${SLUICE_CACHE:-$(cd "$here/../.." && pwd)/.cache}/clients
readonly here clients

die() { echo "build_clients.sh: $*" >&2; exit 1; }

version_of() { # NAME
  case $1 in
    containerd-1.7) echo "$CONTAINERD_1_7" ;;
    containerd-2.3) echo "$CONTAINERD_2_3" ;;
    containerd-2.4) echo "$CONTAINERD_2_4" ;;
    nerdctl) echo "$NERDCTL" ;;
    cri_client) cat "$here"/cri_client/* | sha256sum | cut -c1-12 ;;
    *)
      echo "build_clients.sh: no client '$1' (usage: build_clients.sh [--print] [NAME...])" >&2
      exit 2
      ;;
  esac
}
directory_of() { echo "$clients/$1-$(version_of "$1")"; } # NAME

# --- Go ---

# toolchain: puts the Go of $TOOLCHAIN into PATH. As a module it has lost its execute bits.
toolchain() {
  local architecture root debian=/usr/lib/go-1.19/bin/go
  case $(uname -m) in
    x86_64) architecture=amd64 ;;
    aarch64) architecture=arm64 ;;
    *) die "no Go toolchain for $(uname -m)" ;;
  esac
  [ -x "$debian" ] || die "$debian is not installed: run scripts/install-deps.sh"
  root=$("$debian" mod download -json "golang.org/toolchain@v0.0.1-$TOOLCHAIN.linux-$architecture" | jq -er .Dir) ||
    die "the module proxy has no $TOOLCHAIN"
  chmod -R u+x "$root/bin" "$root/pkg/tool"
  PATH=$root/bin:$PATH
}

# module_source MODULE@VERSION: a writable copy of its source in $source.
module_source() {
  local directory
  directory=$(cd "$work" && go mod download -json "$1" | jq -er .Dir) || return 1
  source=$work/source
  rm -rf "$source"
  cp -r "$directory" "$source"
}

# build OUT PACKAGE [LDFLAGS]
build() { (cd "$source" && go build -ldflags "-s -w ${3-}" -o "$1" "$2"); }

# Debian has headers for btrfs only in a package that nothing else here needs.
containerd_programs() { # MODULE VERSION DIR
  local program
  module_source "$1@$2"
  for program in containerd ctr containerd-shim-runc-v2; do
    GOFLAGS="$GOFLAGS -tags=no_btrfs,no_zfs,no_devmapper,no_aufs" \
      build "$3/$program" "./cmd/$program" "-X $1/version.Version=$2"
  done
}

make_client() { # NAME DIR
  case $1 in
    containerd-1.*) containerd_programs github.com/containerd/containerd "$(version_of "$1")" "$2" ;;
    containerd-2.*) containerd_programs github.com/containerd/containerd/v2 "$(version_of "$1")" "$2" ;;
    nerdctl)
      module_source "github.com/containerd/nerdctl/v2@$NERDCTL"
      # Its tests' own module, of which no proxy has this version, and the one file of the program that needs it.
      rm "$source/cmd/nerdctl/helpers/testing_linux.go"
      mkdir -p "$source/mod/tigron"
      echo 'module github.com/containerd/nerdctl/mod/tigron' >"$source/mod/tigron/go.mod"
      build "$2/nerdctl" ./cmd/nerdctl "-X github.com/containerd/nerdctl/v2/pkg/version.Version=$NERDCTL"
      ;;
    cri_client)
      source=$here/cri_client
      build "$2/cri_client" .
      ;;
  esac
}

# --- all of it ---

if [ "${1-}" = --print ]; then
  for name in containerd-1.7 containerd-2.3 containerd-2.4 nerdctl cri_client; do
    echo "$name $(version_of "$name") $(directory_of "$name")"
  done
  exit 0
fi

names=("$@")
[ $# -gt 0 ] || names=(containerd-1.7 containerd-2.3 containerd-2.4 nerdctl cri_client)
for name in "${names[@]}"; do version_of "$name" >/dev/null; done
missing=()
find_missing() {
  local name
  missing=()
  for name in "${names[@]}"; do [ -d "$(directory_of "$name")" ] || missing+=("$name"); done
}
find_missing
[ ${#missing[@]} -gt 0 ] || exit 0
mkdir -p "$clients"
exec 9>"$clients/.lock"
flock 9
find_missing
[ ${#missing[@]} -gt 0 ] || exit 0

rm -rf "$clients"/.building-*
work=$(mktemp -d "$clients/.building-XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
export GO111MODULE=on GOTOOLCHAIN=local GOFLAGS=-modcacherw GOPATH=$work/path GOCACHE=$work/cache CGO_ENABLED=0 GOWORK=off
unset GOROOT
toolchain
for name in "${missing[@]}"; do
  started=$SECONDS
  mkdir "$work/out"
  make_client "$name" "$work/out" >"$work/log" 2>&1 || die "$name $(version_of "$name") does not build: $(tail -n 5 "$work/log")"
  # Another version of the same client is of no use any more.
  rm -rf "$clients/$name"-*
  mv "$work/out" "$(directory_of "$name")"
  echo "build_clients.sh: $name $(version_of "$name") in $((SECONDS - started)) s, $(du -sm "$(directory_of "$name")" | cut -f1) MB"
done
