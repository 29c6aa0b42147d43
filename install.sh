#!/bin/sh
# Installs everything under PREFIX: the command with its manual pages and completions, the interceptors of `record --nvtx` and
# `record --opencl`, and for C and C++ header, libraries, pkg-config file and CMake config.
# usage: [DESTDIR=ROOT] ./install.sh PREFIX [BUILT]
# BUILT: the folder that cargo built all of it in; left out, it is built in release mode.
# DESTDIR: the root that packages are put together in; PREFIX is where the files are to be found afterwards.
set -eu

if [ $# -lt 1 ] || [ $# -gt 2 ]; then
    echo "usage: ./install.sh PREFIX [BUILT]" >&2
    exit 2
fi
tree=$(cd "$(dirname "$0")" && pwd)
root=${DESTDIR-}$(realpath -ms "$1")
if [ $# -eq 2 ]; then
    built=$2
else
    # One by one: built together, each would get the features that the others ask of the recorder.
    for package in cli nvtx opencl capi; do
        (cd "$tree" && cargo build --release --locked -p "ringscope-$package")
    done
    built=${CARGO_TARGET_DIR:-$tree/target}/release
fi

mkdir -p "$root/bin" "$root/libexec/ringscope"
install -m 755 "$built/ringscope" "$root/bin/"
# Where the command looks for them: cli/src/record/intercept.rs.
install -m 755 "$built/libringscope_nvtx.so" "$built/libringscope_opencl.so" "$root/libexec/ringscope/"
"$root/bin/ringscope" man "$root/share/man/man1"

# Prints completions for shell $1 into $2, where that shell looks for them.
completions() {
    mkdir -p "$(dirname "$root/share/$2")"
    "$root/bin/ringscope" completions "$1" >"$root/share/$2"
}
completions bash bash-completion/completions/ringscope
completions zsh zsh/site-functions/_ringscope
completions fish fish/vendor_completions.d/ringscope.fish

"$tree/capi/install.sh" "$1" "$built"
