#!/usr/bin/env bash
# The package containerd-sluice of two programs that are already built; scripts/build-deb.sh builds them first.
#   make_deb.sh DAEMON SLUICECTL VERSION OUT.deb
# The same programs and SOURCE_DATE_EPOCH (default 0) give the same bytes.
set -euo pipefail

die() { echo "make_deb.sh: $*" >&2; exit 1; }
[ $# = 4 ] || { echo "make_deb.sh: four arguments (usage: make_deb.sh DAEMON SLUICECTL VERSION OUT.deb)" >&2; exit 2; }
for program in "$1" "$2"; do [ -x "$program" ] || die "'$program' is no program"; done
daemon=$(readlink -f "$1") sluicectl=$(readlink -f "$2") version=$3 out=$4
here=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-0} LC_ALL=C
work=$(mktemp -d)
trap 'rm -rf "$work" "$out.part"' EXIT
umask 022

tree=$work/tree
doc=$tree/usr/share/doc/containerd-sluice
install -D -m 755 "$daemon" "$tree/usr/bin/containerd-sluice-grpc"
install -m 755 "$sluicectl" "$tree/usr/bin/sluicectl"
strip --strip-unneeded --remove-section=.comment "$tree"/usr/bin/*
install -D -m 644 "$here/containerd-sluice-grpc.service" "$tree/lib/systemd/system/containerd-sluice-grpc.service"
install -D -m 644 "$here/containerd-sluice-grpc.tmpfiles" "$tree/usr/lib/tmpfiles.d/containerd-sluice-grpc.conf"
install -D -m 644 -t "$doc" "$here/copyright" "$here/../README.md"
install -D -m 644 -t "$doc/docs" "$here"/../docs/*.md
# Everything at its default, as comments: what a later version does by default is not held back by this file.
mkdir -p "$tree/etc/containerd-sluice-grpc"
"$sluicectl" config default | sed -E '/^(#|$)/!s/^/# /' >"$tree/etc/containerd-sluice-grpc/config.toml"
"$sluicectl" config check "$tree/etc/containerd-sluice-grpc/config.toml" >/dev/null || die "the configuration is not valid"
printf 'containerd-sluice (%s) unstable; urgency=medium\n\n  * See README.md.\n\n -- The Sluice authors <sluice@localhost>  %s\n' \
  "$version" "$(date -u -R -d "@$SOURCE_DATE_EPOCH")" | gzip -9n >"$doc/changelog.gz"

# dpkg-shlibdeps wants a source tree around it.
mkdir "$work/debian"
printf 'Source: containerd-sluice\n\nPackage: containerd-sluice\nArchitecture: any\n' >"$work/debian/control"
depends=$(cd "$work" && dpkg-shlibdeps -O -e"$tree/usr/bin/containerd-sluice-grpc" -e"$tree/usr/bin/sluicectl" 2>"$work/log") ||
  die "dpkg-shlibdeps: $(tail -n 1 "$work/log")"
mkdir "$tree/DEBIAN"
sed -e "s/@VERSION@/$version/" -e "s/@ARCHITECTURE@/$(dpkg --print-architecture)/" \
  -e "s/@SIZE@/$(du -k -s --apparent-size --exclude=DEBIAN "$tree" | cut -f1)/" \
  -e "s/@DEPENDS@/${depends#shlibs:Depends=}, init-system-helpers (>= 1.51)/" "$here/control" >"$tree/DEBIAN/control"
echo /etc/containerd-sluice-grpc/config.toml >"$tree/DEBIAN/conffiles"
(cd "$tree" && find . -type f -not -path './DEBIAN/*' -not -path './etc/*' -printf '%P\n' | sort | xargs md5sum) >"$tree/DEBIAN/md5sums"
install -m 755 -t "$tree/DEBIAN" "$here/postinst" "$here/prerm" "$here/postrm"
dpkg-deb --root-owner-group -Zxz --build "$tree" "$out.part" >"$work/log" 2>&1 ||
  die "dpkg-deb: $(tail -n 1 "$work/log")"
# Whole or not at all.
mv "$out.part" "$out"
