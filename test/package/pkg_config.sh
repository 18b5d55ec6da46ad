#!/bin/sh
# pkg_config.sh COMPILER PREFIX LIBDIR SOURCE PROGRAM: builds and runs SOURCE with no help but pkg-config's.
set -eu
export PKG_CONFIG_PATH="$2/$3/pkgconfig"
pkg-config --print-errors --exists farfault
# shellcheck disable=SC2046
"$1" -std=c++20 "$4" -o "$5" $(pkg-config --cflags --libs farfault)
LD_LIBRARY_PATH="$2/$3" "$5"
