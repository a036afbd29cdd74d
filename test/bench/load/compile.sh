#!/bin/sh
# What a build does: a compiler that looks for many headers in many directories.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir "$dir/a" "$dir/b" "$dir/c"
i=0
while [ $i -lt 40 ]; do
	echo "static inline int h$i(int x) { return x * $i + (x >> 3); }" >"$dir/c/h$i.h"
	echo "#include <h$i.h>" >>"$dir/unit.c"
	i=$((i + 1))
done
i=0
while [ $i -lt 40 ]; do
	echo "int f$i(int x) { for (int i = 0; i < x; i++) x += h$i(i) % 7; return x; }" >>"$dir/unit.c"
	i=$((i + 1))
done
gcc -O1 -I"$dir/a" -I"$dir/b" -I"$dir/c" -c -o "$dir/unit.o" "$dir/unit.c"
