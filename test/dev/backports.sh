#!/usr/bin/env bash
# backports.sh PACKAGES_SH: whatever way a machine names its mirror, the backports must come from there too.
set -euo pipefail
# shellcheck source=/dev/null
. "$1"

failed=0
expect() {
  local what=$1 wanted=$2 got=$3
  [[ $got == "$wanted" ]] && return
  printf 'FAILED: %s\nwanted:\n%s\ngot:\n%s\n\n' "$what" "$wanted" "$got"
  failed=1
}

expect "a stanza keeps its key and mirror; comments and other archives stay behind" \
"URIs: http://mirror.test/debian
Signed-By: /usr/share/keyrings/k.gpg
Types: deb
Suites: bookworm-backports
Components: main" "$(backports_of_stanzas bookworm http://mirror.test/debian/ bookworm <<'EOF'
Types: deb
URIs: http://vendor.test/linux
Suites: bookworm
Components: stable
Signed-By: /etc/vendor.gpg

# the main archive
Types: deb deb-src
# a comment
URIs: http://mirror.test/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/k.gpg

Types: deb
URIs: http://mirror.test/debian-security
Suites: bookworm-security
Components: main
EOF
)"

expect "a key inside the stanza stays whole, suites over two lines go" \
"Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc
URIs: https://mirror.test/debian/
Types: deb
Suites: bookworm-backports
Components: main" "$(backports_of_stanzas bookworm https://mirror.test/debian bookworm <<'EOF'
Types: deb
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc
URIs: https://mirror.test/debian/
Suites: bookworm
 bookworm-updates
Components: main
EOF
)"

expect "a list of mirrors stays one, and a suite called stable is understood" \
"URIs: mirror+file:///etc/apt/mirrors.list
Types: deb
Suites: bookworm-backports
Components: main" "$(backports_of_stanzas stable http://mirror.test/debian bookworm <<'EOF'
Types: deb
URIs: mirror+file:///etc/apt/mirrors.list
Suites: stable stable-updates
Components: main
EOF
)"

expect "nothing is made of sources alone" "" "$(backports_of_stanzas bookworm http://mirror.test/debian bookworm <<'EOF'
Types: deb-src
URIs: http://mirror.test/debian
Suites: bookworm
Components: main
EOF
)"

expect "a line with options" \
"Types: deb
URIs: http://mirror.test/debian/
Suites: bookworm-backports
Components: main
Architectures: amd64 arm64
signed-by: /usr/share/keyrings/k.gpg" "$(backports_of_lines bookworm http://mirror.test/debian bookworm <<'EOF'
# deb http://mirror.test/debian bookworm main
deb-src http://mirror.test/debian bookworm main
deb http://vendor.test/linux bookworm stable
deb [arch=amd64,arm64 signed-by=/usr/share/keyrings/k.gpg] http://mirror.test/debian/ bookworm main contrib
deb http://mirror.test/debian bookworm-updates main
EOF
)"

expect "a line without options" \
"Types: deb
URIs: http://mirror.test/debian
Suites: bookworm-backports
Components: main" "$(backports_of_lines bookworm http://mirror.test/debian/ bookworm <<'EOF'
deb  http://mirror.test/debian  bookworm  main
EOF
)"

exit $failed
