package directory

import (
	"encoding/binary"
	"strings"

	"golang.org/x/text/unicode/norm"

	"posthouse/mail"
)

// The keys, all of engine account 0. Addresses stand under their domain, so that
// a domain's addresses are one range.
//
//	d v                    directory version, 8 bytes: grows with each change
//	d n                    last id given to an account or an alias, 8 bytes
//	d d DOMAIN             domain record
//	d a DOMAIN \x00 LOCAL  address record: an account's id, or an alias
//	d i ID                 account record
//	d p ID                 credentials of the account
//	d m ID                 the account is an admin
//	d k DOMAIN             keys that sign the domain's mail
//	d g ID                 address record's key of the alias with this id
//	d t DOMAIN \x00 LOCAL \x00 ID  an alias, by id, that leads to the address
//	d x                    the last two are complete
//	d c SHA256             account of the TLS client key with this fingerprint
//	d o ID WHO             the account or alias WHO may send as the account or alias ID
//	d s                    32 random bytes from which logins that do not exist get their salt
const (
	versionKey = "dv"
	nextIDKey  = "dn"
	decoyKey   = "ds"

	domainPrefix     = "dd"
	addressPrefix    = "da"
	accountPrefix    = "di"
	credentialPrefix = "dp"
	adminPrefix      = "dm"
	signingPrefix    = "dk"
	groupPrefix      = "dg"
	memberPrefix     = "dt"
	groupsKey        = "dx"
	pinPrefix        = "dc"
	senderPrefix     = "do"
)

func domainKey(d mail.Domain) []byte { return []byte(domainPrefix + string(d)) }

// addressKey is the key of an address in its canonical spelling.
func addressKey(a mail.Address) []byte {
	return []byte(addressPrefix + string(a.Domain) + "\x00" + canonicalLocal(a.Local))
}

// domainAddresses is the prefix of all addresses of a domain.
func domainAddresses(d mail.Domain) []byte { return []byte(addressPrefix + string(d) + "\x00") }

func idKey(prefix string, id mail.AccountID) []byte {
	return binary.BigEndian.AppendUint64([]byte(prefix), uint64(id))
}

// canonicalLocal is the spelling by which local parts are compared: NFC (RFC
// 6532 §3.1), lower case. RFC 5321 §2.4 leaves the case to the host; nobody who
// gives out addresses wants Ada and ada to be two people.
func canonicalLocal(s string) string { return strings.ToLower(norm.NFC.String(s)) }

func canonical(a mail.Address) mail.Address {
	return mail.Address{Local: canonicalLocal(a.Local), Domain: a.Domain}
}

// SameAddress compares addresses as the directory does: local parts without case.
func SameAddress(a, b mail.Address) bool { return canonical(a) == canonical(b) }

// after returns the end of the range of keys that start with prefix.
func after(prefix []byte) []byte {
	end := append([]byte(nil), prefix...)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i] < 0xff {
			end[i]++
			return end[:i+1]
		}
	}
	return nil
}
