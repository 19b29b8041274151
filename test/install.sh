#!/bin/sh
# Installs the mail programs that tests and benchmarks talk to, if they are not
# there: Debian packages, by apt-get, as root or through sudo. No service is
# started; tests start their own, on loopback, in temporary directories.
set -eu

packages="swaks libnet-ssleay-perl isync offlineimap3 neomutt curl postfix openssl dovecot-imapd dovecot-lmtpd strace procps gsasl msmtp libsasl2-modules fetchmail getmail6"
# The browser for the mail client, and Node to build it where none is there yet.
packages="$packages chromium"
command -v npm >/dev/null || packages="$packages nodejs npm"
# Milters and clamd (without its signatures) to talk to, a resolver that validates signed zones, and what Exim needs beside the file below.
packages="$packages opendkim rspamd clamav-daemon iproute2 unbound ldnsutils libgnutls-dane0 dns-root-data libidn12 libnsl2 libdb5.3"

# Debian's Exim and Postfix exclude each other: Exim is unpacked here, not installed.
exim=/opt/posthouse-peers

lacking=""
if command -v dpkg-query >/dev/null; then
	there=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' $packages 2>/dev/null | sed -n 's/ installed$//p')
	for p in $packages; do
		echo "$there" | grep -qxF "$p" || lacking="$lacking $p"
	done
	[ -n "$lacking" ] || [ ! -x $exim/usr/sbin/exim4 ] || exit 0
fi

if ! command -v apt-get >/dev/null; then
	echo "test/install.sh: no apt-get here; please install: $packages" >&2
	exit "${POSTHOUSE_NEED_PEERS:-0}"
fi

as_root=""
if [ "$(id -u)" -ne 0 ]; then
	if ! command -v sudo >/dev/null || ! sudo -n true 2>/dev/null; then
		echo "test/install.sh: neither root nor sudo without a password; please install:$lacking" >&2
		exit "${POSTHOUSE_NEED_PEERS:-0}"
	fi
	as_root="sudo -n"
fi

# Packages must not start their daemons: policy-rc.d says no while we install.
policy=/usr/sbin/policy-rc.d
ours=""
log=$(mktemp)
clean() {
	[ -z "$ours" ] || $as_root rm -f "$policy"
	rm -f "$log"
}
trap clean EXIT
trap 'exit 1' INT TERM
if [ ! -e "$policy" ]; then
	printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
	$as_root chmod 755 "$policy"
	ours=yes
fi

# Postfix asks what it should be: nothing, tests bring their own configuration.
echo "postfix postfix/main_mailer_type select No configuration" | $as_root debconf-set-selections 2>/dev/null || true

install() {
	$as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends \
		-o Dpkg::Options::=--force-confold -o DPkg::Lock::Timeout=300 install $lacking >"$log" 2>&1
}

fetch() {
	dir=$(mktemp -d)
	(cd "$dir" && apt-get -q download exim4-daemon-light) >"$log" 2>&1 &&
		$as_root mkdir -p $exim && $as_root dpkg -x "$dir"/exim4-daemon-light_*.deb $exim >>"$log" 2>&1
	got=$?
	rm -rf "$dir"
	return $got
}

echo "installing for the tests:$lacking exim4 (unpacked)"
if [ -n "$lacking" ] && ! install; then
	# Most likely the package lists are missing or old.
	$as_root apt-get -q update >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
	install || { cat "$log" >&2; exit 1; }
fi
if [ ! -x $exim/usr/sbin/exim4 ] && ! fetch; then
	$as_root apt-get -q update >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
	fetch || { cat "$log" >&2; exit 1; }
fi
