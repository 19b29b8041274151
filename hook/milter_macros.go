package hook

import (
	"crypto/tls"
	"strconv"
	"strings"
	"time"

	"posthouse/mail"
	"posthouse/smtp/wire"
)

// MailParams are the ESMTP parameters of MAIL that say what env says, in the spelling of
// the standards.
func MailParams(env *mail.Envelope, now time.Time) []string {
	var list []string
	add := func(yes bool, s string) {
		if yes {
			list = append(list, s)
		}
	}
	add(env.Size > 0, "SIZE="+strconv.FormatInt(env.Size, 10))
	add(env.Body != mail.Body7Bit, "BODY="+wire.BodyWord(env.Body))
	add(env.UTF8, "SMTPUTF8")
	add(env.ReturnFull, "RET=FULL")
	add(env.EnvID != "", "ENVID="+string(wire.AppendXtext(nil, env.EnvID)))
	add(env.RequireTLS, "REQUIRETLS")
	add(env.Priority != 0, "MT-PRIORITY="+strconv.Itoa(int(env.Priority)))
	add(!env.HoldUntil.IsZero() && env.HoldUntil.Before(mail.UntilReleased), "HOLDUNTIL="+env.HoldUntil.UTC().Format(time.RFC3339))
	if !env.DeliverBy.IsZero() {
		mode := ";N"
		if env.ByReturn {
			mode = ";R"
		}
		if env.ByTrace {
			mode += "T"
		}
		add(true, "BY="+strconv.FormatInt(int64(env.DeliverBy.Sub(now)/time.Second), 10)+mode)
	}
	return list
}

// rcptParams are those of RCPT.
func rcptParams(r *mail.Recipient) []string {
	var list []string
	if r.Notify != 0 {
		list = append(list, "NOTIFY="+string(wire.AppendNotify(nil, r.Notify)))
	}
	if r.Original != "" {
		list = append(list, "ORCPT="+string(wire.AppendORCPT(nil, r.Original, true)))
	}
	return list
}

// pathArg is the path of MAIL and RCPT with its parameters, each a string of its own.
func pathArg(a mail.Address, params []string) [][]byte {
	data := [][]byte{zero("<" + a.String() + ">")}
	for _, p := range params {
		data = append(data, zero(p))
	}
	return data
}

// The macros have the names that Sendmail gave them; one without a value is not sent.

func (m *Message) connectMacros(name, address string) []string {
	resolved := "OK"
	if m.Name == "" {
		resolved = "FAIL"
	}
	from := name
	if m.Name != "" {
		from += " [" + address + "]"
	}
	return []string{"j", m.Host, "_", from, "v", "Posthouse", "{daemon_name}", m.Host,
		"{client_addr}", address, "{client_name}", name, "{client_ptr}", m.Name, "{client_resolve}", resolved}
}

func (m *Message) helloMacros() []string {
	if m.TLS == nil {
		return nil
	}
	suite := tls.CipherSuiteName(m.TLS.CipherSuite)
	bits := "128"
	if strings.Contains(suite, "256_GCM") || strings.Contains(suite, "256_CBC") || strings.Contains(suite, "CHACHA20") {
		bits = "256"
	}
	list := []string{"{tls_version}", strings.Replace(tls.VersionName(m.TLS.Version), "TLS 1.", "TLSv1.", 1), "{cipher}", suite, "{cipher_bits}", bits}
	if len(m.TLS.PeerCertificates) > 0 {
		cert := m.TLS.PeerCertificates[0]
		list = append(list, "{cert_subject}", headerSafe(cert.Subject.String()), "{cert_issuer}", headerSafe(cert.Issuer.String()))
	}
	return list
}

func (m *Message) mailMacros() []string {
	return []string{"i", m.ID, "{auth_type}", m.AuthType, "{auth_authen}", m.Account, "{auth_author}", m.Account,
		"{mail_host}", string(m.From.Domain), "{mail_addr}", m.From.String()}
}

// rcptMacros are those of a recipient; of one that was refused (r has a code) they say so
// in the way that Sendmail and Postfix do: the mailer "error", the status and the reply.
func rcptMacros(to mail.Address, r mail.Reply) []string {
	if r.Code == 0 {
		return []string{"{rcpt_host}", string(to.Domain), "{rcpt_addr}", to.String()}
	}
	status := strconv.Itoa(r.Code/100) + ".0.0"
	if r.Enhanced[0] != 0 {
		status = strings.TrimSpace(string(wire.AppendEnhanced(nil, r.Enhanced)))
	}
	return []string{"{rcpt_mailer}", "error", "{rcpt_host}", status, "{rcpt_addr}", headerSafe(r.Text)}
}
