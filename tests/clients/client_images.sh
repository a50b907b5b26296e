# shellcheck shell=bash
# Images of odd shapes; sourced after clients_lib.sh.

# hello_program FILE: says "hello from ...", needs nothing beside itself. By the names of sleep, touch and ls it does what
# tests want of these.
hello_program() {
  gcc -static -Os -x c - -o "$1" <<'END' || fail "no static program can be compiled"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
int main(int count, char** words) {
  if (count > 1 && strcmp(words[0], "sleep") == 0) for (;;) pause();
  if (count > 1 && strcmp(words[0], "touch") == 0) return open(words[1], O_CREAT | O_WRONLY, 0644) < 0;
  if (count > 1 && strcmp(words[0], "ls") == 0) return access(words[1], F_OK) != 0;
  puts("hello from a small image");
}
END
}

# tiny_layout DIR LAYERS: the program and, one a layer, small files; no layer is another DIR's. DIR ends in -gzip.
tiny_layout() {
  local tree=$storage/tiny k name
  rm -rf "$tree"
  mkdir -p "$tree/srv/app" "$tree/bin"
  hello_program "$tree/srv/app/hello"
  for name in sleep touch ls; do ln "$tree/srv/app/hello" "$tree/bin/$name"; done
  mkdir "$tree/tmp"
  basename "$1" >"$tree/srv/app/name"
  tar -C "$tree" --owner=0 --group=0 --mtime=@0 --sort=name -cf "$tree.tar" srv bin tmp
  layout_begin "$1"
  layout_add_layer "$tree.tar" base "$1"
  for ((k = 1; k < $2; k++)); do
    echo "$(basename "$1") $k" >"$tree/layer-$k"
    tar -C "$tree" --owner=0 --group=0 --mtime=@0 -cf "$tree.tar" "layer-$k"
    layout_add_layer "$tree.tar" "$k" "$1"
  done
  layout_finish "$1" 1 '{"Entrypoint": ["/srv/app/hello"], "Env": ["PATH=/bin"]}'
}

# rebuilt_layout DIR LAYOUT: LAYOUT with a new layer in place of its topmost one.
rebuilt_layout() {
  local config manifest hex size diff_id
  cp -r "$2" "$1"
  mkdir -p "$storage/rebuilt/srv"
  echo rebuilt >"$storage/rebuilt/srv/rebuilt"
  tar -C "$storage/rebuilt" --owner=0 --group=0 --mtime=@0 -cf "$storage/rebuilt.tar" srv/rebuilt
  diff_id=sha256:$(sha256sum <"$storage/rebuilt.tar" | cut -d' ' -f1)
  manifest=$(layout_manifest "$1")
  config=$1/blobs/$(jq -r '.config.digest | sub(":"; "/")' "$manifest")
  gzip -n <"$storage/rebuilt.tar" >"$1/.layer"
  read -r layer_hex layer_size < <(layout_put "$1" "$1/.layer")
  jq -c --arg diff_id "$diff_id" '.rootfs.diff_ids[-1] = $diff_id' "$config" >"$1/.config"
  read -r hex size < <(layout_put "$1" "$1/.config")
  jq -c --arg config "sha256:$hex" --argjson config_size "$size" --arg layer "sha256:$layer_hex" \
    --argjson layer_size "$layer_size" '.config.digest = $config | .config.size = $config_size |
      .layers[-1].digest = $layer | .layers[-1].size = $layer_size' "$manifest" >"$1/.manifest"
  layout_refer "$1"
}

# layout_refer DIR: $DIR/.manifest becomes what the index names.
layout_refer() {
  local hex size
  read -r hex size < <(layout_put "$1" "$1/.manifest")
  jq -c --arg digest "sha256:$hex" --argjson size "$size" '.manifests[0].digest = $digest | .manifests[0].size = $size' \
    "$1/index.json" >"$1/.index"
  mv "$1/.index" "$1/index.json"
}

# push_index CASE LAYOUT NAME:TAG: LAYOUT's image beside one for each of three other platforms, in front of it and behind.
push_index() {
  local manifest=$storage/platform.json platform digest entries=''
  push_to "$1" "$2" "${3%:*}:$(layout_architecture)"
  for platform in s390x "$(layout_architecture)" riscv64 ppc64le; do
    # Another manifest needs another text; nobody is to look into it.
    jq -c --arg platform "$platform" '.annotations.platform = $platform' "$(layout_manifest "$2")" >"$manifest"
    [ "$platform" != "$(layout_architecture)" ] || cp "$(layout_manifest "$2")" "$manifest"
    put_manifest "$1" "${3%:*}:$platform" application/vnd.oci.image.manifest.v1+json "$manifest"
    digest=sha256:$(sha256sum <"$manifest" | cut -d' ' -f1)
    entries+="${entries:+,}{\"mediaType\": \"application/vnd.oci.image.manifest.v1+json\", \"digest\": \"$digest\",
      \"size\": $(stat -c %s "$manifest"), \"platform\": {\"os\": \"linux\", \"architecture\": \"$platform\"}}"
  done
  printf '{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [%s]}' "$entries" \
    >"$manifest"
  put_manifest "$1" "$3" application/vnd.oci.image.index.v1+json "$manifest"
}

# push_foreign CASE LAYOUT NAME:TAG: LAYOUT's image with a topmost layer that says it must not be distributed, and where
# it is.
push_foreign() {
  local manifest=$storage/foreign.json digest
  push_to "$1" "$2" "${3%:*}:distributable"
  digest=$(layer_digests "$2" | tail -n 1)
  jq -c --arg url "http://$(address_of "$1")/v2/${3%:*}/blobs/$digest" '
    .layers[-1].mediaType = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip" | .layers[-1].urls = [$url]' \
    "$(layout_manifest "$2")" >"$manifest"
  put_manifest "$1" "$3" application/vnd.oci.image.manifest.v1+json "$manifest"
}
