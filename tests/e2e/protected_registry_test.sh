#!/usr/bin/env bash
# A registry of the local network that wants a password, and speaks plain http. sluice shows it the password only if it
# was told to. The witness is the registry's own access log, which also has who asked.
#   protected_registry_test.sh DAEMON SLUICECTL LIST_TREE PLAIN_PULL CONCURRENT_PULL
set -euo pipefail
. tests/e2e/lib.sh
node_isolate "$0" "$@"
node_programs "$1" "$2"
list_tree=$(readlink -f "$3")
concurrent_pull=$(readlink -f "$5")

readonly PROTECTED=172.30.0.1:5100
readonly USER_NAME=ali PASSWORD='open sesame'
# htpasswd -B, of the password.
readonly PASSWORD_HASH='$2b$05$abcdefghijklmnopqrstuupx2xBUC4954936wVIjyyPHmUBFu0wCW'

protected_registry_start() {
  echo "$USER_NAME:$PASSWORD_HASH" >"$node/htpasswd"
  {
    sed -e "s/$REGISTRY/$PROTECTED/" "$node/registry.yml"
    echo "auth: {htpasswd: {realm: here, path: $node/htpasswd}}"
  } >"$node/protected.yml"
  nsenter -t "$remote_pid" -n docker-registry serve "$node/protected.yml" >>"$node/protected.log" 2>>"$node/protected.err" &
  wait_until 10 "docker-registry does not answer" curl -fsS -u "$USER_NAME:$PASSWORD" "http://$PROTECTED/v2/"
}

log_in() { # PASSWORD
  mkdir -p "$node/docker"
  printf '{"auths": {"%s": {"auth": "%s"}}}' "$PROTECTED" "$(printf '%s:%s' "$USER_NAME" "$1" | base64)" \
    >"$node/docker/config.json"
}

# fresh LINE...: a daemon that has nothing, with these lines below [registry].
fresh() {
  forget_images
  sluice_stop
  rm -rf "$storage/sluice"
  sluice_config=$(printf '%s\n' '[registry]' "local_registries = [\"$PROTECTED\"]" "docker_config = \"$node/docker\"" "$@")
  sluice_start
  await_daemon
  : >"$node/protected.log"
  sluice_log_mark
}

pull() {
  CREDENTIALS=$USER_NAME:$PASSWORD "$concurrent_pull" "$node/containerd.sock" "$CONTAINERD_NAMESPACE" sluice \
    "$node/certs.d" <<<"$PROTECTED/c0:1" >"$node/pulled"
  [ "$(cut -f2 "$node/pulled")" = pulled ] || fail "$(cat "$node/pulled")"
  "$list_tree" "$(cut -f3 "$node/pulled")" --diff "$node/made/expected/c0" --ignore .=mtime || fail "the tree differs"
}

# expect_served AGENT TIMES: the blob.
expect_served() {
  local count
  count=$(grep -F "GET /v2/c0/blobs/$blob " "$node/protected.log" | grep -F '" 200 ' | grep -cF "\"$1" || true)
  [ "$count" = "$2" ] || fail "$1 was given the blob $count times, not $2: $(cat "$node/protected.log")"
}

# Once without a password; a second time with it, if it may be shown.
expect_asked_by_sluice() { # TIMES
  local count
  count=$(grep -F "GET /v2/c0/blobs/$blob " "$node/protected.log" | grep -cF '"sluice/' || true)
  [ "$count" = "$1" ] || fail "sluice asked $count times, not $1: $(cat "$node/protected.log")"
}

expect_one_warning() { # TEXT
  [ "$(sluice_log | grep -c '^W')" = 1 ] || fail "not one warning: $(sluice_log | grep '^W')"
  sluice_log | grep '^W' | grep -qF "$1" || fail "the warning does not say '$1': $(sluice_log | grep '^W')"
}

expect_phrase() { [ "$(count_phrase "$1")" = 1 ] || fail "not once '$1': $(sluice_log)"; }

node_network
registry_start
protected_registry_start
echo 'miss up local miss -' >"$node/cells"
python3 "$repository/tests/e2e/strategy_matrix.py" make "$node/cells" "$node/made" "$REGISTRY" "$node/certs.d"
blob=$(cut -d' ' -f5 "$node/made/cells")
sluice_start
containerd_start

node_case "without plain_http_credentials it is left to containerd, with the mend"
log_in "$PASSWORD"
fresh
pull
expect_phrase 'deferring to containerd'
expect_one_warning "add \"$PROTECTED\" to registry.plain_http_credentials in config.toml"
expect_served sluice 0
expect_served containerd 1
expect_asked_by_sluice 1

node_case "with it the layer is streamed"
fresh "plain_http_credentials = [\"$PROTECTED\"]"
pull
expect_phrase 'using streaming unpack for local registry image'
[ "$(sluice_log | grep -c '^W' || true)" = 0 ] || fail "$(sluice_log | grep '^W')"
expect_served sluice 1
expect_served containerd 0
expect_asked_by_sluice 2

node_case "a password that is not accepted: left to containerd, and where it came from is named"
log_in 'open barley'
fresh "plain_http_credentials = [\"$PROTECTED\"]"
pull
expect_phrase 'deferring to containerd'
expect_one_warning "$node/docker/config.json are not accepted"
expect_served sluice 0
expect_asked_by_sluice 2
expect_served containerd 1

node_case "no secret is in the log"
for secret in "$PASSWORD" 'open barley' "$(printf '%s' "$USER_NAME:$PASSWORD" | base64)" "$(printf '%s' "$USER_NAME:open barley" | base64)"; do
  grep -F "$secret" "$node/sluice.log" && fail "the log has it"
done
note "$(wc -l <"$node/sluice.log") lines"
