package admin

import (
	"context"
	"crypto"
	"crypto/x509"

	"posthouse/directory"
	"posthouse/mail"
	"posthouse/mailauth/dkim"
	"posthouse/smtp/wire"
)

// A Record is a DNS record that a domain needs.
type Record struct {
	Name   string `json:"name"` // without the last dot, A-labels
	Type   string `json:"type"`
	Value  string `json:"value"` // of TXT the text whole
	Reason string `json:"reason"`
}

// Records is the output of domain.records.
type Records struct {
	V       int      `json:"v"`
	Records []Record `json:"records"`
}

// domainRecords lists the DNS records of a domain. It makes the keys that sign the
// domain's mail if there are none: from then on mail from it is signed.
func domainRecords(ctx context.Context, s *System, in Named) (Records, error) {
	const op = "domain.records"
	d, err := s.domain(ctx, op, in.Name)
	if err != nil {
		return Records{}, err
	}
	name, err := wire.DomainToASCII(d.Name)
	if err != nil {
		return Records{}, refuse(mail.Invalid, op, "%s cannot be written as a DNS name", d.Name)
	}
	keys, err := s.Directory.EnsureSigningKeys(ctx, d.Name)
	if err != nil {
		return Records{}, err
	}
	host := s.Hostname
	list := []Record{
		{name, "MX", "10 " + host, "Other servers bring mail for " + name + " to this server. " + host + " must have an address (A, AAAA), and the address should lead back to that name (PTR, at your provider)."},
		{name, "TXT", "v=spf1 mx -all", "SPF: only this server may send mail of " + name + ". If the name has such a record already, add \"mx\" to it instead: two are an error."},
	}
	if host != name {
		list = append(list, Record{host, "TXT", "v=spf1 a -all", "SPF for reports of this server, which come from nobody: receivers look at its own name."})
	}
	for _, k := range keys {
		if k.State == directory.KeyRetired {
			continue
		}
		r, err := keyRecord(name, k)
		if err != nil {
			return Records{}, &mail.Error{Kind: mail.Corrupt, Op: op, Text: "a signing key of " + name + " cannot be read", Err: err}
		}
		list = append(list, r)
	}
	list = append(list, Record{"_dmarc." + name, "TXT", "v=DMARC1; p=quarantine",
		"DMARC: mail that claims to be from " + name + " and is neither sent from here nor signed goes to junk. When everything that sends for you is signed, say p=reject."})
	return Records{V: 1, Records: list}, nil
}

// keyRecord is the record by which receivers check a key's signatures.
func keyRecord(domain string, k directory.SigningKey) (Record, error) {
	key, err := x509.ParsePKCS8PrivateKey(k.Private)
	if err != nil {
		return Record{}, err
	}
	signer, _ := key.(crypto.Signer)
	sk := dkim.SigningKey{Domain: domain, Selector: k.Selector, Key: signer}
	text, err := sk.Record()
	if err != nil {
		return Record{}, err
	}
	reason := "DKIM: receivers check with it that mail of " + domain + " was sent from here and not changed (RSA, which everybody understands)."
	if sk.Algorithm() == "ed25519-sha256" {
		reason = "DKIM with Ed25519: shorter and stronger, for those who know it already."
	}
	return Record{sk.Name(), "TXT", text, reason}, nil
}
