#!/usr/bin/env bash
# vm_old_kernel.sh DEV: on Debian 12's own kernel, which does not tell what a program writes, all but pre-paging works, and the
# demo says so.
set -euo pipefail
DEV=$1
BUILD=$(dirname "$DEV")/build

# shellcheck source=test/dev/vm.sh
. "$(dirname "${BASH_SOURCE[0]}")/vm.sh"
# shellcheck source=/dev/null
. /etc/os-release
[[ ${ID:-} == debian && ${VERSION_ID:-} == 12 ]] || skip "only the package lists of Debian 12 have that kernel"
newest() { apt-cache pkgnames linux-image-6.1 | grep -E '^linux-image-6\.1\.[0-9]+-[0-9]+-amd64$' | sort -V | tail -n 1; }
kernel=$(newest) || true
if [[ ${CI:-} == true ]]; then
  if [[ -z $kernel ]]; then
    apt-get -qq update
    kernel=$(newest) || true
  fi
else
  [[ -n $kernel ]] || skip "the package lists have no kernel 6.1 (apt-get update)"
fi
[[ -n $kernel ]] || { echo "FAILED: no package list has a kernel 6.1"; exit 1; }

need_machine "$kernel"
work_in vm-old

cat >inside <<EOT
uname -r
for method in every prepage; do
  "$BUILD/bin/farfault" demo --size 24M --demand-only 300ms --method \$method --json >\$method.json 2>\$method.err
  echo "\$method \$?"
done
for example in "$BUILD"/examples/example_hello_paging*; do
  "\$example" >/dev/null 2>&1 || echo "\${example##*/} fails"
done
EOT
"$DEV" vm --kernel "$kernel" --time 400 -- bash inside >out 2>err || expect "the exit status" 0 $?
expect "the kernel, how the demo ends, and the examples" "${kernel#linux-image-}
every 0
prepage 1" "$(cat out)"
expect "methods with every page verified" 2 "$(times '"verified_pages": 6144,' every.json)"
expect "methods without a wrong page or answer" 4 "$(times '"wrong_[a-z]*": 0' every.json)"
expect "methods that were left out, with the reason" 2 "$(times '"left_out": .*Linux 6.7' every.json)"
expect "what is said when nothing else was asked for" 1 "$(times 'pre-paging: .*Linux 6.7' prepage.err)"

finish out err ./*.err
