# shellcheck shell=bash
# Sourced by ./dev: starting virtual machines, following what they print, ending them. Machine 0 is the source of two.

VM_FAILED=125
VM_TIMED_OUT=124
VM_BOOT_SECONDS=180
VM_GRACE_SECONDS=20

# Prints kvm, where a machine boots under it, or tcg. To find out takes seconds, so the answer is kept until the
# host's kernel, QEMU or the machine's kernel changes.
find_accelerator() {
  local key answer
  [[ -r /dev/kvm && -w /dev/kvm ]] || { echo tcg && return; }
  key=$({ uname -r && qemu-system-x86_64 --version && cksum <"$VM_KERNEL"; } | cksum | cut -d' ' -f1)
  answer=$VM_CACHE/accelerator-$key
  if [[ ! -s $answer ]]; then
    say "finding out whether a machine boots under KVM here"
    boots_under_kvm && echo kvm >"$answer" || echo tcg >"$answer"
    say "$(if grep -q kvm "$answer"; then echo "it does"; else echo "it does not: machines are emulated"; fi)"
  fi
  cat "$answer"
}

boots_under_kvm() {
  local dir=$VM_WORK/probe pid status=1 i VM_INTERACTIVE=0
  prepare_machine "$dir" 0 1 "true"
  start_machine "$dir" kvm
  pid=$STARTED
  for ((i = 0; i < 150; ++i)); do
    [[ ! -e $dir/control/status ]] || { status=0 && break; }
    # A processor that KVM cannot go on with stands still for ever.
    if ! running "$pid" || grep -q 'KVM internal error' "$dir/qemu.log"; then break; fi
    sleep 0.1
  done
  end_process "$pid"
  return $status
}

running() { kill -0 "$1" 2>/dev/null; }
end_process() {
  kill "$1" 2>/dev/null || return 0
  wait "$1" 2>/dev/null || true
}

# prepare_machine DIR INDEX HOSTS COMMAND: COMMAND is text for bash.
prepare_machine() {
  local dir=$1 index=$2 hosts=$3 i=0 share
  mkdir -p "$dir/control"
  : >"$dir/control/stdout"
  : >"$dir/control/stderr"
  : >"$dir/qemu.log"
  for share in "${VM_SHARES[@]}"; do printf 'share%d %s\n' "$((i++))" "$share"; done >"$dir/control/shares"
  {
    printf '%s=%q\n' HOSTS "$hosts" HOST "$index" ADDRESS "10.9.0.$((index + 1))" PEER_ADDRESS "10.9.0.$((2 - index))"
    printf '%s=%q\n' NETEM "$VM_NETEM" ANNOUNCEMENT "$VM_SHARED/.listening"
    printf '%s=%q\n' ROLE "$( ((VM_ROLES == 0)) || machine_role "$index")" TERMINAL_SIZE "$(terminal_size)"
  } >"$dir/control/settings"
  {
    printf 'export FARFAULT_HOST=%d FARFAULT_HOSTS=%d FARFAULT_ADDRESS=10.9.0.%d\n' "$index" "$hosts" "$((index + 1))"
    if ((hosts == 2)); then
      printf 'export FARFAULT_ROLE=%s FARFAULT_PEER_ADDRESS=10.9.0.%d\n' "$(machine_role "$index")" "$((2 - index))"
    fi
    printf 'export %s=%q\n' FARFAULT_SHARED "$VM_SHARED" HOME /tmp PATH "$ROOT/build/bin:$PATH:/usr/sbin:/sbin"
    vm_environment
    printf 'cd %q || exit 126\numask %s\n%s\n' "$CALLER_DIR" "$(umask)" "$4"
  } >"$dir/control/command"
}

# As arguments of stty, with --interactive.
terminal_size() {
  local rows columns
  ((VM_INTERACTIVE)) || return 0
  read -r rows columns < <(stty size)
  echo "rows $rows cols $columns"
}

machine_role() { if (($1 == 0)); then echo source; else echo destination; fi; }

# An emulated processor has the host's time stamp counter, so it need not spend seconds on measuring it. Debian's kernels have
# 250 jiffies a second; a bogomip is 500,000 loops.
loops_per_jiffy() { awk '/^bogomips/ { printf "lpj=%d", $3 * 500000 / 250; exit }' /proc/cpuinfo; }

# start_machine DIR ACCELERATOR [QEMU ARGS...]: sets STARTED.
start_machine() {
  local dir=$1 accelerator=$2 i=0 share
  local kernel_options="console=ttyS0 loglevel=5 panic=-1 mitigations=off nokaslr audit=0 tsc=reliable no_timer_check"
  # A kernel whose thread has run for two minutes says where and ends, instead of keeping its caller waiting. Someone at a
  # terminal may have suspended the host for longer.
  ((VM_INTERACTIVE)) || kernel_options+=" watchdog_thresh=60 softlockup_panic=1"
  local input=/dev/null output=$dir/qemu.log
  # Ctrl-C is for this shell to handle, not for QEMU; if the shell is killed, the machine goes with it.
  local -a start=(setsid setpriv --pdeathsig KILL)
  local -a qemu=(-nodefaults -no-user-config -display none -no-reboot -serial "file:$dir/console")
  shift 2
  case $accelerator in
    kvm) qemu+=(-accel kvm -cpu host) ;;
    # Five levels of page tables only make an emulated processor slower.
    # QEMU's emulation forgets its translation of an instruction before it writes over it: another processor may run what
    # was there, the kernel's int3 above all, for ever (seen in one boot of eight). Most of the patching is done at boot,
    # on one processor therefore; init brings the others online.
    # Without cmpxchg16b: kernels ended with a double fault right behind their allocator's, with flags that are none, in
    # three runs of three of a guest inside such a machine (QEMU 7.2).
    tcg)
      qemu+=(-accel "tcg,thread=multi" -cpu "max,la57=off,cx16=off")
      kernel_options+=" maxcpus=1 $(loops_per_jiffy)"
      ;;
  esac
  qemu+=(-machine "q35,hpet=off" -smp "$VM_CPUS" -m "$VM_MEMORY" -device virtio-rng-pci -kernel "$VM_KERNEL"
    -initrd "$VM_INITRAMFS" -append "$kernel_options init_on_alloc=0 random.trust_cpu=on hugepages=$VM_HUGEPAGES"
    -fsdev "local,id=root,path=/,security_model=none,multidevs=remap,readonly=on"
    -device "virtio-9p-pci,fsdev=root,mount_tag=root"
    -fsdev "local,id=control,path=${dir//,/,,}/control,security_model=none"
    -device "virtio-9p-pci,fsdev=control,mount_tag=control")
  for share in "${VM_SHARES[@]}"; do
    qemu+=(-fsdev "local,id=share$i,path=${share//,/,,},security_model=none,multidevs=remap"
      -device "virtio-9p-pci,fsdev=share$i,mount_tag=share$i")
    i=$((i + 1))
  done
  if ((VM_INTERACTIVE)); then
    input=/dev/tty output=/dev/tty start=(setpriv --pdeathsig KILL)
    qemu+=(-chardev stdio,id=terminal,mux=on,signal=off -device virtio-serial-pci -device virtconsole,chardev=terminal)
  fi
  set -- "${qemu[@]}" "$@"
  "${start[@]}" qemu-system-x86_64 "$@" <$input >>"$output" 2>>"$dir/qemu.log" &
  STARTED=$!
}

# follow FILE PID: prints what comes into FILE until the process has ended, and that to the last byte.
follow() { tail -c +1 -f -s 0.1 --pid="$2" "$1"; }

# machine_failed DIR WHAT: the last words of a machine that could not do its part.
machine_failed() {
  local dir=$1 what=$2
  {
    tail -n 80 "$dir/console" 2>/dev/null | tr -d '\r' | sed 's/^/  console: /'
    tail -n 5 "$dir/qemu.log" | sed 's/^/  qemu: /'
  } >&2
  (die "$what" "What its console and QEMU said last is above." \
    "Too little memory? --memory sets it. A stale kernel? Remove $VM_CACHE and try again." \
    "A machine under KVM that does not work? --accelerator tcg emulates it.") || true
  exit $VM_FAILED
}
