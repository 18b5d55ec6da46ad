# shellcheck shell=bash
# Sourced by the tests of ./dev vm, with its path as DEV: what they need before they start a machine, and how they compare.
# In CI a machine that does not come up is a failure; elsewhere they need what ./dev vm has installed before.

skip() {
  echo "skipped: $*"
  exit 77
}
[[ -z ${FARFAULT_HOST:-} ]] || skip "this is a machine of ./dev vm"

# need_machine KERNEL: the kernel's package, or whatever ./dev vm takes: any.
need_machine() {
  local fetched="packages/$1-*" command="./dev vm --kernel $1 -- true"
  [[ $1 != any ]] || fetched='*' command='./dev vm -- true'
  [[ ${CI:-} != true ]] || return 0
  [[ $(uname -m) == x86_64 ]] || skip "./dev vm needs an x86-64 machine"
  command -v qemu-system-x86_64 >/dev/null || skip "QEMU is not installed (./dev vm -- true installs it)"
  compgen -G "${XDG_CACHE_HOME:-$HOME/.cache}/farfault/vm/$fetched/modules/order" >/dev/null ||
    skip "the machine's kernel has not been fetched ($command fetches it)"
  export FARFAULT_INSTALL=no
}

# work_in NAME: a directory that is gone afterwards.
work_in() {
  work=$(mktemp -d "${TMPDIR:-/var/tmp}/farfault-$1.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  cd "$work" || exit
}

failed=0
expect() {
  local what=$1 wanted=$2 got=$3
  [[ $got == "$wanted" ]] && return
  printf 'FAILED: %s\nwanted: %s\ngot:    %s\n' "$what" "$wanted" "$got"
  failed=1
}
times() { grep -cs -- "$1" "$2" || true; }

# finish FILE...: what the programs have said, should anything have failed.
finish() {
  ((failed == 0)) || tail -n 50 "$@" | cat -v
  exit "$failed"
}
