#!/usr/bin/env bash
# Builds the Debian package, as any user:
#
#   scripts/build-deb.sh [--version VERSION] [DIRECTORY]    default: one for each commit, higher for later ones; the
#                                                           current directory
#
# Prints the file's name. The same commit gives the same bytes: SOURCE_DATE_EPOCH is the commit's time if it is not set.
# Nothing is left running, also after Ctrl-C; a Bazel server that was there before stays. SLUICE_CACHE, if it is set: where
# Bazel's disk cache is kept.
set -euo pipefail

usage() { echo "build-deb.sh: $* (usage: build-deb.sh [--version VERSION] [DIRECTORY])" >&2; exit 2; }
die() { echo "build-deb.sh: $*" >&2; exit 1; }
here=$(dirname "$(readlink -f "$0")")
# shellcheck source=scripts/lib.sh
. "$here/lib.sh"
version='' directory=''
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) print_help; exit 0 ;;
    --version)
      [[ ${2-} =~ ^[0-9][0-9A-Za-z.+~-]*$ ]] || usage "--version needs one that begins with a digit, as Debian's do"
      version=$2
      shift
      ;;
    -*) usage "unknown flag '$1'" ;;
    *) [ -z "$directory" ] || usage "more than one directory"; directory=$1 ;;
  esac
  shift
done
[ -d "${directory:=.}" ] || usage "'$directory' is no directory"
[ -w "$directory" ] || die "'$directory' can't be written"
directory=$(readlink -f "$directory")

cd "$here/.."
for tool in bazel strip dpkg-shlibdeps; do
  command -v "$tool" >/dev/null || die "$tool is not installed: run scripts/install-deps.sh --build as root"
done
committed() { TZ=UTC0 git -c core.abbrev=10 log -1 --date=format-local:%Y%m%d.%H%M%S --format="$1" 2>/dev/null; } # FORMAT
[ -n "$version" ] || version=$(sed -nE 's/.*kVersion\[\] = "(.*)".*/\1/p' base/version.h)$(committed '+git%cd.%h' || true)
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(committed %ct || echo 0)}
bazel=(bazel)
flags=(--config=opt)
[ -z "${SLUICE_CACHE-}" ] || flags+=(--disk_cache="$SLUICE_CACHE/bazel")

trap release_bazel EXIT
# Bazel answers a Ctrl-C by an exit code, after which bash would go on.
trap 'exit 130' INT
trap 'exit 143' TERM
claim_bazel
bazel build "${flags[@]}" //cmd:containerd-sluice-grpc //cmd:sluicectl >&2
bin=$(bazel info "${flags[@]}" bazel-bin 2>/dev/null)
out=$directory/containerd-sluice_${version}_$(dpkg --print-architecture).deb
packaging/make_deb.sh "$bin/cmd/containerd-sluice-grpc" "$bin/cmd/sluicectl" "$version" "$out"
echo "$out"
