#!/usr/bin/env bash
# run_stdout.sh SOURCE_DIR: `./dev run` and `./dev demo` leave standard output to the command, also where they have to
# configure and to build first and where that fails. The exit status is the command's.
set -euo pipefail
source_dir=$1
fail() {
  echo "$*" >&2
  cat "$tree/err" >&2
  exit 1
}
unset CI
export FARFAULT_INSTALL=no

# A tree of its own, with tools that say much and make a command that says one line.
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
cp -r "$source_dir/dev" "$source_dir/cmake" "$tree"
mkdir "$tree/bin"
cat >"$tree/bin/cmake" <<'EOF'
#!/bin/sh
echo "-- words of cmake"
echo "a warning of cmake" >&2
[ -z "${CMAKE_FAILS:-}" ] || exit 1
echo "FARFAULT_BUILD_CLI:BOOL=ON" >build/CMakeCache.txt
: >build/build.ninja
EOF
cat >"$tree/bin/ninja" <<'EOF'
#!/bin/sh
echo "ninja: Entering directory 'build'"
echo "[1/2] Building CXX object"
echo "a warning of the compiler"
echo "a second one" >&2
[ -z "${NINJA_FAILS:-}" ] || exit 1
echo "[2/2] Linking CXX executable"
mkdir -p build/bin
printf '#!/bin/sh\necho "{\\"arguments\\": \\"$*\\"}"\necho progress >&2\nexit 3\n' >build/bin/farfault
chmod +x build/bin/farfault
EOF
chmod +x "$tree/bin/cmake" "$tree/bin/ninja"

# expect STATUS STDOUT WORDS COMMAND...: the words stand on standard error.
expect() {
  local wanted=$1 wanted_out=$2 words=$3 status=0 out
  shift 3
  out=$(PATH=$tree/bin:$PATH "$@" 2>"$tree/err") || status=$?
  [[ $status == "$wanted" ]] || fail "$*: status $status, not $wanted"
  [[ $out == "$wanted_out" ]] || fail "$*: standard output is '$out', not '$wanted_out'"
  grep -qF "$words" "$tree/err" || fail "$*: nothing of '$words' on standard error:"
}

expect 1 "" "cmake failed" env CMAKE_FAILS=1 "$tree/dev" run demo --json
expect 1 "" "the build in build failed" env NINJA_FAILS=1 "$tree/dev" run demo --json
rm -rf "$tree/build"
expect 3 '{"arguments": "demo --json"}' "a warning of the compiler" "$tree/dev" run demo --json
# With what has been configured and built.
expect 3 '{"arguments": "fetch --from x"}' progress "$tree/dev" run fetch --from x
expect 3 '{"arguments": "demo --json --seed 2"}' progress "$tree/dev" demo --json --seed 2
