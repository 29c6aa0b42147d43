#!/usr/bin/env bash
# What recording adds to a launch: cost.sh RINGSCOPE [TIMES] runs the program of programs/cost.c without and with the layer in turn, and prints
# the median of all rounds of each.
set -euo pipefail
ringscope=$1
times=${2:-9}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cc -std=c11 -O2 -w "$(dirname "$0")/programs/cost.c" -o "$work/cost" -lOpenCL
for _ in $(seq "$times"); do
  "$work/cost" 11 >> "$work/without"
  "$ringscope" record --opencl --mode flight --no-decode --dir "$work/runs" --force-dir -- "$work/cost" 11 >> "$work/with" 2> /dev/null
done
for what in enqueue finished; do
  for how in without with; do
    awk -v what=$what '$1 == what { print $2 }' "$work/$how" | sort -n | awk -v what="$what, $how" '{ all[NR] = $1 } END { printf "%-20s %8.1f ns\n", what, all[int((NR + 1) / 2)] }'
  done
done
