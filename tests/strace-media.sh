#!/usr/bin/env bash
# The system calls of a media thread while 200 ports relay: its batched I/O and its clock, nothing
# else; above all no futex, which is what a lock or a channel that waits would leave behind.
#
#   tests/strace-media.sh [SECONDS]     builds the bench `relay` and watches it
#
# Exit code 1 when another call is seen, 77 when the system has no strace or forbids it.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-5}
# Wait and receive and send; the timer's and the wake-up's eight bytes; the thread's own time.
allowed='^(epoll_wait|epoll_pwait|epoll_pwait2|recvfrom|sendto|read|write|clock_nanosleep|clock_gettime)$'

command -v strace >/dev/null || { echo "skipped: strace is not installed (Debian: apt install strace)"; exit 77; }
relay=${RELAY:-$(cargo bench --bench relay --no-run --message-format=json 2>/dev/null |
	sed -n 's/.*"name":"relay".*"executable":"\([^"]*\)".*/\1/p' | tail -1)}
[ -x "$relay" ] || { echo "the bench does not build: cargo bench --bench relay --no-run"; exit 1; }

work=$(mktemp -d)
"$relay" hold $((seconds + 6)) --bench >"$work/relay" &
relaying=$!
trap 'kill "$relaying" 2>/dev/null || true; rm -rf "$work"' EXIT
thread=
for _ in $(seq 50); do
	sleep 0.1
	for task in /proc/"$relaying"/task/*; do
		[ "$(cat "$task/comm" 2>/dev/null)" != media-0 ] || thread=${task##*/}
	done
	[ -z "$thread" ] || break
done
[ -n "$thread" ] || { echo "no thread media-0 in the bench"; exit 1; }
sleep 2 # Until every port is open and has latched.

timeout --signal=INT "$seconds" strace -c -U name,calls -o "$work/calls" -p "$thread" 2>"$work/said" || true
if ! grep -q recvfrom "$work/calls" 2>/dev/null; then
	echo "skipped: strace saw nothing: $(cat "$work/said")"
	exit 77
fi
wait "$relaying"
cat "$work/relay"
echo "media-0, $seconds s under strace, load $(cut -d' ' -f1-3 /proc/loadavg):"
awk 'NR > 2 && NF == 2 && $1 != "total" && $1 !~ /^-/' "$work/calls" | sort -k2 -rn | tee "$work/table"
awk '$1 == "futex" { n = $2 } END { print "futex: " n + 0 }' "$work/table"
other=$(awk '{ print $1 }' "$work/table" | grep -Ev "$allowed" || true)
[ -z "$other" ] || { echo "a media thread must not call: $other"; exit 1; }
