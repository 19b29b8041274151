package hook

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"strings"
	"testing"
	"time"

	"posthouse/mail"
)

// A milter hears the parameters of MAIL and RCPT, what is known of the connection and the
// login, and, if it asked for that, the recipients that were refused; what it says of
// those changes nothing.
func TestMilterMacros(t *testing.T) {
	now := time.Unix(1800000000, 0)
	cert := &x509.Certificate{Subject: pkix.Name{CommonName: "mx.far.test"}, Issuer: pkix.Name{CommonName: "an authority"}}
	message := func() *Message {
		m := example("Subject: a\r\n\r\nbody\r\n")
		m.Account, m.AuthType = "eve@far.test", "SCRAM-SHA-256"
		m.TLS = &tls.ConnectionState{Version: tls.VersionTLS13, CipherSuite: tls.TLS_AES_256_GCM_SHA384, PeerCertificates: []*x509.Certificate{cert}}
		m.Params = MailParams(&mail.Envelope{Size: 1234, Body: mail.Body8BitMIME, UTF8: true, ReturnFull: true, EnvID: "a b", RequireTLS: true, Priority: -3,
			HoldUntil: now.Add(time.Hour), DeliverBy: now.Add(2 * time.Minute), ByReturn: true, ByTrace: true}, now)
		m.To[0].Notify, m.To[0].Original = mail.NotifyFailure|mail.NotifyDelay, "rfc822;Ada@demo.test"
		m.Refused = []Refusal{{mail.Recipient{Address: mail.Address{Local: "nobody", Domain: "demo.test"}, Notify: mail.NotifyNever},
			mail.Reply{Code: 550, Enhanced: [3]uint8{5, 1, 1}, Text: "There is nobody of that name here"}}}
		return m
	}
	wants := []string{"j\x00mx.demo.test\x00", "_\x00mx.far.test [192.0.2.1]\x00", "{client_addr}\x00192.0.2.1\x00", "{client_name}\x00mx.far.test\x00", "{client_resolve}\x00OK\x00",
		"DH{tls_version}\x00TLSv1.3\x00{cipher}\x00TLS_AES_256_GCM_SHA384\x00{cipher_bits}\x00256\x00{cert_subject}\x00CN=mx.far.test\x00{cert_issuer}\x00CN=an authority\x00|H",
		"DMi\x00id1\x00{auth_type}\x00SCRAM-SHA-256\x00{auth_authen}\x00eve@far.test\x00{auth_author}\x00eve@far.test\x00{mail_host}\x00far.test\x00{mail_addr}\x00eve@far.test\x00|",
		"|M<eve@far.test>\x00SIZE=1234\x00BODY=8BITMIME\x00SMTPUTF8\x00RET=FULL\x00ENVID=a+20b\x00REQUIRETLS\x00MT-PRIORITY=-3\x00HOLDUNTIL=2027-01-15T09:00:00Z\x00BY=120;RT\x00|",
		"|DR{rcpt_host}\x00demo.test\x00{rcpt_addr}\x00ada@demo.test\x00|R<ada@demo.test>\x00NOTIFY=FAILURE,DELAY\x00ORCPT=rfc822;Ada@demo.test\x00|"}
	const refused = "|DR{rcpt_mailer}\x00error\x00{rcpt_host}\x005.1.1\x00{rcpt_addr}\x00There is nobody of that name here\x00|R<nobody@demo.test>\x00NOTIFY=NEVER\x00|"
	for _, tt := range []struct {
		steps   uint32
		refused bool
	}{{0, false}, {milterRefused, true}, {milterRefused | stepRcpt.quiet, true}, {milterRefused | stepRcpt.skip, false}} {
		f := &fakeMilter{negotiate: negotiated(6, 0xff, tt.steps)}
		f.answer = func(b string) []string {
			if b[0] == 'R' && tt.steps&stepRcpt.quiet != 0 {
				return []string{}
			}
			if strings.HasPrefix(b, "R<nobody@") {
				return []string{"y550 5.7.9 not that one\x00"}
			}
			return []string{"c"}
		}
		a, m := Asked{Hook: &Milter{Address: listen(t, f.serve)}}, message()
		for range 2 { // as a whole, and as it comes
			if v, err := a.Ask(t.Context(), nil, m); err != nil || v.Action != Pass {
				t.Fatalf("%#x: %+v, %v", tt.steps, v, err)
			}
			all := f.all()
			for _, want := range wants {
				if !strings.Contains(all, want) && (tt.steps&stepRcpt.skip == 0 || !strings.HasPrefix(want, "|DR")) {
					t.Errorf("%#x: it did not hear %q in %q", tt.steps, want, all)
				}
			}
			if strings.Contains(all, refused) != tt.refused || strings.Contains(all, "nobody@") != tt.refused {
				t.Errorf("%#x: it heard %q", tt.steps, all)
			}
		}
		talk, err := a.Begin(t.Context(), m)
		if err != nil || talk == nil {
			t.Fatalf("%#x: %v, %v", tt.steps, talk, err)
		}
		f.all()
		if err := a.Refused(t.Context(), talk, m.Refused[0]); err != nil {
			t.Errorf("%#x: %v", tt.steps, err)
		}
		if r, err := a.Recipient(t.Context(), talk, m.To[0]); err != nil || r.Code != 0 {
			t.Errorf("%#x: %v, %v", tt.steps, r, err)
		}
		if v, err := a.Ask(t.Context(), talk, m); err != nil || v.Action != Pass {
			t.Errorf("%#x: %+v, %v", tt.steps, v, err)
		}
		if all := "|" + f.all(); strings.Contains(all, refused) != tt.refused {
			t.Errorf("%#x: it heard %q", tt.steps, all)
		}
		talk.Close()
	}
}

// all is what it has heard since it was asked last.
func (f *fakeMilter) all() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := strings.Join(f.heard, "|")
	f.heard = nil
	return s
}
