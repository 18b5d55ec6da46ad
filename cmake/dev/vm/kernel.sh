# shellcheck shell=bash
# Sourced by ./dev: the kernel of the machines that ./dev vm starts. It is fetched once into a cache, and not installed.

# What a machine needs beyond what is built into Debian's kernel. rdma_rxe asks for crc32 only when it runs.
VM_MODULES="crc32_generic virtio_pci virtio_net virtio_rng 9pnet_virtio 9p overlay
  rdma_rxe ib_uverbs rdma_ucm ib_umad veth dummy sch_netem sch_ingress cls_u32"
# The first with PAGEMAP_SCAN, which dirty tracking uses.
VM_OLDEST_KERNEL=6.7
VM_CACHE=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/farfault/vm

# Whether a machine would start without installing or fetching anything.
vm_is_set_up() {
  [[ $(uname -m) == x86_64 ]] && command -v qemu-system-x86_64 >/dev/null && compgen -G "$VM_CACHE/*/modules/order" >/dev/null
}

# Sets VM_KERNEL and VM_INITRAMFS.
find_kernel() {
  local cache lock PATH=$PATH:/usr/sbin:/sbin
  [[ $(uname -m) == x86_64 ]] || die "./dev vm needs an x86-64 machine, this is $(uname -m)"
  # Another list of modules makes another cache.
  cache=$VM_CACHE/${VM_KERNEL_PACKAGE:+packages/$VM_KERNEL_PACKAGE-}$(cksum <<<"$VM_MODULES" | cut -d' ' -f1)
  mkdir -p "$cache" || die "the cache $cache cannot be made" "XDG_CACHE_HOME says where it goes"
  exec {lock}>"$cache.lock"
  flock "$lock"
  [[ -e $cache/modules/order ]] || fetch_kernel "$cache"
  VM_KERNEL=$cache/kernel
  VM_INITRAMFS=$cache/initramfs-$(cat cmake/dev/vm/{init,session} | cksum | cut -d' ' -f1)
  [[ -e $VM_INITRAMFS ]] || pack_initramfs "$cache" "$VM_INITRAMFS"
  exec {lock}>&-
}

# The newest there is: the package that bears the version in its name.
newest_kernel() {
  apt-cache show linux-image-amd64 2>/dev/null | sed -n 's/^Depends: \(linux-image-[0-9][^ ]*-amd64\).*/\1/p' |
    sort -V | tail -n 1
}
new_enough() {
  local version=${1#linux-image-}
  [[ -n $version && $(printf '%s\n' "$VM_OLDEST_KERNEL" "$version" | sort -V | head -n 1) == "$VM_OLDEST_KERNEL" ]]
}

fetch_kernel() {
  local cache=$1 package work
  command -v apt-get >/dev/null || die "this is not Debian, so ./dev vm does not know where to get a kernel"
  package=${VM_KERNEL_PACKAGE:-$(newest_kernel)}
  if [[ -z ${VM_KERNEL_PACKAGE:-} ]] && ! new_enough "$package"; then
    become_root "no package list that this machine has read offers a kernel of $VM_OLDEST_KERNEL or later"
    available linux-image-amd64 && add_backports "the kernel of virtual machines"
    apt_update
    package=$(newest_kernel)
    new_enough "$package" || die "no package list offers a kernel of $VM_OLDEST_KERNEL or later" \
      "The newest: ${package:-none}" "Debian 12 has it in bookworm-backports, Debian 13 in main."
  fi
  work=$cache.new
  rm -rf "$work"
  mkdir -p "$work/modules"
  say "fetching $package for virtual machines (once, into $cache)"
  download "$work" "$package" busybox-static
  unpack_kernel "$work" "${package#linux-image-}"
  rm -rf "$work/download" "$cache"
  mv "$work" "$cache"
}

# download DIR PACKAGE...: into DIR/download, unpacked. Needs no root unless the package lists are too old.
download() {
  local work=$1 log=$1/download.log archive
  shift
  mkdir -p "$work/download"
  if ! (cd "$work/download" && apt-get -q -o APT::Sandbox::User=root download "$@") >"$log" 2>&1; then
    tail -n 5 "$log" >&2
    become_root "these packages could not be fetched, perhaps because the package lists are old: $*"
    apt_update
    (cd "$work/download" && apt-get -q -o APT::Sandbox::User=root download "$@") >"$log" 2>&1 || {
      tail -n 5 "$log" >&2
      die "could not fetch these packages: $*" "Is this machine online?"
    }
  fi
  for archive in "$work"/download/*.deb; do dpkg -x "$archive" "$work/download" || die "could not unpack $archive"; done
}

# unpack_kernel DIR VERSION: takes from what was downloaded the kernel, busybox, and the modules in their order.
unpack_kernel() {
  local work=$1 version=$2 module name
  local from=$work/download
  cp "$from/bin/busybox" "$work/busybox" 2>/dev/null || cp "$from/usr/bin/busybox" "$work/busybox"
  # Debian 13 has it all below /usr, where depmod does not look.
  [[ -d $from/lib/modules ]] || ln -s usr/lib "$from/lib"
  depmod -b "$from" "$version" || die "depmod failed for kernel $version"
  for module in $VM_MODULES; do
    modprobe -d "$from" -S "$version" --show-depends "$module" || die "kernel $version has no module $module"
  done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' >"$work/modules.list"
  while read -r module; do
    name=${module##*/}
    case $name in
      *.xz) xz -dc "$module" >"$work/modules/${name%.xz}" ;;
      *.zst) zstd -qdc "$module" >"$work/modules/${name%.zst}" ;;
      *) cp "$module" "$work/modules/" ;;
    esac
    name=${name%.xz}
    echo "${name%.zst}"
  done <"$work/modules.list" >"$work/order"
  unpack_vmlinux "$from/boot/vmlinuz-$version" "$work/kernel" || cp "$from/boot/vmlinuz-$version" "$work/kernel"
  mv "$work/order" "$work/modules/order"
}

# QEMU can start the kernel proper, which spares an emulated machine two seconds of unpacking it.
unpack_vmlinux() {
  local offset
  while IFS=: read -r offset _; do
    tail -c "+$((offset + 1))" "$1" | zstd -qdc >"$2" 2>/dev/null || true
    [[ $(head -c 4 "$2") == $'\177ELF' ]] && return
  done < <(LC_ALL=C grep -obUaP '\x28\xb5\x2f\xfd' "$1")
  return 1
}

pack_initramfs() {
  local cache=$1 to=$2 tree
  tree=$(mktemp -d "$cache/tree.XXXXXX")
  mkdir -p "$tree"/{bin,dev,proc,sys,root}
  cp "$cache/busybox" "$tree/bin/"
  cp -r "$cache/modules" "$tree/"
  cp cmake/dev/vm/{init,session} "$tree/"
  chmod 755 "$tree/init"
  (cd "$tree" && find . | cpio --quiet -o -H newc -R 0:0) >"$to.new" || die "the initramfs could not be packed"
  rm -rf "$tree"
  mv "$to.new" "$to"
}
