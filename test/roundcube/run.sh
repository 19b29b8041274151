#!/bin/sh
# Drives Roundcube, as Debian packages it, in Chromium against a Posthouse of its own: log
# in, list, read, search, move, send. Everything is temporary and on loopback.
#
# Needs: go, node, chromium, and the packages php-cli roundcube-core roundcube-sqlite3
# php-mbstring php-intl php-xml (they take 60 MB, so "make test" does without). The
# browser is driven by playwright-core: that of web/ui, or one that npm fetches.
set -eu
cd "$(dirname "$0")/../.."
for p in go node php chromium; do
	command -v "$p" >/dev/null || { echo "test/roundcube: $p is not installed: skipped" >&2; exit "${POSTHOUSE_NEED_PEERS:-0}"; }
done
[ -f /usr/share/roundcube/index.php ] || { echo "test/roundcube: Roundcube is not installed: skipped" >&2; exit "${POSTHOUSE_NEED_PEERS:-0}"; }
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' INT TERM
go build -o "$tmp/posthouse" ./cmd/posthouse
playwright=${PLAYWRIGHT_CORE:-$PWD/web/ui/node_modules/playwright-core}
if [ ! -d "$playwright" ]; then
	npm install --silent --no-save --no-audit --no-fund --prefix "$tmp" playwright-core@1.65.1
	playwright=$tmp/node_modules/playwright-core
fi
PLAYWRIGHT_CORE=$playwright node test/roundcube/drive.mjs "$tmp"
