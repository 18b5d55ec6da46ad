#!/usr/bin/env bash
# replay.sh FARFAULT_SIM: whatever a seed ends in, a crash too, the line that replays it is printed.
set -euo pipefail
program=$1
ulimit -c 0

# spoiled HOW ARGUMENTS...: how the third seed ends.
spoiled() {
  local how=$1 status=0 said
  shift
  said=$("$program" --seeds 5 --spoil "$how" --spoiled-seed 3 "$@" 2>&1) || status=$?
  ((status != 0)) || {
    echo "$how: the program has ended well: $said" >&2
    exit 1
  }
  grep -qF "replay: $program --seed 3 --trace" <<<"$said" || {
    echo "$how: status $status and no line to replay seed 3 in: $said" >&2
    exit 1
  }
}

spoiled abort
spoiled segv
spoiled segv --expect-caught nothing
spoiled differ --twice
# What ends well names no seed.
said=$("$program" --seeds 3 --twice 2>&1)
[[ $said != *replay* ]] || {
  echo "nothing was wrong: $said" >&2
  exit 1
}
