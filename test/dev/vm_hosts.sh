#!/usr/bin/env bash
# vm_hosts.sh DEV: sessions between two machines of ./dev vm, over RDMA: every method of the demo on a sound link and on one
# that loses packets; devices of different MTU; a peer whose link is cut while this end only waits.
set -euo pipefail
DEV=$1
BUILD=$(dirname "$DEV")/build

skip() {
  echo "skipped: $*"
  exit 77
}
[[ -z ${FARFAULT_HOST:-} ]] || skip "this is such a machine"
if [[ ${CI:-} != true ]]; then
  [[ $(uname -m) == x86_64 ]] || skip "./dev vm needs an x86-64 machine"
  command -v qemu-system-x86_64 >/dev/null || skip "QEMU is not installed (./dev vm -- true installs it)"
  compgen -G "${XDG_CACHE_HOME:-$HOME/.cache}/farfault/vm/*/modules/order" >/dev/null ||
    skip "the machine's kernel has not been fetched (./dev vm -- true fetches it)"
  export FARFAULT_INSTALL=no
fi
[[ -x $BUILD/bin/farfault ]] || skip "the farfault command is not built"

work=$(mktemp -d "${TMPDIR:-/var/tmp}/farfault-vm-hosts.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"

cat >source.sh <<'EOT'
set -u
demo() { farfault demo --role source --listen "tcp://$FARFAULT_ADDRESS:7001" 2>/dev/null || exit 11; }
demo
tc qdisc replace dev eth0 root netem delay 2ms loss 1%
demo
tc qdisc del dev eth0 root
farfault serve small --listen "verbs://$FARFAULT_ADDRESS:7000" --once 2>/dev/null || exit 12
# Nothing is under way from this end: it finds out by asking.
farfault serve "$IMAGE" --listen "verbs://$FARFAULT_ADDRESS:7000" --once 2>silent.err
[[ $? == 1 ]] || exit 13
EOT
cat >destination.sh <<'EOT'
set -u
demo() {
  farfault demo --role destination --connect "tcp://$FARFAULT_PEER_ADDRESS:7001" --transport verbs --size "$1" \
    --demand-only 300ms --timeout 15m --json || exit 21
}
fetch() { farfault fetch --from "verbs://$FARFAULT_PEER_ADDRESS:7000" "$@"; }
demo 16M >plain.json
tc qdisc replace dev eth0 root netem delay 2ms loss 1%
# SoftRoCE waits for seconds before it sends again what was lost.
demo 4M >lossy.json
tc qdisc del dev eth0 root
ip link set eth0 mtu 1500
fetch --rest --json >mtu.json || exit 22
ip link set eth0 mtu 9000
fetch --threads 1 --pattern random 2>cut.err &
until grep -q fetching cut.err; do sleep 0.1; done
tc qdisc replace dev eth0 root netem loss 100%
wait $!
[[ $? == 1 ]] || exit 23
# The other end needs its time, too.
until [[ -s silent.err ]] && grep -q ^farfault: silent.err; do sleep 0.5; done
EOT

failed=0
expect() {
  local what=$1 wanted=$2 got=$3
  [[ $got == "$wanted" ]] && return
  printf 'FAILED: %s\nwanted: %s\ngot:    %s\n' "$what" "$wanted" "$got"
  failed=1
}
times() { grep -cs -- "$1" "$2" || true; }

status=0
image=$BUILD/bin/farfault
head -c 4000000 "$image" >small
"$DEV" vm --hosts 2 --time 1400 --env "IMAGE=$image" \
  --source 'exec bash source.sh' --destination 'exec bash destination.sh' >out 2>err || status=$?
expect "the exit status" 0 "$status"
declare -A pages=([plain]=4096 [lossy]=1024)
for link in plain lossy; do
  expect "methods over a link that is $link" 4 "$(times '"method":' $link.json)"
  expect "methods with every page verified, $link" 4 "$(times "\"verified_pages\": ${pages[$link]}," $link.json)"
  expect "methods without a wrong page, $link" 4 "$(times '"wrong_pages": 0' $link.json)"
  expect "methods without a wrong answer, $link" 4 "$(times '"wrong_answers": 0' $link.json)"
  expect "an MTU of 4096, $link" 4 "$(times '"mtu": 4096,' $link.json)"
done
expect "the smaller MTU of both ends" 1 "$(times '"mtu": 1024,' mtu.json)"
expect "the image over it" 1 "$(times "\"sha256\": \"$(sha256sum <small | cut -d' ' -f1)\"" mtu.json)"
expect "what the reading end says of a link that was cut" 1 "$(times 'does not answer any more' cut.err)"
expect "where its threads are" 1 "$(times 'stay parked' cut.err)"
expect "what the waiting end says of it" 1 "$(times 'does not answer any more' silent.err)"

((failed == 0)) || { tail -n 30 out err ./*.err | cat -v; }
exit $failed
