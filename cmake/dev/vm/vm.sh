# shellcheck shell=bash
# Sourced by ./dev: the command `vm`.

. cmake/dev/vm/kernel.sh
. cmake/dev/vm/machine.sh

help_vm() { cat <<'EOT'
./dev vm [OPTIONS] -- COMMAND [ARGS]
./dev vm [OPTIONS] --hosts 2 --source SHELL_COMMAND --destination SHELL_COMMAND
    Runs a command in a virtual machine that has an RDMA device, SoftRoCE, which needs no hardware:
    ./dev vm -- farfault demo --transport verbs
    ./dev vm -- ctest --test-dir build -L rdma
    ./dev vm --hosts 2 --source 'rping -s -a $FARFAULT_ADDRESS -C 9' \
                       --destination 'rping -c -a $FARFAULT_PEER_ADDRESS -C 9' --netem 'delay 2ms loss 1%'
    Output, exit status and files come back; standard output is the command's alone, standard input empty. The machine
    sees the host's files and can write to the current directory, to build/ and to what --share names. The rest is
    read-only; /tmp, /var/tmp, /run and /dev/shm are the machine's own. The command runs as root.

    --memory SIZE          of each machine (default 4G)
    --cpus N               of each machine (default 2)
    --hugepages N          huge pages of 2 MiB set aside, hugetlbfs in /dev/hugepages
    --time SECONDS         ends the machine SECONDS after the command's start, with status 124
    --interactive          connects the terminal with the command, such as a shell; Ctrl-A X ends the machine
    --share DIR            lets the machine write to DIR, too
    --env NAME[=VALUE]     hands on an environment variable. FARFAULT_*, CTEST_*, *SAN_OPTIONS, LANG, LC_*, CI and TERM
                           are handed on anyway
    --accelerator kvm|tcg  instead of finding out which one works
    --kernel PACKAGE       the kernel of this package, for trying an older one: linux-image-6.1.0-50-amd64
    --hosts 2              two machines on a private link. A COMMAND runs on both
    --source, --destination SHELL_COMMAND
                           what each of two machines runs. The destination begins when something listens on the source
    --netem 'SPEC'         what the link does to what either machine sends: see tc-netem(8)

    In a machine FARFAULT_ADDRESS is the device's address and FARFAULT_SHARED a directory for results: build/vm-out,
    emptied at the start (build/vm-out-1 and so on while others run). With two hosts, FARFAULT_HOST is 0 or 1,
    FARFAULT_ROLE source or destination, FARFAULT_PEER_ADDRESS the other's address.
    With two hosts, standard output is the destination's. What the source prints goes to standard error, marked;
    build/vm-out has the output of both, unmarked. The exit status is the destination's, or if that is 0 the source's.
    When one has failed the other has 20 s left. Either machine stays until both commands have ended.

    status 125  a machine did not come up, or ended before its command did
    status 124  --time was up
EOT
}

cmd_vm() {
  local tool
  parse_vm "$@"
  need_packages vm
  for tool in qemu-system-x86_64 modprobe cpio xz zstd setpriv; do
    PATH=$PATH:/usr/sbin:/sbin command -v "$tool" >/dev/null || die "./dev vm needs $tool" "./dev setup installs it"
  done
  find_kernel
  # For guests of the machine, which tests start there.
  export FARFAULT_GUEST_KERNEL=${FARFAULT_GUEST_KERNEL:-$VM_KERNEL}
  ((VM_BUILD == 0)) || build_command
  VM_WORK=$(mktemp -d "${TMPDIR:-/tmp}/farfault-vm.XXXXXX")
  trap end_vm EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  trap 'exit 141' PIPE
  choose_shared
  [[ -n $VM_ACCELERATOR ]] || VM_ACCELERATOR=$(find_accelerator)
  start_machines
  await_machines
  finish_machines
  exit "$VM_STATUS"
}

parse_vm() {
  VM_HOSTS=1 VM_MEMORY=4G VM_CPUS=2 VM_HUGEPAGES=0 VM_TIME="" VM_ACCELERATOR="" VM_NETEM="" VM_KERNEL_PACKAGE=""
  VM_INTERACTIVE=0 VM_STATUS="" VM_SHARES=() VM_ENVIRONMENT=() VM_MACHINES=() VM_FOLLOWERS=()
  local source="" destination="" option value
  share_directory "$CALLER_DIR"
  mkdir -p build
  share_directory "$ROOT/build"
  while (($# > 0)) && [[ $1 != -- ]]; do
    option=$1 value=${2-}
    [[ $option == --* ]] || die "vm has no option '$option'" "The command follows after --" "See ./dev vm --help"
    shift
    if [[ $option == --interactive ]]; then VM_INTERACTIVE=1 && continue; fi
    (($# > 0)) || die "$option needs a value, or does not exist" "See ./dev vm --help"
    shift
    case $option in
      --hosts) VM_HOSTS=$(vm_value "$option" "$value" '[12]' "1 or 2") ;;
      --memory) VM_MEMORY=$(vm_value "$option" "$value" '[0-9]+[MG]' "a number with M or G") ;;
      --cpus) VM_CPUS=$(vm_value "$option" "$value" '[1-9][0-9]*' "a number") ;;
      --hugepages) VM_HUGEPAGES=$(vm_value "$option" "$value" '[0-9]+' "a number") ;;
      --time) VM_TIME=$(vm_value "$option" "$value" '[1-9][0-9]{0,8}' "a number of seconds") ;;
      --accelerator) VM_ACCELERATOR=$(vm_value "$option" "$value" 'kvm|tcg' "kvm or tcg") ;;
      --kernel) VM_KERNEL_PACKAGE=$(vm_value "$option" "$value" 'linux-image-[a-z0-9.+-]+' "a package such as linux-image-6.1.0-50-amd64") ;;
      --netem) VM_NETEM=$value ;;
      --share) share_directory "$value" ;;
      --env) VM_ENVIRONMENT+=("$(vm_value "$option" "$value" '[A-Za-z_][A-Za-z0-9_]*(=.*)?' "NAME or NAME=VALUE")") ;;
      --source) source=$value ;;
      --destination) destination=$value ;;
      *) die "vm has no option '$option'" "See ./dev vm --help" ;;
    esac
  done
  (($# == 0)) || shift
  choose_commands "$source" "$destination" "$@"
  [[ -z $VM_NETEM || $VM_HOSTS == 2 ]] || die "--netem is for the link between --hosts 2"
  ((VM_INTERACTIVE == 0)) || [[ $VM_HOSTS == 1 && -t 0 && -t 1 ]] || die "--interactive needs one host and a terminal"
}

# choose_commands SOURCE DESTINATION COMMAND...: what runs where, as text for bash.
choose_commands() {
  local source=$1 destination=$2
  shift 2
  VM_ROLES=0 VM_BUILD=0
  # Like ./dev run, what is run gets built first.
  [[ ! "$source;$destination;$*" =~ (^|[[:space:]\;\&\|\(])farfault([[:space:]\;]|$) ]] || VM_BUILD=1
  if [[ -n $source || -n $destination ]]; then
    ((VM_HOSTS == 2)) || die "--source and --destination are for --hosts 2"
    [[ -n $source && -n $destination && $# == 0 ]] ||
      die "two hosts run either --source and --destination, or one COMMAND after --"
    VM_ROLES=1
    VM_COMMANDS=("exec bash -c $(printf %q "$source")" "exec bash -c $(printf %q "$destination")")
  else
    (($# > 0)) || die "vm needs a command: ./dev vm -- COMMAND" "See ./dev vm --help"
    VM_COMMANDS=("exec $(printf '%q ' "$@")")
    VM_COMMANDS+=("${VM_COMMANDS[0]}")
  fi
}

# vm_value OPTION VALUE REGEX WHAT: prints the value if it is one.
vm_value() {
  [[ $2 =~ ^($3)$ ]] || die "$1 is $4, not '$2'"
  echo "$2"
}

# Directories are mounted in this order, so one inside another is there already. The root itself stays read-only.
share_directory() {
  local directory share
  directory=$(cd "$1" 2>/dev/null && pwd -P) || die "there is no directory '$1' to share"
  [[ $directory != / ]] || return 0
  for share in "${VM_SHARES[@]}"; do [[ $directory/ != "$share"/* ]] || return 0; done
  VM_SHARES+=("$directory")
}

# A directory that is empty and no other run's.
choose_shared() {
  local n="" lock
  while :; do
    VM_SHARED=$ROOT/build/vm-out$n
    exec {lock}>"$VM_SHARED.lock"
    if flock -n "$lock"; then break; fi
    exec {lock}>&-
    n=-$((${n#-} + 1))
  done
  rm -rf "$VM_SHARED"
  mkdir "$VM_SHARED"
}

# The variables that are handed on, as text for bash.
vm_environment() {
  local name entry
  while read -r name; do
    case $name in
      FARFAULT_HOST | FARFAULT_HOSTS | FARFAULT_ROLE | FARFAULT_ADDRESS | FARFAULT_PEER_ADDRESS | FARFAULT_SHARED) ;;
      FARFAULT_* | CTEST_* | *SAN_OPTIONS | LANG | LC_* | CI | TERM) printf 'export %s=%q\n' "$name" "${!name}" ;;
    esac
  done < <(compgen -e)
  for entry in "${VM_ENVIRONMENT[@]}"; do
    name=${entry%%=*}
    [[ $entry == *=* ]] || entry=$name=${!name-}
    printf 'export %s=%q\n' "$name" "${entry#*=}"
  done
}

start_machines() {
  local i dir
  local -a link
  for ((i = 0; i < VM_HOSTS; ++i)); do
    dir=$VM_WORK/$i
    prepare_machine "$dir" "$i" "$VM_HOSTS" "${VM_COMMANDS[i]}"
    link=()
    if ((VM_HOSTS == 2)); then
      link=(-netdev "dgram,id=link,$(link_end local "$i"),$(link_end remote $((1 - i)))"
        -device "virtio-net-pci,netdev=link,mac=52:54:00:09:00:0$i")
    fi
    start_machine "$dir" "$VM_ACCELERATOR" "${link[@]}"
    VM_MACHINES[i]=$STARTED
    follow_machine "$i" "$dir"
  done
}

link_end() { printf '%s.type=unix,%s.path=%s/link%d' "$1" "$1" "${VM_WORK//,/,,}" "$2"; }

# Where what a machine prints goes.
follow_machine() {
  local i=$1 dir=$2
  if ((i == VM_HOSTS - 1)); then
    follow "$dir/control/stdout" "$STARTED" &
    VM_FOLLOWERS+=($!)
    follow "$dir/control/stderr" "$STARTED" >&2 &
    VM_FOLLOWERS+=($!)
  else
    follow "$dir/control/stdout" "$STARTED" | sed -u 's/^/source: /' >&2 &
    VM_FOLLOWERS+=($!)
    follow "$dir/control/stderr" "$STARTED" | sed -u 's/^/source: /' >&2 &
    VM_FOLLOWERS+=($!)
  fi
}

# Waits until the commands have ended, or have to.
await_machines() {
  local i pid up_at="" failed_at="" boot_until=$((SECONDS + VM_BOOT_SECONDS))
  until machines_have status; do
    for ((i = 0; i < VM_HOSTS; ++i)); do check_machine "$i"; done
    if [[ -z $up_at ]] && machines_have up; then up_at=$SECONDS; fi
    if [[ -z $up_at ]] && ((SECONDS > boot_until)); then
      machine_failed "$VM_WORK/$((VM_HOSTS - 1))" "the virtual machine did not come up within $VM_BOOT_SECONDS s"
    fi
    if [[ -n $VM_TIME && -n $up_at ]] && ((SECONDS - up_at >= VM_TIME)); then
      (die "the command did not end within --time $VM_TIME seconds") || true
      VM_STATUS=$VM_TIMED_OUT
      return
    fi
    [[ -z $failed_at ]] || ((SECONDS - failed_at <= VM_GRACE_SECONDS)) || return 0
    # Whoever read our output has gone, as in `./dev vm -- yes | head`.
    for pid in "${VM_FOLLOWERS[@]}"; do running "$pid" || exit 141; done
    sleep 0.1
  done
}

# Sets failed_at when a command has failed. A machine never ends by itself before its command has.
check_machine() {
  local dir=$VM_WORK/$1 name="the virtual machine"
  ((VM_HOSTS == 1)) || name+=" of the $(machine_role "$1")"
  if [[ -e $dir/control/status ]]; then
    [[ -n $failed_at || $(<"$dir/control/status") == 0 ]] || failed_at=$SECONDS
  elif ! running "${VM_MACHINES[$1]}" && [[ -e $dir/control/up ]]; then
    machine_failed "$dir" "$name ended before its command did"
  elif ! running "${VM_MACHINES[$1]}"; then
    machine_failed "$dir" "$name did not come up"
  fi
}

machines_have() {
  local i
  for ((i = 0; i < VM_HOSTS; ++i)); do [[ -e $VM_WORK/$i/control/$1 ]] || return 1; done
}

# Ends the machines, brings the rest of the output, and sets VM_STATUS unless it is.
finish_machines() {
  local i pid role dir
  for pid in "${VM_MACHINES[@]}"; do end_process "$pid"; done
  wait "${VM_FOLLOWERS[@]}" || true
  for ((i = VM_HOSTS - 1; i >= 0; --i)); do
    dir=$VM_WORK/$i/control role=$(machine_role "$i")
    if ((VM_HOSTS == 2)); then
      cp "$dir/stdout" "$VM_SHARED/$role.stdout"
      cp "$dir/stderr" "$VM_SHARED/$role.stderr"
    fi
    if [[ ! -e $dir/status ]]; then
      [[ -n $VM_STATUS ]] || say "the $role was ended $VM_GRACE_SECONDS s after the other had failed"
    elif [[ -z $VM_STATUS || $VM_STATUS == 0 ]]; then
      VM_STATUS=$(<"$dir/status")
    fi
  done
  rm -f "$VM_SHARED/.listening"
}

end_vm() {
  local pid
  # Bash may have something to say about what ends now, and nobody left to say it to.
  trap '' INT TERM HUP PIPE
  for pid in "${VM_MACHINES[@]}"; do end_process "$pid"; done
  rm -rf "$VM_WORK"
}
