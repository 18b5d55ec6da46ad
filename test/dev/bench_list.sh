#!/usr/bin/env bash
# bench_list.sh SOURCE_DIR FARFAULT_BENCH: `./dev bench` lists the groups that the program has, without building anything,
# and its help names the options that the program takes.
set -euo pipefail
source_dir=$1 program=$2
fail() {
  echo "$*" >&2
  exit 1
}

# A tree of its own, in which nothing has been built.
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
cp -r "$source_dir/dev" "$source_dir/cmake" "$source_dir/bench" "$tree"
mkdir "$tree/bin"
for tool in cmake ninja apt-get; do
  printf '#!/bin/sh\necho "%s was run" >&2\nexit 99\n' "$tool" >"$tree/bin/$tool"
  chmod +x "$tree/bin/$tool"
done
listed=$(PATH=$tree/bin:$PATH "$tree/dev" bench) || fail "./dev bench failed"
said=$(PATH=$tree/bin:$PATH "$tree/dev" bench nonsense 2>&1) && fail "./dev bench takes a group that there is not"
[[ $said == *"there is no group 'nonsense'"* ]] || fail "./dev bench nonsense says: $said"
[[ ! -e $tree/build ]] || fail "./dev bench has made a build directory"

# The program's list has the measurements of each group below it, indented.
groups=$("$program" | grep -E '^[a-z]+ +[^ ]' | grep -v '^farfault_bench ')
[[ -n $groups ]] || fail "the program lists no groups"
while IFS= read -r group; do
  grep -qxF "$group" <<<"$listed" || fail "./dev bench does not list: $group"
done <<<"$groups"
# Group qemu is left out of the program where there is no QEMU to measure with.
names() { grep -oE '^[a-z]+ ' | grep -v qemu | sort; }
[[ $(names <<<"$listed") == "$(names <<<"$groups")" ]] || fail "the program has other groups than ./dev bench lists: $listed"

help=$("$tree/dev" bench --help)
for option in $("$program" --help | grep -oE '^ +(-[a-z],)?--[a-z]+' | grep -oE -- '--[a-z]+' | grep -v -- '--help'); do
  grep -qE -- "^ +$option " <<<"$help" || fail "./dev bench --help does not explain $option"
done
