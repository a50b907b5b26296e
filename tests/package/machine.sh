# shellcheck shell=bash
# A Debian machine with systemd as its process 1, in namespaces; sourced after tests/e2e/lib.sh and node_isolate.
#
#   machine_unpack ROOT      one of debian_root.sh, at $machine
#   machine_boot             systemd runs; in_machine COMMAND... is a command there
#
# Its control groups are below one of the test's own, which node_down removes; everything else goes with the namespaces.

machine_unpack() { # plain|node
  local archive
  archive=$("$repository/tests/package/debian_root.sh" "$1") || fail "no Debian could be installed"
  machine=$storage/machine
  mkdir "$machine"
  tar -C "$machine" --xattrs --numeric-owner -xf "$archive"
  mount --bind "$machine" "$machine"
}

# In each hierarchy of version 1, or in the one of version 2.
own_control_groups() {
  local hierarchy group
  for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/*; do
    [ -e "$hierarchy/cgroup.procs" ] && [ ! -L "$hierarchy" ] || continue
    group=$hierarchy/$CONTAINERD_NAMESPACE
    mkdir "$group" 2>/dev/null || continue
    # Of version 1: a group without processors takes no process.
    if [ -e "$group/cpuset.mems" ] && [ -z "$(cat "$group/cpuset.mems")" ]; then
      cat "$hierarchy/cpuset.cpus" >"$group/cpuset.cpus"
      cat "$hierarchy/cpuset.mems" >"$group/cpuset.mems"
    fi
    echo "$1" >"$group/cgroup.procs"
    [ "$hierarchy" != /sys/fs/cgroup ] || break
  done
}

machine_mounts() {
  local name hierarchy
  mount -t proc proc "$machine/proc"
  mount -t sysfs -o ro sysfs "$machine/sys"
  # Sysctls are the host's.
  mount -o bind,ro "$machine/proc/sys" "$machine/proc/sys"
  mount -t tmpfs -o mode=0755 dev "$machine/dev"
  for name in null zero full random urandom tty; do
    : >"$machine/dev/$name"
    mount --bind "/dev/$name" "$machine/dev/$name"
  done
  mkdir "$machine/dev/pts" "$machine/dev/shm"
  mount -t devpts -o newinstance,ptmxmode=0666 devpts "$machine/dev/pts"
  ln -s pts/ptmx "$machine/dev/ptmx"
  mount -t tmpfs -o mode=0755 run "$machine/run"
  if [ -e /sys/fs/cgroup/cgroup.procs ]; then
    mount --bind "/sys/fs/cgroup/$CONTAINERD_NAMESPACE" "$machine/sys/fs/cgroup"
  else
    mount -t tmpfs -o mode=0755 cgroup "$machine/sys/fs/cgroup"
    for hierarchy in /sys/fs/cgroup/*; do
      [ -d "$hierarchy/$CONTAINERD_NAMESPACE" ] && [ ! -L "$hierarchy" ] || continue
      mkdir "$machine/sys/fs/cgroup/${hierarchy##*/}"
      mount --bind "$hierarchy/$CONTAINERD_NAMESPACE" "$machine/sys/fs/cgroup/${hierarchy##*/}"
    done
  fi
}

# machine_main: what becomes process 1.
machine_main() {
  machine_mounts
  mkdir -p "$machine/.outside"
  cd "$machine" || exit 1
  pivot_root . .outside
  umount -l /.outside
  rmdir /.outside
  # As systemd itself does where it does not think to be in a container.
  mount --make-rshared /
  hostname machine
  exec env -i container=sluice PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --log-target=journal
}

machine_boot() {
  export machine CONTAINERD_NAMESPACE
  export -f machine_main machine_mounts
  # Not before it is in the control groups that are to be its root.
  mkfifo "$node/grouped"
  bash -c 'read -r _ <"$0" && exec unshare --mount --pid --fork --kill-child --cgroup --uts --propagation private \
    bash -c machine_main' "$node/grouped" >"$node/machine.log" 2>&1 &
  machine_outside=$!
  own_control_groups "$machine_outside"
  echo >"$node/grouped"
  wait_until 20 "the machine does not start" machine_has_process
  machine_pid=$(pgrep -P "$machine_outside")
  # "degraded": units that a container can't have.
  wait_until 60 "systemd does not come up" machine_is_up
}
machine_has_process() { child=$(pgrep -P "$machine_outside") && [ "$(cat "/proc/$child/comm")" = systemd ]; }
in_machine() { nsenter -t "$machine_pid" -m -p -u -C -n -i -r -w -- "$@"; }
machine_is_up() { in_machine systemctl is-system-running | grep -qE 'running|degraded'; }
