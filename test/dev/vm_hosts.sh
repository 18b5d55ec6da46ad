#!/usr/bin/env bash
# vm_hosts.sh DEV: sessions between two machines of ./dev vm, over RDMA: every method of the demo on a sound link and on one
# that loses packets, devices of different MTU, packets of a traffic class, and a link that goes dead.
set -euo pipefail
DEV=$1
BUILD=$(dirname "$DEV")/build

# shellcheck source=test/dev/vm.sh
. "$(dirname "${BASH_SOURCE[0]}")/vm.sh"
need_machine any
[[ -x $BUILD/bin/farfault ]] || skip "the farfault command is not built"

work_in vm-hosts

cat >source.sh <<'EOT'
set -u
demo() { farfault demo --role source --listen "tcp://$FARFAULT_ADDRESS:7001" 2>/dev/null || exit 11; }
demo
tc qdisc replace dev eth0 root netem delay 2ms loss 1%
demo
tc qdisc del dev eth0 root
farfault serve small --listen "verbs://$FARFAULT_ADDRESS:7000?tclass=106" --once 2>/dev/null || exit 12
# To change what a queue does is all right while packets are sent. To replace the queue is not: SoftRoCE gives a connection
# up, without a reason, whose packet comes while there is none.
tc qdisc replace dev eth0 root netem loss 0%
(until [[ -e dark ]]; do sleep 0.1; done; tc qdisc change dev eth0 root netem loss 100%) &
# Nothing is asked of the device from here on: only the question after some seconds of silence can find out.
farfault serve large --listen "verbs://$FARFAULT_ADDRESS:7000" --once >dead-source.err 2>&1
echo $? >dead-source.status
EOT
cat >destination.sh <<'EOT'
set -u
demo() {
  farfault demo --role destination --connect "tcp://$FARFAULT_PEER_ADDRESS:7001" --transport verbs --size "$1" \
    --demand-only 300ms --timeout 15m --json || exit 21
}
source=verbs://$FARFAULT_PEER_ADDRESS:7000
demo 16M >plain.json
tc qdisc replace dev eth0 root netem delay 2ms loss 1%
# SoftRoCE waits for seconds before it sends again what was lost.
demo 4M >lossy.json
tc qdisc del dev eth0 root
ip link set eth0 mtu 1500
tc qdisc add dev eth0 clsact
tc filter add dev eth0 ingress protocol ip u32 match ip dsfield 106 0xff match ip dport 4791 0xffff flowid 1:1
farfault fetch --from "$source?tclass=106" --rest --json >mtu.json || exit 22
tc -s filter show dev eth0 ingress >tclass.txt
tc qdisc del dev eth0 clsact
tc qdisc replace dev eth0 root netem loss 0%
farfault fetch --from "$source" --threads 1 >dead-destination.err 2>&1 &
until grep -q '^fetching' dead-destination.err; do sleep 0.1; done
kill -STOP $!
# In both directions: the source, which ends first, would say goodbye.
touch dark
tc qdisc change dev eth0 root netem loss 100%
for ((tries = 0; tries < 600; ++tries)); do
  [[ ! -s dead-source.status ]] || break
  sleep 0.2
done
kill -CONT $!
wait $!
echo $? >dead-destination.status
EOT

status=0
head -c 4000000 "$BUILD/bin/farfault" >small
head -c 200000000 /dev/zero >large
"$DEV" vm --hosts 2 --time 1400 \
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
# "(rule hit 4021 success 3977)", and how often each of the two words matched. An answer to a READ has at most 1,024 bytes.
packets=$(grep -os 'rule hit [0-9]* success [0-9]*' tclass.txt | awk '{ print $5 }') || true
((${packets:-0} >= 3900)) || expect "packets of the traffic class" "3900 at least" "$(cat tclass.txt 2>&1)"
for end in source destination; do
  expect "the exit status of the $end of a link that goes dead" 1 "$(cat dead-$end.status 2>&1)"
  expect "what the $end says of it" 1 "$(times 'the peer does not answer any more' dead-$end.err)"
done

finish out err dead-source.err dead-destination.err
