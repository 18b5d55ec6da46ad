# shellcheck shell=bash
# Sourced by ./dev: the rules of the project that a machine can check.

CHECK_STEPS="format text headers tests scripts tidy"
MAX_COLUMNS=120
LONG_FILE=300

git_here() { git -c safe.directory="$ROOT" -C "$ROOT" "$@"; }

# All files of the project that exist, tracked or about to be.
project_files() {
  if git_here rev-parse --git-dir >/dev/null 2>&1; then
    git_here ls-files --cached --others --exclude-standard -- "$@" | sort -u | while read -r file; do
      [[ ! -f $file ]] || printf '%s\n' "$file"
    done
  else
    find . -path './build*' -prune -o -type f -print | sed 's|^\./||' | grep -E "$(glob_to_regex "$@")"
  fi
}
glob_to_regex() {
  local IFS='|'
  local globs=("${@//./\\.}")
  printf '^(%s)$' "${globs[*]//\*/.*}"
}
cxx_files() { project_files '*.h' '*.cc' '*.c'; }

# The tool in the version that decides, or else whichever there is.
llvm_tool() {
  local name
  for name in "$1-19" "$1"; do
    if command -v "$name"; then return; fi
  done
  die "$1 is not installed" "./dev setup installs it"
}

check_main() {
  local step all="" failed=() steps=()
  for step in "$@"; do
    if [[ $step == --all ]]; then all=1 && continue; fi
    case " $CHECK_STEPS " in
      *" $step "*) steps+=("$step") ;;
      *) die "check has no step '$step'" "Steps: $CHECK_STEPS; and --all" ;;
    esac
  done
  # shellcheck disable=SC2206
  ((${#steps[@]} > 0)) || steps=($CHECK_STEPS)
  TIDY_ALL=$all
  need_packages build test bench check
  configure default BENCH EXAMPLES CLI TESTS
  for step in "${steps[@]}"; do
    say "check: $step"
    "check_$step" || failed+=("$step")
  done
  ((${#failed[@]} == 0)) || die "these checks failed: ${failed[*]}" "Again, only one:   ./dev check ${failed[0]}"
  say "all checks passed"
}

complain() {
  printf '  %s\n' "$@" >&2
  return 1
}

check_format() {
  local ok=0 long
  cxx_files | xargs -d '\n' "$(llvm_tool clang-format)" --dry-run -Werror >&2 || {
    ok=1
    complain "run ./dev format"
  } || true
  long=$(cxx_files | LC_ALL=C.UTF-8 xargs -d '\n' grep -nE "^.{$((MAX_COLUMNS + 1)),}" | cut -d: -f1,2) || true
  [[ -z $long ]] || complain "lines longer than $MAX_COLUMNS columns:" "${long//$'\n'/$'\n'  }" || ok=1
  return $ok
}

check_text() {
  local ok=0 file guard found
  while read -r file; do
    guard=${file#include/farfault/}
    guard=FARFAULT_$(tr 'a-z/.-' 'A-Z___' <<<"$guard")_
    grep -q "^#ifndef $guard\$" "$file" && grep -q "^#define $guard\$" "$file" ||
      complain "$file: the include guard should be $guard" || ok=1
  done < <(project_files '*.h')

  found=$(project_files '*' | xargs -d '\n' grep -InE '^(<<<<<<<|>>>>>>>|=======$)') || true
  [[ -z $found ]] || complain "left-over conflict marks:" "$found" || ok=1
  # Which mirror a machine uses is that machine's affair.
  found=$(project_files '*' | xargs -d '\n' grep -IniE '[a-z0-9]\.debian[.](org|net)|archive[.]ubuntu[.]com') || true
  [[ -z $found ]] || complain "names of package mirrors:" "$found" || ok=1
  found=$(cxx_files | xargs -d '\n' grep -nE '\b(TODO|FIXME|XXX)\b') || true
  [[ -z $found ]] || complain "unfinished:" "$found" || ok=1

  cxx_files | xargs -d '\n' wc -l | awk -v limit=$LONG_FILE '$2 != "total" && $1 > limit {
    printf "  note: %s has %d lines; more than about %d is usually two nouns\n", $2, $1, limit }' >&2
  return $ok
}

check_headers() {
  local log
  log=$(NINJA_STATUS='' ninja -C build -j "$JOBS" -k 0 farfault_headers 2>&1) && return
  grep -E 'error|FAILED' <<<"$log" | head -n 40 >&2
  complain "headers that do not compile by themselves are above"
}

check_tests() {
  local ok=0 file
  while read -r file; do
    case $file in
      *_test.cc)
        grep -qF "\"$ROOT/$file\"" build/compile_commands.json || complain "$file: no test program is built from it" || ok=1
        grep -qE '^\s*(TEMPLATE_)?(TEST_CASE|SCENARIO)' "$file" || complain "$file: holds no test case" || ok=1
        ;;
      *)
        ! grep -qE '^\s*(TEMPLATE_)?TEST_CASE' "$file" || complain "$file: has test cases, so its name should end in _test.cc" || ok=1
        ;;
    esac
  done < <(project_files 'test/*.cc')
  check_test_scripts || ok=1
  return $ok
}

# A script among the tests is named in the CMakeLists.txt beside it, or sourced by one that is.
check_test_scripts() {
  local ok=0 script name
  local -a run=() others=()
  while read -r script; do
    name=${script##*/}
    if grep -qsE "^[^#]*[/ ]${name//./\\.}([ )]|\$)" "${script%/*}/CMakeLists.txt"; then
      run+=("$script")
    else
      others+=("$script")
    fi
  done < <(project_files 'test/*.sh')
  for script in "${others[@]}"; do
    name=${script##*/}
    grep -qE "^(\.|source) .*/${name//./\\.}\"?\$" "${run[@]}" /dev/null ||
      complain "$script: ctest does not run it: no CMakeLists.txt beside it names it, and no script that one names sources it" ||
      ok=1
  done
  return $ok
}

check_scripts() {
  command -v shellcheck >/dev/null || return 0
  shellcheck -x dev .ci/run cmake/dev/*.sh cmake/dev/vm/{init,session} test/*/*.sh >&2
}

# What clang-tidy has to look at: the sources that differ from the main branch, and those that include a header which does.
changed_sources() {
  local base="" branch file
  for branch in origin/HEAD origin/main main; do
    base=$(git_here merge-base HEAD "$branch" 2>/dev/null) && break
  done
  if [[ -z $base || $base == "$(git_here rev-parse HEAD)" ]] && git_here diff --quiet HEAD; then
    base=$(git_here rev-parse --verify --quiet HEAD~1 || git_here rev-parse HEAD)
  fi
  { git_here diff --name-only "${base:-HEAD}" -- '*.h' '*.cc'; git_here ls-files --others --exclude-standard -- '*.h' '*.cc'; } |
    sort -u | while read -r file; do
    case $file in
      *.cc) [[ ! -f $file ]] || printf '%s\n' "$file" ;;
      *.h) cxx_files | grep '\.cc$' | xargs -d '\n' grep -lF "#include \"${file#include/}\"" || true ;;
    esac
  done | sort -u
}

# The build's compile commands, less the further ones of sources that are compiled more than once: clang-tidy would look at
# such a source as often.
write_tidy_commands() {
  mkdir -p "$1"
  awk 'BEGIN { RS = "}"; ORS = "" }
    match($0, /"file": "[^"]*"/) && !seen[substr($0, RSTART, RLENGTH)]++ {
      sub(/^[^{]*/, "")
      printf "%s%s}", kept++ ? ",\n" : "[\n", $0
    }
    END { print "\n]\n" }' build/compile_commands.json >"$1/compile_commands.json"
}

# A source that clang-tidy found nothing in is not looked at again until it changes, or any file that it includes, or how it
# is compiled, or the checks do. Prints "KEY SOURCE" for those of the sources on standard input that have been compiled; a
# key does not depend on where the project lies.
tidy_keys() {
  local work=$1 rules
  rules=$({ "$(llvm_tool clang-tidy)" --version && project_files '*.clang-tidy' | xargs -d '\n' cat; } | sha1sum | cut -d' ' -f1)
  rm -rf "$work/manifests"
  mkdir -p "$work/manifests"
  # Of each object the files that it was made from, the source first.
  ninja -C build -t deps | awk '/^[^ ].*VALID/ { first = 1; next }
    /^    / { sub(/^ +/, ""); if (first) source = $0; first = 0; print source "\t" $0 }' >"$work/deps"
  (cd build && cut -f2 "$ROOT/$work/deps" | sort -u | tr '\n' '\0' | xargs -0 sha1sum) >"$work/digests" 2>/dev/null || true
  awk -v rules="$rules" -v home="$ROOT" -v root="$ROOT/" -v into="$work/manifests/" '
    function here(path) { sub(/^(\.\.\/)+/, "", path); sub("^" root, "", path); return path }
    FNR == 1 { file++ }
    file == 1 { wanted[$0] = 1; next }
    file == 2 { digest[substr($0, 43)] = substr($0, 1, 40); next }
    file == 3 && /"command":/ { command = $0; gsub(home, "", command); while (sub(/ -(Werror|O[0-9g]|g[0-9]?) /, " ", command)) ; }
    file == 3 && /"file":/ { source = $2; gsub(/[",]/, "", source); commands[here(source)] = command }
    file == 3 { next }
    {
      split($0, pair, "\t"); source = here(pair[1])
      if (!(source in wanted) || seen[source, pair[2]]++) next
      name = source; gsub("/", "%", name)
      if (!(name in begun)) { begun[name] = 1; print rules, commands[source] > (into name) }
      print digest[pair[2]], here(pair[2]) > (into name)
    }' /dev/stdin "$work/digests" "$work/compile_commands.json" "$work/deps"
  (cd "$work/manifests" && find . -type f -printf '%P\0' | xargs -0 -r sha1sum) | sed 's|  | |; s|%|/|g'
}

check_tidy() {
  local -a sources known
  local cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/farfault/tidy
  if [[ -n ${TIDY_ALL:-} ]]; then
    mapfile -t sources < <(cxx_files | grep '\.cc$')
  else
    mapfile -t sources < <(changed_sources)
  fi
  mapfile -t sources < <(for file in "${sources[@]}"; do
    grep -qF "\"$ROOT/$file\"" build/compile_commands.json && printf '%s\n' "$file"
  done)
  ((${#sources[@]} > 0)) || { printf '  nothing has changed\n' >&2; return; }
  write_tidy_commands build/tidy
  mkdir -p "$cache"
  find "$cache" -type f -mtime +60 -delete
  # What has not been compiled as it is now has no key, and is looked at in any case.
  for file in "${sources[@]}"; do [[ "$file" -nt build/.ninja_deps ]] || printf '%s\n' "$file"; done |
    tidy_keys build/tidy >build/tidy/keys
  printf '%s\n' "${sources[@]}" | awk 'FILENAME == ARGV[1] { key[$2] = $1; next } { print ($0 in key ? key[$0] : "-"), $0 }' \
    build/tidy/keys /dev/stdin >build/tidy/sources
  mapfile -t known < <(while read -r key file; do [[ ! -e $cache/$key ]] || printf '%s\n' "$file"; done <build/tidy/sources)
  ((${#known[@]} == 0)) || printf '  %d of %d sources are as they were when nothing was found\n' "${#known[@]}" "${#sources[@]}" >&2
  ((${#known[@]} < ${#sources[@]})) || return 0
  # shellcheck disable=SC2016
  while read -r key file; do [[ -e $cache/$key ]] || printf '%s\0%s\0' "$key" "$file"; done <build/tidy/sources |
    xargs -0 -P "$JOBS" -n 2 bash -c '
      found=$("$0" -p build/tidy --quiet "$3" 2>&1) || failed=1
      [[ -n ${failed:-} || $2 == - ]] || : >"$1/$2"
      printf "%s\ntidied %s\n" "$found" "$3"
      exit ${failed:-0}' "$(llvm_tool clang-tidy)" "$cache" | tidy_progress $((${#sources[@]} - ${#known[@]}))
}

# Findings go through; what has been looked at is one line that moves (terminal) or a line every tenth (log).
tidy_progress() {
  local total=$1 line finished=0 mark=1
  while IFS= read -r line; do
    if [[ $line == "tidied "* ]]; then
      finished=$((finished + 1))
      if [[ -n $PROGRESS ]]; then
        printf '\r\033[K  %d of %d  %s' "$finished" "$total" "${line#tidied }" >&2
      elif ((finished == total || (total > 20 && finished * 10 >= total * mark))); then
        printf '  %d of %d sources\n' "$finished" "$total" >&2
        mark=$((finished * 10 / total + 1))
      fi
    elif [[ -n $line && ! $line =~ ^([0-9]+\ warnings?\ (generated|treated)|Suppressed|Use\ -header-filter) ]]; then
      [[ -z $PROGRESS ]] || printf '\r\033[K' >&2
      printf '%s\n' "$line" >&2
    fi
  done
  [[ -z $PROGRESS ]] || printf '\r\033[K' >&2
}
