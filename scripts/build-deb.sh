#!/usr/bin/env bash
# Builds the Debian package:
#
#   scripts/build-deb.sh [--version VERSION] [DIRECTORY]    default: the tree's version, the current directory
#
# Prints the file's name. The same commit gives the same bytes: SOURCE_DATE_EPOCH is the commit's time if it is not set.
set -euo pipefail

usage() { echo "build-deb.sh: $* (usage: build-deb.sh [--version VERSION] [DIRECTORY])" >&2; exit 2; }
version='' directory=''
while [ $# -gt 0 ]; do
  case $1 in
    --version) [ $# -gt 1 ] || usage "--version needs one"; version=$2; shift ;;
    -*) usage "unknown flag '$1'" ;;
    *) [ -z "$directory" ] || usage "more than one directory"; directory=$1 ;;
  esac
  shift
done
directory=$(readlink -f "${directory:-.}")
[ -d "$directory" ] || usage "'$directory' is no directory"

cd "$(dirname "$(readlink -f "$0")")/.."
[ -n "$version" ] || version=$(sed -nE 's/.*kVersion\[\] = "(.*)".*/\1/p' base/version.h)
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
export SOURCE_DATE_EPOCH
cache_flags=()
[ -z "${SLUICE_CACHE-}" ] || cache_flags=(--disk_cache="$SLUICE_CACHE/bazel")
bazel build --config=opt "${cache_flags[@]}" //cmd:containerd-sluice-grpc //cmd:sluicectl >&2
bin=$(bazel info --config=opt bazel-bin 2>/dev/null)
out=$directory/containerd-sluice_${version}_$(dpkg --print-architecture).deb
packaging/make_deb.sh "$bin/cmd/containerd-sluice-grpc" "$bin/cmd/sluicectl" "$version" "$out"
echo "$out"
