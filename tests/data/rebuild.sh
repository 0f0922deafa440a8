#!/usr/bin/env bash
# Makes debian-reference.txt again from Debian's own package. Needs apt, dpkg-deb and a mirror that
# still has this version; snapshot.debian.org keeps them all.
set -euo pipefail

package=debian-reference-en
version=2.100
text=usr/share/debian-reference/debian-reference.en.txt.gz
sha256=fc8dce7f9d076f78432b74cc91555017c855d19d5bbc5b8e7e3ad472f00ec6cf
target=$(cd "$(dirname "$0")" && pwd)/debian-reference.txt

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
[ "$(id -u)" -ne 0 ] || chown _apt "$work" # apt as root downloads as that user
cd "$work"

apt-get download "$package=$version" \
    || { echo "rebuild: no $package $version here: apt-get update, or see README.md" >&2; exit 1; }
dpkg-deb -x ./*.deb tree
zcat "tree/$text" >text
echo "$sha256  text" | sha256sum --check --quiet \
    || { echo "rebuild: the text is not the one this repository holds" >&2; exit 1; }
install -m 644 text "$target"
echo "rebuilt $target"
