#!/usr/bin/env bash
# Installs everything that building and testing needs on Debian 12, and nothing else. Idempotent: a second run
# only checks. This list is the only place where a package of ours is named with its version.
#
#   scripts/install-deps.sh            build + tests + quickstart
#   scripts/install-deps.sh --build    only what `bazel build //cmd/...` and scripts/build-deb.sh need
#
# Versions are pinned by series ("1.51.*"): Debian replaces a package by its security update and takes the old file
# away, so an exact revision would stop working on the day of the update.
set -euo pipefail

die() { echo "install-deps: $*" >&2; exit 1; }
usage() { echo "install-deps.sh: $* (usage: install-deps.sh [--build])" >&2; exit 2; }
# shellcheck source=scripts/lib.sh
. "$(dirname "$(readlink -f "$0")")/lib.sh"

build_packages=(
  bazel-bootstrap=4.2.*
  g++=4:12.*
  pkg-config=1.8.*
  protobuf-compiler=3.21.*
  protobuf-compiler-grpc=1.51.*
  libprotobuf-dev=3.21.*
  libgrpc++-dev=1.51.*
  libabsl-dev=20220623.*
  libarchive-dev=3.6.*
  libcurl4-openssl-dev=7.88.*
  libgoogle-glog-dev=0.6.*
  libisal-dev=2.30.*
  libzstd-dev=1.5.*
  libssl-dev=3.0.*
  libsqlite3-dev=3.40.*
  libext2fs-dev=1.47.*
  libre2-dev=20220601*
  nlohmann-json3-dev=3.11.*
  libtomlplusplus-dev=3.3.*
  libcli11-dev=2.1.*
  prometheus-cpp-dev=1.0.*
  dpkg-dev=1.21.*
)

test_packages=(
  ca-certificates=2023*
  git=1:2.39.*
  libgtest-dev=1.12.*
  libgmock-dev=1.12.*
  zlib1g-dev=1:1.2.13*
  clang-format=1:14.*
  golang-go=2:1.19*
  golang-github-containerd-containerd-dev=1.6.*
  containerd=1.6.*
  runc=1.1.*
  docker-registry=2.8.*
  umoci=0.4.*
  skopeo=1.9.*
  buildah=1.28.*
  debootstrap=1.0.*
  systemd=252.*
  isal=2.30.*
  pigz=2.6*
  zstd=1.5.*
  iproute2=6.*
  procps=2:4.*
  attr=1:2.5.*
  libcap2-bin=1:2.66*
  jq=1.6*
  e2fsprogs=1.47.*
  erofs-utils=1.5*
  fakeroot=1.31*
  strace=6.*
  curl=7.88.*
  python3=3.*
  prometheus=2.42.*
  python3-prometheus-client=0.16.*
)

packages=("${build_packages[@]}")
[ $# -le 1 ] || usage "too many arguments"
case "${1-}" in
  '') packages+=("${test_packages[@]}") ;;
  --build) ;;
  -h | --help) print_help; exit 0 ;;
  *) usage "unknown argument '$1'" ;;
esac

# shellcheck disable=SC1091
. /etc/os-release
[ "${ID-}" = debian ] && [ "${VERSION_ID-}" = 12 ] || die "Debian 12 is the system that is tested; this is ${PRETTY_NAME-unknown}"
command -v apt-get >/dev/null || die "apt-get not found"

missing=()
for package in "${packages[@]}"; do
  name=${package%%=*}
  state=$(dpkg-query -W -f '${db:Status-Abbrev}' "$name" 2>/dev/null || true)
  [ "$state" = 'ii ' ] || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
  echo "install-deps: all ${#packages[@]} packages are installed"
  exit 0
fi
[ "$(id -u)" = 0 ] || die "needs root to install: ${missing[*]%%=*}"

# Debian's containerd and docker-registry units would start daemons on a developer's machine: the tests use private
# ones. policy-rc.d is how Debian lets an administrator say so; a present one is left alone.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
  trap 'rm -f "$policy"' EXIT
fi

echo "install-deps: installing ${#missing[@]} packages: ${missing[*]%%=*}"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
echo "install-deps: done"
