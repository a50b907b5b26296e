#!/usr/bin/env bash
# The exit codes and messages of list_tree, which other shell tests rely on.
set -euo pipefail

list_tree=$1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
fail() { echo "list_tree_test: $*" >&2; exit 1; }

mkdir -p "$dir/a/d" "$dir/b/d"
echo text >"$dir/a/d/f"
cp "$dir/a/d/f" "$dir/b/d/f"
chmod 600 "$dir/a/d/f"
chmod 640 "$dir/b/d/f"
touch -d @1600000000 "$dir"/{a,b}/d/f "$dir"/{a,b}/d "$dir"/{a,b}

"$list_tree" "$dir/a" | grep -q '^d/f -0600 .* @1600000000 5 "text\\n"$' || fail "no line for d/f"
[ "$("$list_tree" "$dir/a" | wc -l)" = 3 ] || fail "not three lines"
"$list_tree" "$dir/a" --diff "$dir/a" || fail "a tree differs from itself"

code=0
out=$("$list_tree" "$dir/a" --diff "$dir/b") || code=$?
[ "$code" = 1 ] || fail "different trees: exit code $code"
[ "$out" = 'd/f: mode: 0600 != 0640' ] || fail "unexpected difference: $out"
"$list_tree" "$dir/a" --diff "$dir/b" --ignore d/f=mode,owner || fail "ignored attribute was compared"

for arguments in "$dir/missing" "$dir/a --diff" "$dir/a --ignore x" "$dir/a --ignore x=colour" ""; do
  code=0
  # shellcheck disable=SC2086
  "$list_tree" $arguments >/dev/null 2>"$dir/error" || code=$?
  [ "$code" = 2 ] || fail "'$arguments': exit code $code"
  grep -q '^list_tree: ' "$dir/error" || fail "'$arguments': no message"
done
