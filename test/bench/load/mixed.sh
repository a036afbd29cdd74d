#!/bin/sh
# What a shell and a compiler driver do: small files, pipes, short programs.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
i=0
while [ $i -lt 8 ]; do
	printf 'int f%d(int x)\n{\n\treturn x + %d;\n}\n' $i $i >"$dir/f$i.c"
	sed "s/return/return 1 +/" "$dir/f$i.c" >"$dir/g$i.c"
	grep -c return "$dir/g$i.c" >>"$dir/counts"
	cat "$dir/f$i.c" "$dir/g$i.c" | sort | head -n 3 >"$dir/h$i"
	i=$((i + 1))
done
sort -n "$dir/counts" | tail -n 1 >/dev/null
ls -l "$dir" >/dev/null
