#!/bin/sh
# Installs header, libraries, pkg-config file and CMake config under PREFIX (include/, lib/).
# usage: install.sh PREFIX [LIBRARIES]
# LIBRARIES: the folder with libringscope_capi.so and .a; left out, they are built in release mode.
set -eu

if [ $# -lt 1 ] || [ $# -gt 2 ]; then
    echo "usage: install.sh PREFIX [LIBRARIES]" >&2
    exit 2
fi
capi=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
prefix=$(cd "$1" && pwd)
if [ $# -eq 2 ]; then
    libraries=$2
else
    (cd "$capi/.." && cargo build --release -p ringscope-capi)
    libraries=${CARGO_TARGET_DIR:-$capi/../target}/release
fi
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$capi/../Cargo.toml" | head -n 1)
major=1 # of the inline ABI, as in the SONAME

mkdir -p "$prefix/include" "$prefix/lib/pkgconfig" "$prefix/lib/cmake/ringscope"
install -m 644 "$capi/include/ringscope.h" "$prefix/include/"
install -m 755 "$libraries/libringscope_capi.so" "$prefix/lib/libringscope.so.$major.$version"
install -m 644 "$libraries/libringscope_capi.a" "$prefix/lib/libringscope.a"
ln -sf "libringscope.so.$major.$version" "$prefix/lib/libringscope.so.$major"
ln -sf "libringscope.so.$major" "$prefix/lib/libringscope.so"
sed -e "s|@prefix@|$prefix|" -e "s|@version@|$version|" "$capi/ringscope.pc.in" \
    >"$prefix/lib/pkgconfig/ringscope.pc"
install -m 644 "$capi/ringscope-config.cmake" "$prefix/lib/cmake/ringscope/"
sed -e "s|@version@|$version|" "$capi/ringscope-config-version.cmake.in" \
    >"$prefix/lib/cmake/ringscope/ringscope-config-version.cmake"
