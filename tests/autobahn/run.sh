#!/bin/bash
# Autobahn's WebSocket suite 0.8.2, its cases 1 to 7 and 10, against both of our ends of a WebSocket: a face's, and
# the one that carries SIP. The suite needs Python 2.7 (PYTHON27=…, python2.7 in PATH, or pyenv's); it is put into
# target/autobahn. Loopback only.
set -euo pipefail
cd "$(dirname "$0")/../.."
here=$PWD/tests/autobahn work=$PWD/target/autobahn

python=
for it in "${PYTHON27:-}" python2.7 "$HOME"/.pyenv/versions/2.7*/bin/python2.7; do
    if [ -n "$it" ] && "$it" -c "" 2>/dev/null; then python=$it; fi
done
if [ -z "$python" ]; then
    echo "autobahn: skipped, there is no Python 2.7 here (PYTHON27=/path/to/python2.7)."
    echo "The same cases, of our own: cargo test --lib autobahns_cases_1_to_7_and_10_pass"
    exit 0
fi
mkdir -p "$work"
if [ ! -e "$work/lib/autobahntestsuite" ]; then
    "$python" -m pip install --quiet --disable-pip-version-check --target "$work/lib" -r "$here/requirements.txt"
fi

cargo test --quiet --lib --no-run
set -m
pids=()
trap 'for pid in "${pids[@]}"; do kill -- "-$pid" 2>/dev/null || true; done' EXIT
serve() {
    TANDEM_ECHO=127.0.0.1:$1 cargo test --quiet --lib "$2" -- --ignored --exact >"$work/$1.log" 2>&1 &
    pids+=("$!")
    for _ in $(seq 200); do
        if (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then return; fi
        sleep 0.1
    done
    echo "autobahn: nobody listens at port $1:" && cat "$work/$1.log"
    exit 1
}
serve 9401 face::socket::tests::sends_back_to_autobahn
serve 9402 io::net::tests::web::sends_back_to_autobahn

cd "$work" && rm -rf reports
"$python" -c 'import site; site.addsitedir("lib"); from autobahntestsuite.wstest import run; run()' \
    -m fuzzingclient -s "$here/spec.json" >"$work/wstest.log" 2>&1 || { tail -20 "$work/wstest.log"; exit 1; }
"$python" "$here/report.py" reports/index.json
