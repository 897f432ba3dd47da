#!/usr/bin/env bash
# race.sh COMMAND -- PACKAGE...: runs `COMMAND PACKAGE...`, which tests under the race detector.
#
# The detector's own runtime fails now and then ("ThreadSanitizer: CHECK failed"), which says
# nothing about the program. Packages that ended so, in which no test failed, no race was seen
# and nothing panicked, are tested once more; every other failure stands.
set -u -o pipefail
cmd=()
while [ "$1" != -- ]; do cmd+=("$1"); shift; done
shift
out=$(mktemp) || exit 1
trap 'rm -f "$out"' EXIT
"${cmd[@]}" "$@" 2>&1 | tee "$out"
code=$?
[ $code -eq 0 ] && exit 0
# A package's output comes in one piece, and its line of FAIL last.
again=$(awk '
	/^ *--- FAIL|^WARNING: DATA RACE|^panic:|^fatal error:/ { failed = 1 }
	/^ThreadSanitizer: CHECK failed/ { crashed = 1 }
	/^(ok  |\?   |FAIL)\t/ {
		if ($1 == "FAIL") { if (crashed && !failed) print $2; else stands = 1 }
		crashed = failed = 0
	}
	END { exit stands }' "$out") || exit $code
[ -n "$again" ] || exit $code
mapfile -t again <<<"$again"
echo "the race detector itself failed, once more: ${again[*]}"
"${cmd[@]}" "${again[@]}"
