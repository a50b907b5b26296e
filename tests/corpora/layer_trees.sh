# shellcheck shell=bash
# The layers that no package brings: every kind of entry, deletions, implied directories. Each function fills the
# empty directory DIR. Sourced; the caller has `set -euo pipefail`, is root, and passes the base's tree where one needs
# a real program. What the layers are to become stands beside the entries: the tests rely on it.

# fill_odd DIR BASE: one of each thing that a tar can hold, and the trees that the next layers delete from.
fill_odd() {
  local odd=$1/srv/odd base=$2
  mkdir -p "$odd"
  fill_modes "$odd" "$base"
  fill_names "$odd"
  fill_links "$odd"
  fill_sparse "$odd"
  fill_xattrs "$odd"
  fill_victims "$1/srv/tree"
  fill_app "$1/srv/app"
  # Times with nanoseconds, on a file and on a directory that has entries.
  touch -d '2021-03-04T05:06:07.123456789Z' "$odd/plain"
  touch -d '2019-12-31T23:59:59.999999999Z' "$odd/names"
}

fill_modes() { # ODD BASE
  local odd=$1 base=$2
  echo plain >"$odd/plain"
  install -m 4755 "$base/usr/bin/true" "$odd/setuid-root"
  install -m 6711 -o 1000 -g 1001 "$base/usr/bin/true" "$odd/setuid-setgid-user"
  install -m 0755 "$base/usr/bin/true" "$odd/capable"
  setcap cap_net_bind_service,cap_net_raw+ep "$odd/capable"
  install -m 0000 /dev/null "$odd/mode-0000"
  install -d -m 1777 "$odd/sticky"
  install -d -m 2775 -o 1000 -g 1001 "$odd/setgid-directory"
  install -d -m 0000 "$odd/closed"
  echo behind >"$odd/closed/file"
  echo far >"$odd/large-owner" # beyond the 2097151 that ustar's octal fields hold
  chown 3000000:4000000 "$odd/large-owner"
  mknod -m 0666 "$odd/null" c 1 3
  mknod -m 0600 "$odd/loop" b 7 300 # a minor over 255
  chown 0:6 "$odd/loop"
  mkfifo -m 0640 "$odd/fifo"
}

fill_names() { # ODD
  local names=$1/names deep i
  mkdir -p "$names"
  echo 1 >"$names/Grüße 世界 🚰"
  echo 2 >"$names/"$'latin-1 caf\xe9'
  echo 3 >"$names/"$'not \xff\xfe utf-8'
  echo 4 >"$names/"$'new\nline'
  echo 5 >"$names/back\\slash \"quote\" 'tick' \$dollar"
  echo 6 >"$names/-dash"
  echo 7 >"$names/..dots"
  echo 8 >"$names/wh.not-a-whiteout"
  echo 9 >"$names/ trailing "
  echo 10 >"$names/$(printf 'n%.0s' {1..255})"
  deep=$names
  for i in {1..12}; do deep+=/$(printf "$i%.0s" {1..60}); done
  mkdir -p "$deep"
  echo 11 >"$deep/more than 255 bytes below"
}

fill_links() { # ODD
  local links=$1/links
  mkdir -p "$links/sub"
  echo shared >"$links/first"
  ln "$links/first" "$links/second"
  ln "$links/first" "$links/sub/third"
  ln -s first "$links/symbolic"
  ln "$links/symbolic" "$links/symbolic-twin" # a hard link to a symbolic link
  ln "$1/fifo" "$links/fifo-twin"
  ln -s /etc/hostname "$links/absolute"
  ln -s ../../../../../../etc/passwd "$links/above-the-root"
  ln -s nowhere "$links/dangling"
  ln -s "$(printf 'long/%.0s' {1..60})end" "$links/long-target"
  ln -s $'caf\xe9' "$links/latin-1-target"
}

fill_sparse() { # ODD
  local sparse=$1/sparse
  mkdir -p "$sparse"
  truncate -s 64M "$sparse/three-islands"
  printf head | dd of="$sparse/three-islands" conv=notrunc status=none
  printf middle | dd of="$sparse/three-islands" bs=1M seek=31 conv=notrunc status=none
  printf tail | dd of="$sparse/three-islands" bs=1M seek=62 conv=notrunc status=none
  truncate -s 1M "$sparse/all-hole"
  truncate -s 5M "$sparse/ends-in-hole"
  printf data | dd of="$sparse/ends-in-hole" conv=notrunc status=none
}

fill_xattrs() { # ODD
  mkdir "$1/xattrs"
  echo attributes >"$1/xattrs/file"
  setfattr -n user.text -v "plain text" "$1/xattrs/file"
  setfattr -n user.binary -v 0x000a3d00ff "$1/xattrs/file"
  setfattr -n user.empty "$1/xattrs/file"
  setfattr -n trusted.sluice -v "for root only" "$1/xattrs/file"
  setfattr -n user.on-directory -v yes "$1/xattrs"
}

# What fill_deletions and fill_implied find below them.
fill_victims() { # TREE
  local tree=$1 name
  mkdir -p "$tree"
  echo gone >"$tree/delete-file"
  echo stays >"$tree/keep-file"
  for name in delete-directory opaque-first opaque-last reborn directory-to-file directory-to-link; do
    mkdir -p "$tree/$name/sub/deeper"
    echo old >"$tree/$name/old"
    echo old >"$tree/$name/sub/deeper/old"
  done
  echo old >"$tree/file-to-directory"
  mkdir "$tree/target"
  ln -s target "$tree/link-to-directory"
  ln -s target "$tree/linked"
  # Owner, mode and times that an implied directory must keep.
  install -d -m 0751 -o 1000 -g 1001 "$tree/implied"
  echo old >"$tree/implied/old"
  setfattr -n user.kept -v yes "$tree/implied"
  touch -d '2020-02-02T02:02:02.020202020Z' "$tree/implied"
}

fill_app() { # APP
  mkdir -p "$1"
  cat >"$1/hello" <<'END'
#!/bin/sh
. /etc/os-release
echo "hello from $PRETTY_NAME: $(ls /usr/bin | wc -l) programs in /usr/bin, user $(id -un), in $(pwd), GREETING=$GREETING"
END
  chmod 755 "$1/hello"
}

# fill_deletions DIR: whiteouts at several places, in the tar's order of names (a marker first or last among its
# siblings is decided by order_deletions).
fill_deletions() {
  local tree=$1/srv/tree
  mkdir -p "$tree" "$1/srv/odd/links" "$1/usr/share/doc" "$1/var/cache"
  : >"$1/usr/share/doc/.wh.git"       # a package's directory
  : >"$1/var/cache/.wh.debconf"
  : >"$1/srv/odd/links/.wh.second"    # one of three hard links
  : >"$tree/.wh.delete-file"
  : >"$tree/.wh.delete-directory"
  : >"$tree/.wh.never-existed"        # hides nothing
  mkdir -p "$tree/opaque-first/sub" "$tree/opaque-last/sub"
  for name in opaque-first opaque-last; do
    : >"$tree/$name/.wh..wh..opq"
    echo new >"$tree/$name/new"
    echo new >"$tree/$name/sub/new"   # the old `deeper` beside it is hidden
  done
  : >"$tree/.wh.reborn"               # hides what is below, not the new one
  mkdir "$tree/reborn"
  echo new >"$tree/reborn/new"
  mkdir "$tree/brand-new"             # in a new directory there is nothing to hide
  : >"$tree/brand-new/.wh.ghost"
  : >"$tree/brand-new/.wh..wh..opq"
  echo new >"$tree/brand-new/new"
  mkdir "$tree/file-to-directory"
  echo new >"$tree/file-to-directory/new"
  echo new >"$tree/directory-to-file"
  ln -s target "$tree/directory-to-link"
  mkdir "$tree/link-to-directory"     # an explicit directory over a lower symbolic link replaces it
  echo new >"$tree/link-to-directory/new"
}

# order_deletions: names on stdin in sorted order; puts the marker of opaque-last behind its siblings.
order_deletions() {
  awk '/\/opaque-last\/\.wh\.\.wh\.\.opq$/ { held = $0; next }
       held != "" && $0 !~ /\/opaque-last\// { print held; held = "" }
       { print }
       END { if (held != "") print held }'
}

# fill_implied DIR: files whose directories the tar does not list (list_implied leaves them out).
fill_implied() {
  local tree=$1/srv/tree
  mkdir -p "$1/sbin" "$tree/linked" "$tree/implied/new/deep" "$1/srv/nobody/knew"
  echo implied >"$1/sbin/sluice-implied"              # merged-/usr: sbin -> usr/sbin must stay a link
  echo implied >"$tree/linked/through-link"           # lands in srv/tree/target
  echo implied >"$tree/implied/file"                  # srv/tree/implied keeps 0751 1000:1001 and its times
  echo implied >"$tree/implied/new/deep/file"
  echo implied >"$1/srv/nobody/knew/file"             # known to no layer: 0755 0:0
}
