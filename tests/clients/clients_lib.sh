# shellcheck shell=bash
# A node where the pages of docs/ are followed to the letter: with their paths, their sockets, their commands. Sourced after
# tests/e2e/lib.sh and node_isolate.
#
#   client_node VERSION [CODEC]   registries, images, and the programs of containerd 1.6, 1.7, 2.3 or 2.4, nothing started
#   daemon_up                     sluice, configured by /etc/containerd-sluice-grpc/config.toml
#   containerd_up SETUP           containerd with the page's configuration, changed by SETUP (containerd_configuration)
#   pull_by CLIENT REF            and run_by, as a user would
#
# Three registries on "another machine", each of whose images is app:1:
#   here    172.30.0.1:5000       its storage is a store of the daemon's
#   lan     10.1.2.3:5000         another storage, other blobs: the same tree with another codec
#   remote  registry.example      by hosts.toml, a third storage: lan's blobs under another manifest
# Two more, over the storages of here and lan, want a password: here-auth and lan-auth.

readonly STREAM_PHRASE='using streaming unpack for local registry image'
readonly CACHED_PHRASE='using cached unpack'
readonly DEFER_PHRASE='deferring to containerd'
readonly LAN_REGISTRY=10.1.2.3:5000
readonly REMOTE_REGISTRY=registry.example
readonly REMOTE_ADDRESS=172.30.0.1:5001
readonly PULL_USER=ali PULL_PASSWORD='open sesame'
# htpasswd -B, of the password.
readonly PULL_PASSWORD_HASH='$2b$05$abcdefghijklmnopqrstuupx2xBUC4954936wVIjyyPHmUBFu0wCW'

readonly SLUICE_ROOT=/var/lib/containerd-sluice-grpc
readonly CONTAINERD_SOCKET=/run/containerd/containerd.sock
readonly CERTS_D=/etc/containerd/certs.d
# CRI has one of its own.
readonly CRI_NAMESPACE=k8s.io

# --- the node ---

# private_directory DIR: what is written below it is the test's own.
private_directory() {
  local own=$storage/private$1
  mkdir -p "$own/upper" "$own/work" "$1"
  mount -t overlay -o "lowerdir=$1,upperdir=$own/upper,workdir=$own/work" sluice-private "$1"
}

# bound_directory DIR SOURCE: DIR is SOURCE, which begins empty.
bound_directory() {
  mkdir "$2"
  mount --bind "$2" "$1"
}

client_programs() { # VERSION
  local name directory bin=$storage/bin builder=$repository/tests/clients/build_clients.sh
  local -a names=(cri_client "containerd-$1" nerdctl)
  # containerd 1.6 is Debian's, and too old for nerdctl.
  [ "$1" != 1.6 ] || names=(cri_client)
  "$builder" "${names[@]}" >&2 || fail "the clients could not be built"
  mkdir -p "$bin"
  ln -s "$DAEMON" "$bin/containerd-sluice-grpc"
  ln -s "$SLUICECTL" "$bin/sluicectl"
  while read -r name _ directory; do
    [[ " ${names[*]} " != *" $name "* ]] || ln -s "$directory"/* "$bin/"
  done < <("$builder" --print)
  PATH=$bin:$PATH
}

registry_of() { # here|lan|remote[-auth]
  case $1 in
    here) echo "$REGISTRY" ;;
    lan) echo "$LAN_REGISTRY" ;;
    remote) echo "$REMOTE_REGISTRY" ;;
    here-auth) echo "${REGISTRY%:*}:5100" ;;
    lan-auth) echo "10.1.2.4:5000" ;;
  esac
}
address_of() { [ "$1" = remote ] && echo "$REMOTE_ADDRESS" || registry_of "$1"; } # CASE
ref_of() { # CASE [NAME:TAG]
  local image=app:1
  [ "$1" != lan-auth ] || image=app:locked
  echo "$(registry_of "$1")/${2:-$image}"
}
readonly CASES='here lan remote here-auth lan-auth'

# another_registry CASE ADDRESS STORAGE [LINE]: docker-registry; its access log is $node/CASE.log.
another_registry() {
  cat >"$node/$1.yml" <<END
version: 0.1
log: {level: error, accesslog: {disabled: false}}
storage: {filesystem: {rootdirectory: $3}}
validation: {manifests: {urls: {allow: ["^http://"]}}}
http: {addr: "$2"}
${4-}
END
  nsenter -t "$remote_pid" -n docker-registry serve "$node/$1.yml" >>"$node/$1.log" 2>>"$node/$1.err" &
  wait_until 10 "docker-registry does not answer at $2" curl -sS -o /dev/null "http://$2/v2/"
}

hosts_file() { # DIRECTORY REGISTRY ADDRESS
  mkdir -p "$1/$2"
  docs_block "containerd-$page" hosts | sed "s/$REGISTRY/$3/" >"$1/$2/hosts.toml"
}

push_to() { # CASE LAYOUT [NAME:TAG]
  skopeo --insecure-policy copy -q --dest-tls-verify=false "oci:$2:1" "docker://$(address_of "$1")/${3:-app:1}" ||
    fail "skopeo could not push $2 to $1"
}

# pause_image: what holds a pod's namespaces open, as a layout.
pause_image() {
  local layout=$storage/pause-gzip
  mkdir "$storage/pause"
  printf '#include <unistd.h>\nint main(void) { for (;;) pause(); }\n' |
    gcc -static -Os -x c - -o "$storage/pause/pause" || fail "no static program can be compiled"
  tar -C "$storage/pause" --owner=0 --group=0 --mtime=@0 -cf "$storage/pause.tar" pause
  layout_begin "$layout"
  layout_add_layer "$storage/pause.tar" pause "$layout"
  layout_finish "$layout" 1 '{"Entrypoint": ["/pause"]}'
  push_to here "$layout" pause:1
}

registries_up() { # CODEC
  local other=zstd auth
  [ "$1" = gzip ] || other=gzip
  here_layout=$(node_image "small-$1")
  lan_layout=$(node_image "small-$other")
  node_network
  ip addr add 10.1.2.1/24 dev to-registry
  nsenter -t "$remote_pid" -n ip addr add 10.1.2.3/24 dev eth0
  nsenter -t "$remote_pid" -n ip addr add 10.1.2.4/24 dev eth0
  echo "$PULL_USER:$PULL_PASSWORD_HASH" >"$node/htpasswd"
  auth="auth: {htpasswd: {realm: here, path: $node/htpasswd}}"
  another_registry here "$REGISTRY" "$storage/registry"
  another_registry lan "$LAN_REGISTRY" "$storage/elsewhere"
  another_registry remote "$REMOTE_ADDRESS" "$storage/far-away"
  another_registry here-auth "$(registry_of here-auth)" "$storage/registry" "$auth"
  another_registry lan-auth "$(registry_of lan-auth)" "$storage/elsewhere" "$auth"
  push_to here "$here_layout"
  push_to lan "$lan_layout"
  push_to remote "$lan_layout"
  # Where an image was pulled from once it is looked for again, by its manifest's digest: each has its own.
  jq -c '.annotations.place = "remote"' "$(layout_manifest "$lan_layout")" >"$node/manifest.json"
  put_manifest remote app:1 application/vnd.oci.image.manifest.v1+json "$node/manifest.json"
  jq -c '.annotations.place = "locked"' "$(layout_manifest "$lan_layout")" >"$node/manifest.json"
  put_manifest lan app:locked application/vnd.oci.image.manifest.v1+json "$node/manifest.json"
}

# put_manifest CASE NAME:TAG TYPE FILE: a manifest as it is, by the registry's API.
put_manifest() {
  curl -fsS -o /dev/null -X PUT -H "Content-Type: $3" --data-binary "@$4" \
    "http://$(address_of "$1")/v2/${2%:*}/manifests/${2#*:}" || fail "the registry takes no $2: $(tail -n 2 "$node/$1.err")"
}

client_node() { # VERSION [CODEC]
  version=$1
  case $version in 2.*) page=2.x ;; *) page=$version ;; esac
  local directory
  for directory in /etc /opt; do private_directory "$directory"; done
  # Snapshots can't lie on an overlay.
  bound_directory /var/lib "$storage/var-lib"
  mkdir -m 0700 "$SLUICE_ROOT"
  # Commands of a page name no namespace; clients take this one then.
  export CONTAINERD_NAMESPACE HOME=$storage/home XDG_CACHE_HOME=$storage/xdg
  mkdir -p "$HOME"
  client_programs "$version"
  rm -rf /etc/containerd/* /etc/cni/net.d
  registries_up "${2:-gzip}"
  pause_image
  certs_d_at "$CERTS_D"
  # lib.sh looks there.
  ln -s "$CONTAINERD_SOCKET" "$node/containerd.sock"
  ln -s /run/containerd-sluice-grpc/containerd-sluice-grpc.sock "$node/sluice.sock"
  mkdir /etc/nerdctl /etc/containerd-sluice-grpc
  docs_block nerdctl nerdctl >/etc/nerdctl/nerdctl.toml
  store_of_here >/etc/containerd-sluice-grpc/config.toml
}

store_of_here() {
  printf '[[store]]\nkind = "distribution"\npath = "%s"\nregistries = ["%s"]\n' "$storage/registry" "$REGISTRY"
}

# certs_d_at DIRECTORY: the hosts.toml of all registries are there, and nowhere else.
certs_d_at() {
  local case
  hosts_dir=$1
  rm -rf "$CERTS_D" "$1"
  mkdir -p "$CERTS_D"
  for case in here lan here-auth lan-auth; do hosts_file "$1" "$(registry_of "$case")" "$(registry_of "$case")"; done
  hosts_file "$1" "$REMOTE_REGISTRY" "$REMOTE_ADDRESS"
  # The name is not one of the local network.
  sed -i "s|^server = .*|server = \"https://$REMOTE_REGISTRY\"|" "$1/$REMOTE_REGISTRY/hosts.toml"
}

# --- daemons ---

daemon_up() {
  # The tests' own directory has another owner's parents; the default one is made by the package's unit.
  mkdir -p -m 0711 /run/containerd-sluice-grpc
  containerd-sluice-grpc >>"$node/sluice.log" 2>&1 &
  sluice_pid=$!
  wait_until 20 "sluice does not serve" test -S "$node/sluice.sock" -o ! -d "/proc/$sluice_pid"
  [ -S "$node/sluice.sock" ] || fail "sluice ended: $(tail -n 1 "$node/sluice.log")"
}

# cri_of_this_node [LINE]: for CRI what no page can know: this node's pause image, and that a test may lack the capability to
# protect its pods from the kernel's memory killer.
cri_of_this_node() {
  local pause
  pause=$(ref_of here pause:1)
  if [ "$page" = 2.x ]; then
    printf '[plugins."io.containerd.cri.v1.images".pinned_images]\nsandbox = "%s"\n' "$pause"
    printf '[plugins."io.containerd.cri.v1.runtime"]\nrestrict_oom_score_adj = true\n'
  else
    printf '[plugins."io.containerd.grpc.v1.cri"]\nsandbox_image = "%s"\n%s\nrestrict_oom_score_adj = true\n' "$pause" "${1-}"
  fi
}

# cri_block SETUP: the page's lines for the kubelet, and those of this node.
cri_block() {
  local block timeout=''
  block=$(docs_block "containerd-$page" cri)
  [[ $1 != *timeout* ]] || timeout='image_pull_progress_timeout = "10s"'
  [[ $1 != *annotations* ]] || block=$(sed '/snapshotter = "sluice"/a disable_snapshot_annotations = false' <<<"$block")
  [[ $1 != *overlayfs* ]] || block=$(sed 's/snapshotter = "sluice"/snapshotter = "overlayfs"/' <<<"$block")
  if [ "$page" = 2.x ] && [ -n "$timeout" ]; then
    block=$(sed "/^\[plugins.\"io.containerd.cri.v1.images\"\]/a $timeout" <<<"$block")
  fi
  echo "$block"
  cri_of_this_node "$timeout"
}

# containerd_configuration SETUP: words joined by "+":
#   docs          the page's blocks for containerd and CRI
#   no-export     without exports' annotations
#   annotations   with CRI's
#   differ        with the differ of the 1.7 page for everything
#   overlayfs     CRI uses overlayfs
#   timeout       CRI gives up a pull in which nothing moves for ten seconds
#   parallel      the transfer service unpacks several layers at once where the snapshotter can
#   unknown-port  without them, too; besides, certs.d is where sluice does not look
#   export        with them in spite of that
containerd_configuration() {
  case $1 in
    no-export | unknown-port) docs_block "containerd-$page" containerd | grep -v enable_remote_snapshot_annotations ;;
    *) docs_block "containerd-$page" containerd ;;
  esac
  cri_block "$1"
  case $1 in
    # The 2.x page has the plugin itself.
    *differ*) docs_block containerd-1.7 differ | sed "$([ "$page" = 2.x ] && echo '1,/^$/d')" ;;
    *parallel*) printf '[plugins."io.containerd.transfer.v1.local"]\n  max_concurrent_unpacks = 4\n' ;;
  esac
}

# drop_tables HEADER [TEXT]: out of containerd's configuration go the tables whose header begins so and that contain TEXT.
drop_tables() {
  local configuration=/etc/containerd/config.toml
  awk -v header="$1" -v text="${2-}" '
    function finish() { if (index(table, header) != 1 || index(table, text) == 0 && text != "") printf "%s", table; table = "" }
    { sub(/^ +/, "") }
    /^\[/ { finish() }
    { table = table $0 "\n" }
    END { finish() }' "$configuration" >"$node/config.toml"
  cmp -s "$node/config.toml" "$configuration" && fail "nothing to take out: $1"
  cp "$node/config.toml" "$configuration"
}

containerd_up() { # SETUP
  containerd_configuration "$1" >/etc/containerd/config.toml
  containerd_run
}

# containerd_run: configured as it is.
containerd_run() {
  containerd_begin
  wait_until 20 "containerd's CRI does not serve" cri images
}

# containerd_begin: the same, where CRI may have a reason not to serve.
containerd_begin() {
  containerd >>"$node/containerd.log" 2>&1 &
  containerd_pid=$!
  wait_until 20 "containerd does not serve" ctr version
}

# systemctl ARGUMENT...: what pages and programs tell people to type, where there is no systemd.
systemctl() {
  case $* in
    "restart containerd") containerd_stop && containerd_run ;;
    "restart containerd-sluice-grpc") sluice_stop && daemon_up && await_daemon ;;
    "disable --now containerd-sluice-grpc") sluice_stop ;;
    *) fail "nothing is known of systemctl $*" ;;
  esac
}

# --- clients ---

cri() { cri_client "$CONTAINERD_SOCKET" "$@"; }
nerd() { nerdctl --namespace "$CONTAINERD_NAMESPACE" --hosts-dir "$hosts_dir" "$@"; }

# pull_by CLIENT REF [SNAPSHOTTER]; for CRI the snapshotter is containerd's configuration.
pull_by() {
  local snapshotter=${3:-sluice}
  case $1 in
    ctr) in_containerd images pull --snapshotter "$snapshotter" --hosts-dir "$hosts_dir" "$2" ;;
    ctr-local) in_containerd images pull --local --snapshotter "$snapshotter" --hosts-dir "$hosts_dir" "$2" ;;
    nerdctl) nerd ${3:+--snapshotter "$3"} pull "$2" ;;
    cri) cri pull "$2" ;;
    cri-auth) cri pull "$2" "$PULL_USER:$PULL_PASSWORD" ;;
    sluicectl) sluicectl pull "$2" --namespace "$CONTAINERD_NAMESPACE" --snapshotter "$snapshotter" --no-cache ;;
    *) fail "no client '$1'" ;;
  esac
}

# run_by CLIENT REF [SNAPSHOTTER]: what a container of the image says. No network: CNI is another story.
run_by() {
  local snapshotter=${3:-sluice} pod container
  case $1 in
    ctr* | sluicectl) in_containerd run --rm --snapshotter "$snapshotter" "$2" "container-$RANDOM" ;;
    nerdctl) nerd ${3:+--snapshotter "$3"} run --rm --net none "$2" ;;
    cri*)
      read -r pod container < <(cri run "pod-$RANDOM" "$2" "/$CONTAINERD_NAMESPACE" sleep infinity)
      [ -n "$container" ] || return 1
      cri exec "$container" /srv/app/hello
      cri stop "$pod"
      ;;
  esac
}

expect_runs() { # CLIENT REF [SNAPSHOTTER]
  local said
  said=$(run_by "$@" 2>"$node/run.err") || fail "the image does not run: $(tail -n 3 "$node/run.err")"
  [[ $said == "hello from "* ]] || fail "the container said '$said'"
}

# forget_all: no image is left in any namespace, by each client's own way.
forget_all() {
  local id
  forget_images
  cri images | while read -r id _; do cri remove "$id"; done
}

# --- what was seen ---

layout_of() { case $1 in here*) echo "$here_layout" ;; *) echo "$lan_layout" ;; esac; } # CASE

# strategy_seen LAYERS: what sluice did to all of them, "layout" or "applied"; "containerd" if it was never asked. What it did
# to some of them has their number: "stream:3+cached:2". One layer that is left to containerd has it fetch those above as well,
# which are then there for sluice, or not yet: both are "defer", with "+applied" if sluice's differ got all that was deferred.
strategy_seen() {
  local name phrase count seen='' deferred applied fetched
  deferred=$(count_phrase "$DEFER_PHRASE")
  applied=$(count_phrase 'applied digest=')
  fetched=$(count_phrase "$CACHED_PHRASE store=containerd kind=content")
  if [ "$deferred" -gt 0 ] && [ $((deferred + fetched)) = "$1" ]; then
    case $applied in
      0) echo defer; return ;;
      "$deferred") echo defer+applied; return ;;
    esac
  fi
  while read -r name phrase; do
    count=$(count_phrase "$phrase")
    [ "$count" != 0 ] || continue
    [ "$count" = "$1" ] || name+=:$count
    seen+="${seen:++}$name"
  done <<END
layout $LAYOUT_PHRASE
stream $STREAM_PHRASE
cached $CACHED_PHRASE
defer $DEFER_PHRASE
applied applied digest=
adopted adopted digest=
END
  echo "${seen:-containerd}"
}

expect_strategy() { # STRATEGY LAYERS
  local seen
  seen=$(strategy_seen "$2")
  [ "$seen" = "$1" ] || fail "'$seen' and not '$1' for $2 layers: $(sluice_log | tail -n 5)"
}

# blobs_asked CASE: how often the registries were asked for layers of the case's image.
blobs_asked() {
  local case total=0
  for case in $CASES; do
    total=$((total + $(layer_digests "$(layout_of "$1")" | grep -F -f - "$node/$case.log" | grep '"GET ' | grep -c '" 20[06] ' || true)))
  done
  echo "$total"
}

forget_requests() {
  local case
  for case in $CASES; do : >"$node/$case.log"; done
}

seconds_since() { awk -v from="$1" -v to="$EPOCHREALTIME" 'BEGIN { printf "%.1f", to - from }'; } # EPOCHREALTIME
