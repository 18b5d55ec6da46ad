#!/usr/bin/env bash
# bench_plot.sh FARFAULT_BENCH: a --plot that cannot be drawn ends the program before it has measured anything.
set -euo pipefail
program=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
fail() {
  echo "$*" >&2
  exit 1
}

# refused STATUS WORDS COMMAND...
refused() {
  local wanted=$1 words=$2 status=0 said
  shift 2
  said=$("$@" 2>&1 >"$folder/out") || status=$?
  [[ $status == "$wanted" ]] || fail "status $status instead of $wanted: $said"
  [[ ! -s $folder/out ]] || fail "it has measured: $(<"$folder/out")"
  [[ $said == *"$words"* ]] || fail "nothing of '$words' in: $said"
}

refused 2 "make its folder first" "$program" micro --filter histogram --plot "$folder/none/ratios.png"
refused 2 "name a file in that folder" "$program" micro --filter histogram --plot "$folder"
# A python3 that knows no matplotlib, and none at all.
mkdir "$folder/bin"
printf '#!/bin/sh\necho "plotting needs matplotlib" >&2\nexit 1\n' >"$folder/bin/python3"
chmod +x "$folder/bin/python3"
refused 3 "plotting needs matplotlib" env PATH="$folder/bin" "$program" micro --filter histogram --plot "$folder/r.png"
rm "$folder/bin/python3"
refused 3 "install python3-matplotlib" env PATH="$folder/bin" "$program" micro --filter histogram --plot "$folder/r.png"
[[ ! -e $folder/r.png ]] || fail "an empty plot was left behind"
