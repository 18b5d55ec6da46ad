# shellcheck shell=bash
# Sourced by ./dev: which Debian packages each command needs, and how they get installed.

PACKAGES_BUILD="g++ cmake ninja-build pkg-config ccache libabsl-dev libfmt-dev libcli11-dev nlohmann-json3-dev
  libssl-dev libibverbs-dev librdmacm-dev"
# btrfs-progs makes a file system with subvolumes for one test.
PACKAGES_TEST="libcatch2-dev libbenchmark-dev spin btrfs-progs"
PACKAGES_BENCH="libbenchmark-dev"
# What the wire itself can do.
PACKAGES_RDMA="perftest"
# One version of the tools on every Debian, so that all agree on what is well formatted.
PACKAGES_CHECK="clang-format-19 clang-tidy-19"
PACKAGES_PLOT="python3-matplotlib"
# QEMU and what makes a machine's initramfs; then what is run in the machine.
PACKAGES_VM="qemu-system-x86 kmod cpio xz-utils zstd
  iproute2 iputils-ping ibverbs-providers ibverbs-utils rdmacm-utils $PACKAGES_RDMA"

# shellcheck disable=SC2086
packages_of() {
  local set
  for set in "$@"; do
    case $set in
      build) echo $PACKAGES_BUILD ;;
      test) echo $PACKAGES_TEST ;;
      bench) echo $PACKAGES_BENCH ;;
      rdma) echo $PACKAGES_RDMA ;;
      format) echo clang-format-19 ;;
      check) echo $PACKAGES_CHECK ;;
      plot) echo $PACKAGES_PLOT ;;
      vm) echo $PACKAGES_VM ;;
      *) die "no package set is called '$set'" ;;
    esac
  done | tr ' ' '\n' | sort -u
}

# Prints which of the named packages are not installed.
missing_packages() {
  local installed
  # A package that dpkg has never heard of makes dpkg-query fail; it is missing all the same.
  installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null | sed -n 's/^installed //p') || true
  printf '%s\n' "$@" | grep -vxF -e "$installed" || true
}

# need_packages SET...: installs what the sets lack. Starts nothing but dpkg-query when nothing is missing.
need_packages() {
  [[ ${FARFAULT_INSTALL:-yes} == no ]] && return
  local wanted missing
  mapfile -t wanted < <(packages_of "$@")
  if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    command -v cmake >/dev/null ||
      die "this is not Debian, so nothing can be installed here." "Install what these Debian packages hold: ${wanted[*]}"
    say "not Debian: using what is installed (Debian's names for what is needed: ${wanted[*]})"
    return
  fi
  mapfile -t missing < <(missing_packages "${wanted[@]}")
  ((${#missing[@]} == 0)) || install_packages "${missing[@]}"
}

# become_root WHY...: makes ready for apt. Sets `root`, which goes in front of what only root may do, and APT_LOG.
become_root() {
  root=()
  if ((EUID != 0)); then
    if command -v sudo >/dev/null && { sudo -n true 2>/dev/null || { [[ -t 0 && -t 2 ]] && sudo -v; }; }; then
      root=(sudo -n)
    else
      die "$1" "Mending that needs root, and sudo is not available. Ask an administrator to run one of these:" \
        "    $ROOT/dev setup" "${@:2}"
    fi
  fi
  APT_LOG=$(mktemp "${TMPDIR:-/tmp}/farfault-apt.XXXXXX")
  trap 'rm -f "$APT_LOG"' EXIT
}

install_packages() {
  become_root "packages are missing: $*" "    apt-get install $* $(backports_hint "$@")" \
    "Or set FARFAULT_INSTALL=no to go on with what there is."
  say "installing packages: $*"
  all_available "$@" || apt_update
  if ! available libcatch2-dev && [[ " $* " == *" libcatch2-dev "* ]]; then
    add_backports "Catch2 3"
    apt_update
  fi
  if ! apt_install "$@"; then
    # Lists that are older than the mirror name files that are no longer there.
    apt_update
    apt_install "$@" || apt_failed "could not install the packages" "$@"
  fi
  mapfile -t missing < <(missing_packages "$@")
  ((${#missing[@]} == 0)) || apt_failed "still not installed: ${missing[*]}" "$@"
  rm -f "$APT_LOG"
}

available() {
  local policy
  policy=$(LC_ALL=C apt-cache policy "$1" 2>/dev/null) && grep -q '^  Candidate: [^(]' <<<"$policy"
}

all_available() {
  local package
  for package in "$@"; do available "$package" || return 1; done
}

# The status goes to a descriptor of its own, which apt-get hides from dpkg; it is made here because sudo closes all but three.
apt() {
  # shellcheck disable=SC2016
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive LC_ALL=C sh -c 'exec apt-get "$@" 3>&1' apt-get -y -qq \
    -o DPkg::Lock::Timeout=600 -o Acquire::Retries=2 -o Acquire::http::Timeout=30 -o Dpkg::Use-Pty=0 -o APT::Status-Fd=3 "$@" </dev/null
}

apt_update() {
  local tries=0
  say "reading the package lists"
  # apt-get waits for dpkg's lock by itself, but not for the one of the lists.
  until apt update >>"$APT_LOG" 2>&1; do
    if [[ $(tail -n 3 "$APT_LOG") == *"Could not get lock"* ]] && ((tries++ < 60)); then
      ((tries > 1)) || say "another apt is running: waiting for it"
      sleep 10
    else
      apt_failed "apt-get update failed"
    fi
  done
}

apt_install() {
  apt install --no-install-recommends "$@" 2>&1 | tee -a "$APT_LOG" | apt_progress
}

# Turns apt's machine-readable status into one line that moves (terminal), or into one line per quarter (log).
apt_progress() {
  local kind package percent text mark=25
  while IFS=: read -r kind package percent text; do
    [[ $kind == dlstatus || $kind == pmstatus ]] || continue
    percent=$((${percent%%.*} / 2))
    [[ $kind == dlstatus ]] || percent=$((percent + 50))
    if [[ -n $PROGRESS ]]; then
      printf '\r\033[K  %3d %%  %s' "$percent" "${text:0:60}" >&2
    else
      while ((percent >= mark)); do
        printf '  %3d %%\n' "$mark" >&2
        mark=$((mark + 25))
      done
    fi
  done
  [[ -z $PROGRESS ]] || printf '\r\033[K' >&2
}

apt_failed() {
  local what=$1
  shift
  { grep -v '^\(dl\|pm\)status:' "$APT_LOG" || true; } | tail -n 15 >&2
  ! grep -qi 'could not resolve\|temporary failure\|network is unreachable\|could not connect\|unable to connect' "$APT_LOG" ||
    die "$what: a package mirror cannot be reached." \
      "Is this machine online? Does it need a proxy (Acquire::http::Proxy in /etc/apt/apt.conf.d)?"
  if [[ " $* " == *" libcatch2-dev "* ]] && ! available libcatch2-dev; then
    die "$what: this system offers no Catch2 3." "Debian 12 has it in bookworm-backports, Debian 13 in main." \
      "./dev demo and ./dev run work without it."
  fi
  die "$what (the end of apt's output is above)." "Run 'apt-get install $*' by hand to see more."
}

# Debian 12 has Catch2 3 only in its backports.
backports_hint() {
  [[ $(debian_codename) == bookworm && " $* " == *" libcatch2-dev "* ]] && ! available libcatch2-dev &&
    echo "   (libcatch2-dev comes from bookworm-backports)"
}

debian_codename() { (. /etc/os-release 2>/dev/null && [[ ${ID:-} == debian ]] && echo "${VERSION_CODENAME:-}"); }

# add_backports WHAT_FOR: adds the backports of this Debian release, copied from the entry through which the machine already
# gets Debian itself: the same mirror, the same key, the same options.
add_backports() {
  local codename entry file release uri stanza
  codename=$(debian_codename)
  [[ $codename == bookworm ]] || return 0
  # shellcheck disable=SC2016
  entry=$(apt-get indextargets --format '$(SOURCESENTRY)|$(RELEASE)|$(REPO_URI)' 'Identifier: Packages' 'Origin: Debian' \
    "Codename: $codename" 'Component: main' 2>/dev/null) || true
  IFS='|' read -r file release uri <<<"${entry%%$'\n'*}"
  file=${file%:*}
  [[ -r $file ]] || apt_failed "cannot tell where this machine gets Debian from, to add its backports"
  if [[ $file == *.sources ]]; then
    stanza=$(backports_of_stanzas "$release" "$uri" "$codename" <"$file")
  else
    stanza=$(backports_of_lines "$release" "$uri" "$codename" <"$file")
  fi
  [[ -n $stanza ]] || apt_failed "cannot make an entry for $codename-backports out of $file"
  say "adding $codename-backports (for $1) next to $file"
  printf '%s\n' "$stanza" | "${root[@]}" tee /etc/apt/sources.list.d/farfault-backports.sources >/dev/null
}

# The stanza that carries the release, with its suites and components replaced.
backports_of_stanzas() {
  awk -v release="$1" -v uri="${2%/}" -v backports="$3-backports" '
    function field(name,   i, line, value, inside) {
      for (i = 1; i <= NF; ++i) {
        line = $i
        if (line ~ /^#/) continue
        if (line ~ /^[^ \t]/) inside = tolower(line) ~ "^" name "[ \t]*:"
        if (inside) { sub(/^[^ \t:]+[ \t]*:/, "", line); value = value " " line }
      }
      return value " "
    }
    function emit(   i, name, skip) {
      for (i = 1; i <= NF; ++i) {
        if ($i ~ /^#/) continue
        if ($i ~ /^[^ \t]/) {
          name = tolower($i); sub(/[ \t]*:.*/, "", name)
          skip = name ~ /^(types|suites|components)$/
        }
        if (!skip) print $i
      }
      print "Types: deb\nSuites: " backports "\nComponents: main"
    }
    BEGIN { RS = ""; FS = "\n" }
    done || index(field("suites"), " " release " ") == 0 || index(field("types"), " deb ") == 0 { next }
    # A mirror list (mirror+file:…) resolves to another address than the one that stands here.
    field("uris") ~ / mirror[+:]/ || index(field("uris") , " " uri " ") || index(field("uris"), " " uri "/ ") { emit(); done = 1 }'
}

# The same for a line of the old style: deb [options] uri suite components…
backports_of_lines() {
  awk -v release="$1" -v uri="${2%/}" -v backports="$3-backports" '
    done || $1 != "deb" { next }
    {
      line = $0; options = ""
      sub(/^deb[ \t]+/, "", line)
      if (match(line, /^\[[^]]*\]/)) { options = substr(line, 2, RLENGTH - 2); line = substr(line, RLENGTH + 1) }
      split(line, part, " ")
      if (part[2] != release) next
      plain = part[1]; sub(/\/$/, "", plain)
      if (plain != uri && plain !~ /^mirror[+:]/) next
      print "Types: deb\nURIs: " part[1] "\nSuites: " backports "\nComponents: main"
      count = split(options, option, " ")
      for (i = 1; i <= count; ++i) {
        name = option[i]; sub(/\+?=.*/, "", name)
        value = option[i]; sub(/^[^=]*=/, "", value); gsub(/,/, " ", value)
        if (name == "arch") name = "Architectures"
        if (name == "lang") name = "Languages"
        if (name == "target") name = "Targets"
        print name ": " value
      }
      done = 1
    }'
}
