#!/bin/sh
# Builds a Debian package of the release binary: contrib/deb/build.sh [FOLDER]
# FOLDER is where the package goes, target/deb if absent. Needs dpkg-deb.
set -eu
cd "$(dirname "$0")/../.."
binary=${TANDEM_BINARY:-target/release/tandem}
[ -x "$binary" ] || { echo "no $binary: run cargo build --release first" >&2; exit 1; }
out=${1:-target/deb}
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -1)
architecture=$(dpkg --print-architecture)
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
put() { install -D -m "$1" "$2" "$stage/$3"; }

put 0755 "$binary" usr/bin/tandem
strip --strip-debug "$stage/usr/bin/tandem" 2>/dev/null || true
put 0644 contrib/systemd/tandem.service usr/lib/systemd/system/tandem.service
put 0644 tandem.example.toml usr/share/doc/tandem/tandem.example.toml
for page in docs/*.md LICENSE-*; do put 0644 "$page" "usr/share/doc/tandem/$(basename "$page")"; done
put 0640 contrib/deb/tandem.toml etc/tandem/tandem.toml
(cd dialplans && find . -type f) | while read -r file; do
    put 0644 "dialplans/$file" "usr/share/tandem/dialplans/$file"
done
mkdir -p "$stage/DEBIAN" "$stage/etc/tandem/dialplans"
echo /etc/tandem/tandem.toml > "$stage/DEBIAN/conffiles"
install -m 0755 contrib/deb/postinst contrib/deb/prerm "$stage/DEBIAN/"
cat > "$stage/DEBIAN/control" <<CONTROL
Package: tandem
Version: $version
Architecture: $architecture
Maintainer: Tandem <tandem@localhost>
Depends: libc6, adduser
Recommends: espeak-ng
Section: comm
Priority: optional
Description: real-time media server for contact centres
 A carrier's SIP trunk target, an IVR driven by dialplan files, a queue with
 hold music, and the place where agents take the calls, in one binary.
CONTROL
mkdir -p "$out"
dpkg-deb --root-owner-group --build "$stage" "$out/tandem_${version}_$architecture.deb"
