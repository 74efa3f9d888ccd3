# The only entry point. Each target installs what it lacks through apt when run as root,
# and otherwise says exactly what to install.
#
#   make run     the demo: a contact centre on loopback, with callers and agents that really call
#   make check   format, tidy (layers, bans, names), clippy
#   make bless   write docs/rfc.md and docs/seeds.md anew from the tests
#   make test    everything that runs in minutes, with a short part against real phones
#   make e2e     the whole part against real phones
#   make e2e-web web-latency JsSIP, SIP.js, @telnyx/webrtc and the agent's desk in a headless Chromium
#   make web-latency  mouth to ear through the server, to browsers and to SIP, beside Chromium to Chromium
#   make web-echo     an agent on a loudspeaker, and who listens to a leg
#   make desk    the agent's desk, to be built into the server; its size
#   make check-desk  the desk's types, style and stores
#   make sim     the simulated world over random seeds          SEEDS=20000
#   make bench   micro-benchmarks                               BENCH=name
#   make bench-load  load by the card: docs/load.md                   SECONDS=20 RATE=1000
#   make bench-media relayed calls beside other servers, conferences: docs/media-load.md   CALLS=450 SECONDS=8
#   make steady  the media plane's law, twice ten minutes                SECONDS=600 PORTS=2000 MEMORY=10000
#   make autobahn  Autobahn's WebSocket suite, where there is a Python 2.7
#   make spray   a third address sprays all media ports while calls talk  CALLS=200 SECONDS=10
#   make fuzz    mutated and coverage-guided inputs against every parser   FUZZ_SECONDS=30 each, at least
#   make ffi     libopus as we call it, under valgrind
#   make flood   everything that floods, at a server in 256 MB             SECONDS=600 RATE=10000
#   make deb     a Debian package, with a service that has an account of its own
#   make strace  the system calls of a media thread while 200 ports relay

.DEFAULT_GOAL := help
.PHONY: help run check tidy bless test autobahn desk check-desk e2e e2e-web web-latency web-echo sim bench bench-load bench-media steady spray flood strace fuzz ffi deb fmt clean rust speech phones browser audio deny

CARGO ?= cargo
SEEDS ?= 20000
FLOOD_SECONDS ?= $(or $(SECONDS),600)
FLOOD_RATE ?= $(or $(RATE),10000)
FUZZ_SECONDS ?= 30
SECONDS ?=
RATE ?=
CALLS ?=
export CALLS SECONDS

help:
	@sed -n 's/^#   //p' Makefile

run: rust speech desk-where-node-is
	$(CARGO) run --release -- demo

check: rust tidy
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings

# Built alone, in two seconds, since it needs no crate; `cargo test` runs it too.
tidy: rust
	@mkdir -p target
	@CARGO_MANIFEST_DIR=$(CURDIR) rustc --edition 2024 --test -o target/tidy tests/tidy/main.rs
	@target/tidy --quiet

bless: rust
	@TANDEM_BLESS=1 $(MAKE) --no-print-directory tidy

test: rust speech phones audio
	$(CARGO) test --workspace
	$(CARGO) test --test e2e -- smoke

e2e: rust speech phones audio browser
	npm ci --prefix tests/web --no-audit --no-fund
	$(CARGO) test --test e2e -- all

# As root: what SIPp hears is captured.
e2e-web: rust browser desk check-desk
	npm ci --prefix tests/web --no-audit --no-fund
	$(CARGO) build --bin tandem
	node tests/web/desk-buttons.mjs
	node tests/web/desk.mjs target/debug/tandem
	node tests/web/run.mjs target/debug/tandem
	node tests/web/paths.mjs target/debug/tandem
	unshare -rn node tests/web/nat.mjs target/debug/tandem

# Quiet, please: it is Chromium's clock that is read.
web-latency: rust browser
	npm ci --prefix tests/web --no-audit --no-fund
	$(CARGO) build --release --bin tandem
	node tests/web/latency.mjs target/release/tandem 15

# Quiet, please: whenever Chromium's playout steps, so does the echo.
web-echo: rust browser speech
	npm ci --prefix tests/web --no-audit --no-fund
	$(CARGO) build --bin tandem
	node tests/web/echo.mjs target/debug/tandem

desk: web/node_modules/.package-lock.json
	npm run --prefix web --silent build

check-desk: web/node_modules/.package-lock.json
	npm run --prefix web --silent check
	npm run --prefix web --silent test

web/node_modules/.package-lock.json: web/package-lock.json
	$(call need,node,nodejs)
	$(call need,npm,npm)
	npm ci --prefix web --no-audit --no-fund
	@touch $@

# Without Node the server is built all the same, and says at /desk/ what is missing.
.PHONY: desk-where-node-is
desk-where-node-is:
	@command -v npm >/dev/null 2>&1 && $(MAKE) --no-print-directory desk \
	 || echo "There will be no desk at /desk/: it needs nodejs and npm, then make desk"

sim: rust
	TANDEM_SIM_SEEDS=$(SEEDS) $(CARGO) test --release --test it sim_ -- --nocapture

bench: rust
	$(CARGO) bench --workspace $(if $(BENCH),-- $(BENCH))

# Twenty minutes; the machine should have nothing else to do.
bench-load: rust
	$(call need,taskset,util-linux)
	$(CARGO) build --release --bin tandem
	$(CARGO) build --release -p load
	@failed=; for mode in setup b2bua ramp memory hold "hold rtp=1 calls=1000 workers=1" overload junk desks; do \
	 echo "load $$mode seconds=$(SECONDS) rate=$(RATE)"; \
	 SECONDS=$(SECONDS) RATE=$(RATE) TANDEM_BENCH_RECORD=1 timeout 600 target/release/load $$mode \
	  || failed="$$failed; $$mode (status $$?)"; done; \
	 test -z "$$failed" || { echo "bench-load: failed$$failed: see above for each one's reason"; exit 1; }

# Ten minutes; benches/media/install installs the servers to compare with, and what is missing is left out.
bench-media: rust
	$(call need,taskset,util-linux)
	$(CARGO) build --release --bin tandem
	$(CARGO) build --release -p media-load
	@for mode in relay capacity transcode playback rooms room; do \
	 TANDEM_BENCH_RECORD=1 timeout 600 target/release/media-load $$mode || exit 1; done

# As root for FIFO priority and perf's counts.
steady: rust
	SECONDS=$(SECONDS) PORTS=$(or $(PORTS),2000) MEMORY=$(or $(MEMORY),0) $(CARGO) bench --bench steady
	$(if $(PORTS)$(MEMORY),,SECONDS=$(SECONDS) PORTS=0 MEMORY=10000 $(CARGO) bench --bench steady)

spray: rust
	$(CARGO) build --release --bin tandem
	$(CARGO) build --release -p media-load
	TANDEM_BENCH_RECORD=1 PEERS=tandem,rtpengine,rtpengine-unfixed timeout 300 target/release/media-load spray

# As root, with memory cgroups of version 1: loopback only, bounded in time and rate.
flood: rust
	$(CARGO) build --release -p tandem --bin tandem -p load --bin flood
	nice target/release/flood $(FLOOD_SECONDS) benches/results/flood.json $(FLOOD_RATE)

autobahn: rust
	tests/autobahn/run.sh

strace: rust
	$(call need,strace,strace)
	tests/strace-media.sh

# Mutated examples first, which are also where the coverage-guided part begins: fuzz/README.md.
fuzz: rust
	$(call need,g++,g++)
	TANDEM_FUZZ_CORPUS=$(CURDIR)/target/fuzz/corpus TANDEM_FUZZ_SECONDS=$(FUZZ_SECONDS) \
	 $(CARGO) test --release -p sip -p media fuzz_ -- --nocapture
	TANDEM_FUZZ_SECONDS=$(FUZZ_SECONDS) $(CARGO) test --release --lib fuzz_ -- --nocapture
	fuzz/run $(FUZZ_SECONDS)

# Ten minutes: valgrind takes every access of libopus and of the buffers it is given.
ffi: rust
	$(call need,valgrind,valgrind)
	CARGO_TARGET_$(shell rustc -vV | sed -n 's/host: //p' | tr a-z- A-Z_)_RUNNER="valgrind -q --error-exitcode=9 --leak-check=full --errors-for-leak-kinds=definite" \
	 $(CARGO) test -p media --lib codec:: -- --test-threads 1

deb: rust
	$(call need,dpkg-deb,dpkg)
	$(CARGO) build --release
	contrib/deb/build.sh

fmt: rust
	$(CARGO) fmt --all

deny: rust
	$(CARGO) deny check bans licenses sources

clean:
	$(CARGO) clean

# What a target needs. `need` is: a command that proves it is there, and the Debian package.
need = @command -v $(1) >/dev/null 2>&1 || ./.ci/install $(2)

rust:
	@command -v $(CARGO) >/dev/null 2>&1 || { \
	 echo "Rust is missing: install rustup from https://rustup.rs (rust-toolchain.toml names the version)"; exit 1; }
	$(call need,cc,gcc)
	$(call need,cmake,cmake)

speech:
	$(call need,espeak-ng,espeak-ng)

phones:
	$(call need,sipp,sip-tester)
	$(call need,baresip,baresip-core)
	$(call need,linphonec,linphone-cli)
	$(call need,svmap,sipvicious)
	$(call need,sipsak,sipsak)
	$(call need,fail2ban-regex,fail2ban)
	$(call need,kamailio,kamailio)
	$(call need,pebble,pebble)
	$(call need,turnserver,coturn)
	$(call need,iptables,iptables)
	$(call need,ip,iproute2)

browser:
	$(call need,chromium,chromium)
	$(call need,sipp,sip-tester)
	$(call need,tcpdump,tcpdump)
	$(call need,turnserver,coturn)
	$(call need,node,nodejs)
	$(call need,npm,npm)

audio:
	$(call need,tcpdump,tcpdump)
	$(call need,ffmpeg,ffmpeg)
	$(call need,tshark,tshark)
