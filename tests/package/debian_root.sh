#!/usr/bin/env bash
# Debian 12 as installed from nothing, for tests that need a machine of their own; made once, kept in $SLUICE_CACHE.
#
#   debian_root.sh NAME      prints the archive: $SLUICE_CACHE/roots/NAME-<what is in it>.tar
#
#   plain     what debootstrap gives, and apt as it is set up on this machine
#   node      with systemd, containerd and what containerd-sluice depends on, and Debian's own sluice
set -euo pipefail

die() { echo "debian_root.sh: $*" >&2; exit 1; }
here=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
roots=${SLUICE_CACHE:-$(cd "$here/../.." && pwd)/.cache}/roots
case ${1-} in
  plain) packages=() ;;
  node)
    packages=(systemd systemd-sysv dbus ca-certificates containerd runc docker-registry sluice iproute2 procps
      libabsl20220623 libarchive13 libcurl4 libsqlite3-0 libgoogle-glog0v6 libgrpc++1.51 libisal2 libre2-9 libtomlplusplus3
      libprometheus-cpp-core1.0 libprometheus-cpp-pull1.0)
    ;;
  *) echo "debian_root.sh: no Debian '${1-}' (usage: debian_root.sh plain|node)" >&2; exit 2 ;;
esac
archive=$roots/$1-$(sha256sum "$here/debian_root.sh" | cut -c1-12).tar
if [ -e "$archive" ]; then
  echo "$archive"
  exit 0
fi
[ "$(id -u)" = 0 ] || die "needs root"

mkdir -p "$roots"
exec 9>"$roots/.lock"
flock 9
# In a mount namespace of its own: whatever happens, nothing stays mounted.
if [ -z "${DEBIAN_ROOT_INSIDE-}" ]; then
  exec env DEBIAN_ROOT_INSIDE=1 unshare --mount --propagation private bash "$0" "$@"
fi
work=$roots/.making
rm -rf --one-file-system "$work"
mkdir "$work"
mount -t tmpfs -o mode=0755,nr_inodes=0 sluice-root "$work"
trap 'umount -R -l "$work" 2>/dev/null || true; rmdir "$work" 2>/dev/null || true' EXIT
root=$work/root
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Codename: bookworm' 'Component: main' | head -n 1)
[ -n "$mirror" ] || die "apt has no bookworm: apt-get update"
debootstrap --variant=minbase bookworm "$root" "$mirror" >"$work/log" 2>&1 || die "debootstrap: $(tail -n 3 "$work/log")"
# Debian's part of this machine's apt; the resolver of today is no part of an installation.
rm -f "$root/etc/apt/sources.list"
for part in /etc/apt/sources.list.d/debian.* /etc/apt/sources.list /etc/apt/apt.conf.d/99*; do
  [ ! -e "$part" ] || cp "$part" "$root${part}"
done
if [ ${#packages[@]} -gt 0 ]; then
  printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
  chmod 755 "$root/usr/sbin/policy-rc.d"
  cp /etc/resolv.conf "$root/etc/resolv.conf"
  mount -t proc proc "$root/proc"
  mount --rbind /dev "$root/dev"
  chroot "$root" sh -ec 'apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"' sh "${packages[@]}" \
    >"$work/log" 2>&1 || die "apt-get: $(tail -n 3 "$work/log")"
  umount "$root/proc"
  umount -R -l "$root/dev"
  rm "$root/usr/sbin/policy-rc.d"
fi
rm -rf "$root"/etc/resolv.conf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
rm -f "$roots/$1"-*
tar -C "$root" --xattrs --one-file-system --numeric-owner -cf "$archive.new" .
mv "$archive.new" "$archive"
echo "$archive"
