#!/bin/sh
# Installs header, libraries, pkg-config file and CMake config under PREFIX (include/, lib/).
# usage: [DESTDIR=ROOT] install.sh PREFIX [BUILT]
# BUILT: the folder with libringscope_capi.so and .a; left out, they are built in release mode.
# DESTDIR: the root that packages are put together in; PREFIX is where the files are to be found afterwards.
set -eu

if [ $# -lt 1 ] || [ $# -gt 2 ]; then
    echo "usage: install.sh PREFIX [BUILT]" >&2
    exit 2
fi
capi=$(cd "$(dirname "$0")" && pwd)
prefix=$(realpath -ms "$1")
root=${DESTDIR-}$prefix
if [ $# -eq 2 ]; then
    built=$2
else
    (cd "$capi/.." && cargo build --release --locked -p ringscope-capi)
    built=${CARGO_TARGET_DIR:-$capi/../target}/release
fi
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$capi/../Cargo.toml" | head -n 1)
major=1 # of the inline ABI, as in the SONAME

mkdir -p "$root/include" "$root/lib/pkgconfig" "$root/lib/cmake/ringscope"
install -m 644 "$capi/include/ringscope.h" "$root/include/"
install -m 755 "$built/libringscope_capi.so" "$root/lib/libringscope.so.$major.$version"
install -m 644 "$built/libringscope_capi.a" "$root/lib/libringscope.a"
ln -sf "libringscope.so.$major.$version" "$root/lib/libringscope.so.$major"
ln -sf "libringscope.so.$major" "$root/lib/libringscope.so"
sed -e "s|@prefix@|$prefix|" -e "s|@version@|$version|" "$capi/ringscope.pc.in" \
    >"$root/lib/pkgconfig/ringscope.pc"
install -m 644 "$capi/ringscope-config.cmake" "$root/lib/cmake/ringscope/"
sed -e "s|@version@|$version|" "$capi/ringscope-config-version.cmake.in" \
    >"$root/lib/cmake/ringscope/ringscope-config-version.cmake"
