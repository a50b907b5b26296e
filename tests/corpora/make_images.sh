#!/usr/bin/env bash
# Real test images, made on the spot from Debian's packages as OCI layouts, tag "1":
#
#   tests/corpora/make_images.sh small     small-gzip, small-zstd: ~150 MB compressed; runnable; every kind of entry
#   tests/corpora/make_images.sh big       big-gzip, big-zstd: over 800 MB compressed, one layer over 400 MB;
#                                          fat-gzip: the same packages in one layer
#   tests/corpora/make_images.sh bench     many-files-gzip and the other synthetic ones of tests/bench
#
# Result: $SLUICE_CACHE/images/<name> (default <repository>/.cache/images/<name>), kept between runs; a second run only
# checks. A set is built aside and renamed into place, under a lock: an interrupted run leaves nothing, two at once
# build once. The bytes depend on this folder's scripts and on the versions of the packages in Debian's archive.
set -euo pipefail
export LC_ALL=C.UTF-8
umask 022

here=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
cache=${SLUICE_CACHE:-$(cd "$here/../.." && pwd)/.cache}
readonly here cache
# Nothing in an image is younger than this.
readonly EPOCH=1735689600
# Where a set is made; its scratch directory is inside.
out=''

# shellcheck source=tests/corpora/oci_layout.sh
. "$here/oci_layout.sh"
# shellcheck source=tests/corpora/layer_trees.sh
. "$here/layer_trees.sh"

readonly IMAGE_CONFIG='{
  "User": "daemon",
  "ExposedPorts": {"8080/tcp": {}, "53/udp": {}},
  "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "GREETING=a=b c", "EMPTY="],
  "Entrypoint": ["/srv/app/hello"],
  "Cmd": ["from", "cmd"],
  "Volumes": {"/srv/data": {}},
  "WorkingDir": "/srv/app",
  "Labels": {"org.opencontainers.image.title": "sluice test image", "com.example.empty": ""},
  "StopSignal": "SIGTERM"
}'

# Sizes are Debian 12's, of the .deb files.
readonly SMALL_PACKAGES=(git vim-runtime python3.11-minimal libpython3.11-minimal libpython3.11-stdlib
  perl-modules-5.36 cpp-12 gcc-12 binutils-x86-64-linux-gnu iputils-ping file libmagic-mgc python3-scipy) # ~75 MB
readonly TOOLCHAIN_PACKAGES=(golang-1.19-go openjdk-17-jre-headless openjdk-17-jdk-headless cpp-12 gcc-12 g++-12
  libclang-14-dev llvm-14-dev libllvm14 libstd-rust-dev ghc) # ~400 MB
readonly DOCUMENTATION_PACKAGES=(linux-doc-6.1 rust-doc golang-1.19-src) # ~70 MB
readonly OFFICE_PACKAGES=(libreoffice-core libreoffice-common fonts-noto-cjk python3-scipy blender blender-data
  vim-runtime git) # ~200 MB

usage() {
  echo "make_images.sh: $* (usage: make_images.sh small|big|bench)" >&2
  exit 2
}
die() { echo "make_images.sh: $*" >&2; exit 1; }

# A set's version: the text that makes it. Another text, another set.
version_of() { # SET
  local -a sources=("$here/make_images.sh" "$here/oci_layout.sh")
  case $1 in
    small) sources+=("$here/layer_trees.sh") ;;
    bench) sources+=("$here/synthetic_tar.py") ;;
  esac
  cat "${sources[@]}" | sha256sum | cut -c1-16
}

is_made() { # SET
  [ "$(cat "$cache/images/$1.version" 2>/dev/null)" = "$(version_of "$1")" ]
}

# --- from Debian's archive ---

debian_mirror() {
  apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' 2>/dev/null |
    awk '$2 == "bookworm" { print $1; exit }' | grep . || echo http://deb.debian.org/debian
}

ensure_package_lists() {
  apt-get download --print-uris base-files >/dev/null 2>&1 && return
  apt-get update -qq || die "apt-get update failed: the images are made from Debian's packages"
}

# The base layer is also kept by itself: it is the slow part, and every set starts with it.
make_base() { # -> $scratch/base
  local kept=$cache/images/base.tar
  mkdir "$scratch/base"
  if [ -e "$kept" ]; then
    tar -C "$scratch/base" --xattrs --xattrs-include='*' --numeric-owner -xpf "$kept"
    return
  fi
  SOURCE_DATE_EPOCH=$EPOCH debootstrap --variant=minbase bookworm "$scratch/base" "$(debian_mirror)" \
    >"$scratch/debootstrap.log" 2>&1 || die "debootstrap: $(tail -n 3 "$scratch/debootstrap.log" | tr '\n' ' ')"
  (
    cd "$scratch/base"
    rm -rf etc/*- var/cache/apt/* var/lib/apt/lists/* var/log/* var/cache/ldconfig/aux-cache tmp/* run/*
    : >etc/machine-id
    : >etc/resolv.conf
    echo sluice >etc/hostname
    # The day of the last password change is the day of the build.
    sed -i -E 's/^([^:]*:[^:]*):[0-9]+:/\1:20089:/' etc/shadow
  )
  tar_layer "$scratch/base" "$kept.new"
  mv "$kept.new" "$kept"
}

# extract_packages DIR NAME...: the files of packages, without their scripts, on a merged-/usr layout.
extract_packages() {
  local dir=$1 top
  shift
  mkdir -p "$dir" "$scratch/debs"
  (cd "$scratch/debs" && apt-get download -qq -o APT::Sandbox::User=root "$@") || die "apt-get download failed"
  for deb in "$scratch"/debs/*.deb; do dpkg -x "$deb" "$dir"; done
  rm -rf "$scratch/debs"
  # /lib as a directory would replace the base's link.
  for top in bin sbin lib lib64; do
    [ -d "$dir/$top" ] || continue
    mkdir -p "$dir/usr/$top"
    cp -a "$dir/$top/." "$dir/usr/$top/"
    rm -rf "${dir:?}/$top"
  done
}

# --- layers ---

# tar_names DIR TAR: the names on stdin, NUL-ended, nothing besides. Alone in a pid namespace, because GNU tar writes
# its pid into the header of a sparse file.
tar_names() {
  LC_ALL=C unshare --pid --fork --kill-child tar -C "$1" --format=pax --no-recursion --null --verbatim-files-from -T - \
    --numeric-owner --xattrs --xattrs-include='*' --xattrs-exclude='security.selinux' --sparse \
    --mtime=@$EPOCH --clamp-mtime --pax-option='exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime' -cf "$2"
}

list_sorted() { (cd "$1" && find . -mindepth 1 -print0 | LC_ALL=C sort -z | sed -z 's,^\./,,'); }

tar_layer() { list_sorted "$1" | tar_names "$1" "$2"; }
# A newline in a name would not survive the trip through awk; the deletions layer has none.
tar_deletions() { list_sorted "$1" | tr '\0' '\n' | order_deletions | tr '\n' '\0' | tar_names "$1" "$2"; }
tar_implied() { (cd "$1" && find . -type f -print0 | LC_ALL=C sort -z | sed -z 's,^\./,,') | tar_names "$1" "$2"; }

add_layer() { # HOW DIR COMMENT LAYOUT...
  local how=$1 dir=$2 comment=$3
  shift 3
  "$how" "$dir" "$scratch/layer.tar"
  layout_add_layer "$scratch/layer.tar" "$comment" "$@"
  rm "$scratch/layer.tar"
}

# --- sets ---

make_small() {
  local -a layouts=("$out/small-gzip" "$out/small-zstd")
  for layout in "${layouts[@]}"; do layout_begin "$layout"; done
  make_base
  add_layer tar_layer "$scratch/base" "debootstrap --variant=minbase bookworm" "${layouts[@]}"
  extract_packages "$scratch/packages" "${SMALL_PACKAGES[@]}"
  add_layer tar_layer "$scratch/packages" "dpkg -x ${SMALL_PACKAGES[*]}" "${layouts[@]}"
  # On the disk: before Linux 6.6 tmpfs has no user.* attributes.
  fill_odd "$out/odd" "$scratch/base"
  add_layer tar_layer "$out/odd" "every kind of entry" "${layouts[@]}"
  fill_deletions "$scratch/deletions"
  add_layer tar_deletions "$scratch/deletions" "deletions" "${layouts[@]}"
  fill_implied "$scratch/implied"
  add_layer tar_implied "$scratch/implied" "implied directories" "${layouts[@]}"
  chmod -R u+rwx "$out/odd" && rm -rf "$out/odd"
  for layout in "${layouts[@]}"; do layout_finish "$layout" 1 "$IMAGE_CONFIG"; done
}

make_big() {
  local -a layouts=("$out/big-gzip" "$out/big-zstd")
  for layout in "${layouts[@]}" "$out/fat-gzip"; do layout_begin "$layout"; done
  make_base
  mv "$scratch/base" "$scratch/all"
  add_layer tar_layer "$scratch/all" "debootstrap --variant=minbase bookworm" "${layouts[@]}"
  for part in TOOLCHAIN DOCUMENTATION OFFICE; do
    local -n packages=${part}_PACKAGES
    extract_packages "$scratch/part" "${packages[@]}"
    add_layer tar_layer "$scratch/part" "dpkg -x ${packages[*]}" "${layouts[@]}"
    cp -al "$scratch/part/." "$scratch/all/" 2>/dev/null || cp -a "$scratch/part/." "$scratch/all/"
    rm -rf "$scratch/part"
  done
  mkdir -p "$scratch/deletions/usr/share/doc"
  : >"$scratch/deletions/usr/share/doc/.wh.rust-doc"
  : >"$scratch/deletions/usr/share/doc/.wh.linux-doc-6.1"
  add_layer tar_layer "$scratch/deletions" "deletions" "${layouts[@]}"
  add_layer tar_layer "$scratch/all" "everything in one layer" "$out/fat-gzip"
  for layout in "${layouts[@]}" "$out/fat-gzip"; do layout_finish "$layout" 1 "$IMAGE_CONFIG"; done
}

make_bench() {
  local name
  for name in many-files repeat-1000x10k repeat-2000x25k layer-4g entries-2m; do
    layout_begin "$out/$name-gzip"
    python3 "$here/synthetic_tar.py" "$name" >"$scratch/layer.tar"
    layout_add_layer "$scratch/layer.tar" "$name" "$out/$name-gzip"
    rm "$scratch/layer.tar"
    layout_finish "$out/$name-gzip" 1 '{}'
  done
}

# Runs in a mount namespace of its own, so that the scratch file system and whatever debootstrap mounts go with it.
build() { # SET
  local set=$1 free_kib need_kib layout
  scratch=$out/scratch
  mkdir "$scratch"
  free_kib=$(awk '/^MemAvailable:/ { print $2 }' /proc/meminfo)
  case $set in small) need_kib=$((3 << 20)) ;; *) need_kib=$((14 << 20)) ;; esac
  if [ "$free_kib" -gt "$need_kib" ]; then
    mount -t tmpfs -o "size=${need_kib}k,nr_inodes=0" sluice-images "$scratch"
  fi
  [ "$set" = bench ] || ensure_package_lists
  "make_$set"
  for layout in "$out"/*-gzip "$out"/*-zstd; do
    [ -d "$layout" ] || continue
    echo "make_images.sh: ${layout##*/}: $(du -sm "$layout/blobs" | cut -f1) MB"
  done
}

main() {
  [ $# = 1 ] || usage "one set at a time"
  case $1 in small | big | bench) ;; *) usage "no set '$1'" ;; esac
  local set=$1 layout status=0
  if is_made "$set"; then return; fi
  [ "$(id -u)" = 0 ] || die "needs root: the images hold device nodes and foreign owners"
  for tool in debootstrap setcap setfattr jq zstd python3; do
    command -v "$tool" >/dev/null || die "$tool is not installed: run scripts/install-deps.sh"
  done
  mkdir -p "$cache/images"
  exec 9>"$cache/images/.lock"
  flock 9
  if is_made "$set"; then return; fi
  rm -rf "$cache"/images/.making-*
  out=$cache/images/.making-$$
  mkdir "$out"
  trap 'chmod -R u+rwx "$out" 2>/dev/null; rm -rf "$out"' EXIT
  SECONDS=0
  echo "make_images.sh: making the $set set from Debian's packages"
  unshare --mount --propagation private bash "$here/make_images.sh" --build "$set" "$out" || status=$?
  [ "$status" = 0 ] || exit "$status"
  for layout in "$out"/*-gzip "$out"/*-zstd; do
    [ -d "$layout" ] || continue
    rm -rf "$cache/images/${layout##*/}"
    mv "$layout" "$cache/images/"
  done
  version_of "$set" >"$out/version"
  mv "$out/version" "$cache/images/$set.version"
  echo "make_images.sh: $set set made in ${SECONDS} s, in $cache/images"
}

if [ "${1-}" = --build ]; then
  out=$3
  build "$2"
else
  main "$@"
fi
