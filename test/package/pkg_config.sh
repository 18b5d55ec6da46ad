#!/bin/sh
# pkg_config.sh COMPILER STANDARD PREFIX LIBDIR SOURCE PROGRAM: builds and runs SOURCE with no help but pkg-config's.
set -eu
export PKG_CONFIG_PATH="$3/$4/pkgconfig"
pkg-config --print-errors --exists farfault
# shellcheck disable=SC2046
"$1" "-std=$2" "$5" -o "$6" $(pkg-config --cflags --libs farfault)
LD_LIBRARY_PATH="$3/$4" "$6"
