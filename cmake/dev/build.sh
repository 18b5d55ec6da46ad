# shellcheck shell=bash
# Sourced by ./dev: configuring, building and running tests.

# One compiler takes up to about 1 GiB.
default_jobs() {
  local cores memory_gib
  cores=$(nproc)
  memory_gib=$(awk '/^MemAvailable/ {print int($2 / 1048576)}' /proc/meminfo)
  ((memory_gib >= 1)) || memory_gib=1
  echo $((cores < memory_gib ? cores : memory_gib))
}
JOBS=${JOBS:-$(default_jobs)}

cached() { sed -n "s/^$2:[^=]*=//p" "$1/CMakeCache.txt" 2>/dev/null; }

# configure PRESET PART...: makes sure that the preset's build directory builds the named parts (TESTS BENCH EXAMPLES CLI). What
# it builds already stays as it is, so that going from one command to another rebuilds nothing.
configure() {
  local preset=$1 dir=build part
  shift
  [[ $preset == default ]] || dir=build-$preset
  local -a change=()
  if [[ -f $dir/CMakeCache.txt && -f $dir/build.ninja ]]; then
    for part in "$@"; do
      [[ $(cached "$dir" "FARFAULT_BUILD_$part") == ON ]] || change+=("-DFARFAULT_BUILD_$part=ON")
    done
    [[ ${CI:-} != true || $(cached "$dir" FARFAULT_WARNINGS_AS_ERRORS) == ON ]] || change+=(-DFARFAULT_WARNINGS_AS_ERRORS=ON)
    ((${#change[@]} > 0)) || return 0
  else
    for part in TESTS BENCH EXAMPLES CLI; do
      [[ " $* " == *" $part "* ]] && change+=("-DFARFAULT_BUILD_$part=ON") || change+=("-DFARFAULT_BUILD_$part=OFF")
    done
    [[ ${CI:-} != true ]] || change+=(-DFARFAULT_WARNINGS_AS_ERRORS=ON)
    rm -rf "$dir/CMakeCache.txt" "$dir/CMakeFiles"
  fi
  say "configuring $dir"
  mkdir -p "$dir"
  cmake --preset "$preset" "${change[@]}" >"$dir/configure.log" 2>&1 && return
  tail -n 30 "$dir/configure.log" >&2
  die "cmake failed; its whole output is in $dir/configure.log" "Should something be missing: ./dev setup"
}

# build DIR [TARGET...]
build() {
  local dir=$1
  shift
  local -a wrap=()
  mapfile -t wrap < <(sanitizer_wrapper "$dir")
  # Ninja's own progress line needs standard output to be a terminal, and ours does not belong there.
  if ! NINJA_STATUS='[%f/%t] ' "${wrap[@]}" ninja -C "$dir" -j "$JOBS" "${@:-all}" 2>&1 | build_progress "$dir"; then
    die "the build in $dir failed; the first error is above."
  fi
}

# One line that moves (terminal) or a line every tenth (log); whatever else ninja prints is a warning or an error and goes
# through. Not awk: Debian's holds its input back until some kilobytes are there.
build_progress() {
  local dir=$1 line finished total mark=1 announced=0
  while IFS= read -r line; do
    if [[ $line =~ ^\[([0-9]+)/([0-9]+)\] ]]; then
      finished=${BASH_REMATCH[1]} total=${BASH_REMATCH[2]}
      # Configuring again, where it is due, comes first and counts by itself.
      if ((total > 5 && total > announced)); then
        say "building in $dir: $total steps"
        announced=$total
      fi
      if [[ -n $PROGRESS ]]; then
        printf '\r\033[K  %s' "${line:0:100}" >&2
      elif ((total > 50 && finished * 10 >= total * mark)); then
        printf '  %d of %d\n' "$finished" "$total" >&2
        mark=$((finished * 10 / total + 1))
      fi
    elif [[ ! $line =~ ^(ninja: (Entering|no work)|-- ) && $line != *"Re-checking globbed"* ]]; then
      [[ -z $PROGRESS ]] || printf '\r\033[K' >&2
      printf '%s\n' "$line" >&2
    fi
  done
  [[ -z $PROGRESS ]] || printf '\r\033[K' >&2
}

build_command() {
  need_packages build
  configure default CLI
  build build farfault_command
}

# repeat_failures DIR: the last words of the tests that have failed, which stand far above in a long log, or were cut off.
repeat_failures() {
  local log=$1/Testing/Temporary/LastTest.log failed=$1/Testing/Temporary/LastTestsFailed.log
  [[ -s $log && -s $failed ]] || return 0
  awk -v lines=25 -v most=8 '
    NR == FNR { sub(/^[0-9]+:/, ""); wanted[$0] = 1; next }
    /^[0-9]+\/[0-9]+ Testing: / { name = $0; sub(/^[0-9]+\/[0-9]+ Testing: /, "", name); count = 0; next }
    $0 == "Output:" { inside = 1; next }
    $0 != "<end of output>" { if (inside) said[count++] = $0; next }
    {
      inside = 0
      if (!(name in wanted) || ++told > most) next
      if (told == 1) print "==> what the failed tests said last:"
      print "--- " name
      for (i = count > lines ? count - lines : 0; i < count; ++i) print said[i]
    }
    END { if (told > most) print "--- and " told - most " more" }
  ' "$failed" "$log" >&2
}

run_ctest() {
  local dir=$1
  shift
  local -a wrap=() progress=()
  mapfile -t wrap < <(sanitizer_wrapper "$dir")
  [[ -t 1 && ${TERM:-dumb} != dumb ]] && progress=(--progress)
  "${wrap[@]}" ctest --test-dir "$dir" -j "$JOBS" --output-on-failure --no-tests=error "${progress[@]}" "$@" || {
    if ctest --test-dir "$dir" -N "$@" | grep -q '^Total Tests: 0$'; then
      die "no test is called for by: $*" "All of them:         ./dev test -N"
    fi
    repeat_failures "$dir" || true
    die "some tests failed" "Again, only those:   ctest --test-dir $dir --rerun-failed --output-on-failure" \
      "One of them:         ./dev test -R 'its name'"
  }
}

tell_of_missing_kvm() {
  [[ $(uname -m) == x86_64 ]] || return 0
  if [[ ! -e /dev/kvm ]]; then
    say "the tests of examples/kvm will be skipped: there is no /dev/kvm"
  elif [[ ! -r /dev/kvm || ! -w /dev/kvm ]]; then
    # As examples/kvm/CMakeLists.txt has it.
    if [[ ${CI:-} == true ]]; then
      say "the tests of examples/kvm will fail, as CI=true: this user may not open /dev/kvm"
    else
      say "the tests of examples/kvm will be skipped: this user may not open /dev/kvm"
    fi
  fi
}

# For the tests that move the Linux guest of a QEMU.
find_guest_kernel() {
  [[ $(uname -m) == x86_64 ]] || return 0
  if [[ ${CI:-} == true ]]; then
    need_packages vm
  elif ! vm_is_set_up; then
    say "the tests with a guest of QEMU will be skipped: there is no kernel for it (./dev setup fetches one)"
    return 0
  fi
  find_kernel
  export FARFAULT_GUEST_KERNEL=$VM_KERNEL
}

# In CI a machine that does not come up is a failure; a user who has never asked for one is not made to install it.
run_rdma_tests() {
  if [[ $(cached build FARFAULT_WITH_VERBS) == OFF || $(cached build FARFAULT_VERBS_FOUND) != 1 ]]; then
    say "a build without libibverbs has no tests over RDMA"
    return
  fi
  if [[ ${CI:-} != true ]] && ! vm_is_set_up; then
    say "the tests over RDMA were skipped: the machine for them is not set up (./dev vm -- true does it)"
    return
  fi
  say "the tests over RDMA, in a machine that has a device"
  "$ROOT/dev" vm --env FARFAULT_REQUIRE_VERBS=1 -- ctest --test-dir build -L rdma --output-on-failure --no-tests=error || {
    repeat_failures build || true
    die "some tests over RDMA failed" "Again:   ./dev vm -- ctest --test-dir build -L rdma --rerun-failed --output-on-failure"
  }
}

# Thread sanitizer of GCC 12 cannot place its shadow memory when the kernel randomises more than 28 bits.
sanitizer_wrapper() {
  if [[ $1 == build-tsan ]] && setarch -R true 2>/dev/null; then printf '%s\n' setarch -R; fi
}

sanitized() {
  local kind=$1
  shift
  need_packages build test
  export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_stack_use_after_return=1:strict_string_checks=1}
  export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1:halt_on_error=1}
  export TSAN_OPTIONS=${TSAN_OPTIONS:-halt_on_error=1:second_deadlock_stack=1}
  configure "$kind" EXAMPLES CLI TESTS
  build "build-$kind"
  # A sanitized program would see nothing of the machines that ./dev vm starts, and a QEMU that is not sanitized cannot
  # load a library that is.
  run_ctest "build-$kind" -LE 'rdma|qemu' "$@"
}
