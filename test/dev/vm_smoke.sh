#!/usr/bin/env bash
# vm_smoke.sh DEV: what runs in a machine of `./dev vm` finds an RDMA device there, and comes back byte for byte.
set -euo pipefail
DEV=$1

# shellcheck source=test/dev/vm.sh
. "$(dirname "${BASH_SOURCE[0]}")/vm.sh"
need_machine any
work_in vm-smoke
head -c 300000 /dev/urandom >bytes

# run ARGS: into out, err and status.
run() {
  status=0
  "$DEV" vm --time 120 "$@" >out 2>err || status=$?
  # Where it is done for the first time, finding out about KVM is told of.
  sed -i '/^==> /d' err
}

cat >inside <<'EOT'
cat bytes
echo 'to standard error' >/dev/stderr
cp bytes came-back
{
  [[ -c /dev/userfaultfd ]] && echo userfaultfd
  touch /usr/written 2>/dev/null || echo read-only
  mtu=$(ibv_devinfo -d rxe0 | awk '$1 == "active_mtu:" { print $2 }')
  echo "pages $(cat /proc/sys/vm/nr_hugepages), locked $(ulimit -l), mtu $mtu"
  rping -s -a "$FARFAULT_ADDRESS" -C 10 2>/dev/null &
  until rdma resource show cm_id | grep -q LISTEN; do sleep 0.1; done
  rping -c -a "$FARFAULT_ADDRESS" -C 10 2>/dev/null && wait $! && echo rping
  for tool in "ib_read_lat -s 4096" "ib_write_bw -s 65536"; do
    $tool -d rxe0 -n 100 >/dev/null 2>&1 &
    until grep -q ':4853 .* 0A ' /proc/net/tcp /proc/net/tcp6; do sleep 0.1; done
    $tool -d rxe0 -n 100 "$FARFAULT_ADDRESS" >perftest.log 2>&1 && wait $! && echo "${tool%% *}"
  done
} >found
# Left behind, with the output open: must not hold anything up.
sleep 1000 &
exit 7
EOT
run --hugepages 8 -- bash inside
expect "the exit status of a command" 7 "$status"
expect "standard output, byte for byte" "" "$(cmp out bytes 2>&1)"
expect "standard error" "to standard error" "$(cat err)"
expect "a file that the command wrote" "" "$(cmp came-back bytes 2>&1)"
expect "what is in the machine" "userfaultfd
read-only
pages 8, locked unlimited, mtu 4096
rping
ib_read_lat
ib_write_bw" "$(cat found 2>&1)"

# A server of rping waits for ever when its client's goodbye gets lost.
# shellcheck disable=SC2016
run --hosts 2 --netem 'delay 2ms loss 1%' \
  --source 'echo $FARFAULT_ROLE; timeout 60 rping -s -a $FARFAULT_ADDRESS -C 20 2>/dev/null; exit 3' \
  --destination 'rping -c -a $FARFAULT_PEER_ADDRESS -C 20 2>/dev/null && echo "$FARFAULT_ROLE $FARFAULT_HOST"
    ping -c 3 -q $FARFAULT_PEER_ADDRESS | awk -F / "/^rtt/ { print (\$4 >= 4 ? \"slow\" : \"fast\") > \"link\" }"'
expect "the exit status of a source that fails" 3 "$status"
expect "standard output of two machines" "destination 1" "$(cat out)"
expect "standard error of two machines" "source: source" "$(cat err)"
expect "a link that takes 2 ms each way" "slow" "$(cat link 2>&1)"

finish out err
