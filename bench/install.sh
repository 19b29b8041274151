#!/bin/sh
# Installs Cyrus beside Dovecot for the benchmarks, on Debian, as root. Their
# packages exclude each other, so what Cyrus needs besides cyrus-common is taken
# out of its package and put under /usr/local/lib/cyrus. No service is started.
set -eu
bin=/usr/local/lib/cyrus/bin
[ -x "$bin/imapd" ] && [ -x /usr/sbin/cyrmaster ] && [ -x /usr/sbin/saslpasswd2 ] && exit 0
command -v apt-get >/dev/null && [ "$(id -u)" -eq 0 ] || {
	echo "bench/install.sh: without apt-get and root, Cyrus does not take part" >&2
	exit 0
}
policy=/usr/sbin/policy-rc.d
dir=$(mktemp -d)
ours=""
trap 'rm -rf "$dir"; [ -z "$ours" ] || rm -f "$policy"' EXIT
if [ ! -e "$policy" ]; then
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
	ours=yes
fi
DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install cyrus-common sasl2-bin libsasl2-modules >"$dir/log" 2>&1 || {
	cat "$dir/log" >&2
	exit 1
}
chmod 755 "$dir"
(cd "$dir" && apt-get -q download cyrus-imapd >log 2>&1 && dpkg -x cyrus-imapd_*.deb x) || { cat "$dir/log" >&2; exit 1; }
mkdir -p "$bin"
cp "$dir"/x/usr/lib/cyrus/bin/* "$bin"
