#!/usr/bin/env bash
# Instructions of each operation in benches/instructions.rs, by callgrind: all of them, or those that match a word.
# Each runs twice; what both runs share (start and setup) cancels out.
set -euo pipefail
few=100 many=600
binary=$(cargo bench --bench instructions --no-run --message-format=json 2>/dev/null |
    grep -o '"executable":"[^"]*/instructions-[^"]*"' | cut -d'"' -f4)
count() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$binary" "$1" "$2" 2>&1 | awk '/Collected/ { print $NF }'
}
for operation in $("$binary" | grep -- "${1:-}"); do
    printf '%-28s %8d\n' "$operation" $((($(count "$operation" $many) - $(count "$operation" $few)) / (many - few)))
done
