package arc_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"posthouse/dns"
	"posthouse/mailauth/arc"
	"posthouse/mailauth/authres"
	"posthouse/mailauth/dkim"
)

type records map[string]string

func (r records) LookupTXT(_ context.Context, name string) (dns.Answer[string], error) {
	v, ok := r[name]
	if !ok {
		return dns.Answer[string]{}, &dns.Error{Name: name, Type: "TXT", Err: dns.ErrNotExist}
	}
	return dns.Answer[string]{Records: []string{v}, Name: name, Expires: now().Add(time.Hour)}, nil
}
func (records) LookupMX(context.Context, string) (dns.Answer[dns.MX], error) { panic("MX") }
func (records) LookupAddr(context.Context, string) (dns.Answer[netip.Addr], error) {
	panic("address")
}
func (records) LookupPTR(context.Context, netip.Addr) (dns.Answer[string], error) { panic("PTR") }
func (records) LookupTLSA(context.Context, string) (dns.Answer[dns.TLSA], error)  { panic("TLSA") }

func now() time.Time { return time.Unix(1_800_000_000, 0) }

func validate(t testing.TB, r records, msg string) (arc.Result, *dkim.Message) {
	t.Helper()
	m := dkim.NewMessage(dkim.Limits{}, true)
	_, _ = m.Write([]byte(msg))
	m.Finish()
	return arc.Validate(t.Context(), m, dkim.NewKeys(r, now)), m
}

// The suite of ValiMail for validation, whole.
func TestSuite(t *testing.T) {
	text, err := os.ReadFile("testdata/arc-draft-validation-tests.yml")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for dec := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var s struct {
			Description string
			Tests       yaml.Node         // not a map: some names are there twice
			Records     map[string]string `yaml:"txt-records"`
		}
		if err := dec.Decode(&s); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		for i := 0; i+1 < len(s.Tests.Content); i += 2 {
			name := s.Tests.Content[i].Value
			var tt struct{ Message, Cv, Description string }
			if err := s.Tests.Content[i+1].Decode(&tt); err != nil {
				t.Fatal(err)
			}
			n++
			want := strings.ToLower(strings.TrimSpace(tt.Cv))
			if want == "" {
				continue // the suite leaves it open
			}
			got, _ := validate(t, s.Records, strings.ReplaceAll(tt.Message, "\n", "\r\n"))
			if got.Status.String() != want {
				t.Errorf("%s: %s (%s): %v %s, want %s", s.Description, name, tt.Description, got.Status, got.Reason, want)
			}
		}
	}
	if n < 160 {
		t.Errorf("only %d cases", n)
	}
}

func newKey(t testing.TB, domain string, r records, ed bool) dkim.SigningKey {
	t.Helper()
	k := dkim.SigningKey{Domain: domain, Selector: "s"}
	if ed {
		_, k.Key, _ = ed25519.GenerateKey(rand.Reader)
	} else {
		rk, err := rsa.GenerateKey(rand.Reader, 1024)
		if err != nil {
			t.Fatal(err)
		}
		k.Key = rk
	}
	rec, err := k.Record()
	if err != nil {
		t.Fatal(err)
	}
	r[k.Name()] = rec
	return k
}

func results(server, dmarc string) authres.Results {
	return authres.Results{Server: server, Clauses: []authres.Clause{{Method: "dmarc", Result: dmarc, Props: []authres.Prop{{Type: "header", Name: "from", Value: "example.org"}}}}}
}

// chain passes msg through sealers; the second changes the subject.
func chain(t testing.TB, r records) string {
	t.Helper()
	msg := "From: a@example.org\r\nSubject: s\r\nDKIM-Signature: v=1\r\n\r\nbody \r\n"
	for i, domain := range []string{"one.example", "two.example", "three.example"} {
		res, m := validate(t, r, msg)
		verdict := "fail"
		if i == 0 {
			verdict = "pass"
		}
		if i == 1 {
			msg = strings.Replace(msg, "Subject: s", "Subject: [list] s", 1)
			_, m = validate(t, r, msg)
		}
		prefix := fmt.Sprintf("Received: by %s\r\nX-Hop: %d\r\n", domain, i)
		out, err := res.AppendSet(nil, []byte(prefix), m, results(domain, verdict), newKey(t, domain, r, i == 1), now())
		if err != nil {
			t.Fatal(err)
		}
		msg = string(out) + prefix + msg
	}
	return msg
}

func TestSeal(t *testing.T) {
	r := records{}
	msg := chain(t, r)
	res, _ := validate(t, r, msg)
	if res.Status != arc.Pass || len(res.Seals) != 3 || res.Seals[1].Domain != "two.example" || res.Seals[0].Results.Result("dmarc") != "pass" {
		t.Fatalf("%+v\n%s", res, msg)
	}
	for line := range strings.SplitSeq(msg, "\r\n") {
		if len(line) > 78 {
			t.Errorf("long line %q", line)
		}
	}
	passed := func(r authres.Results) bool { return r.Result("dmarc") == "pass" }
	for believed, want := range map[string]string{"one two three": "one.example", "two three": "", "one": "", "one three": "", "": ""} {
		by, ok := res.Trusted(func(d string) bool { return strings.Contains(believed, strings.TrimSuffix(d, ".example")) }, passed)
		if by != want || ok != (want != "") {
			t.Errorf("believing %q: %q", believed, by)
		}
	}
	// Nobody can change what was sealed, nor take a set away.
	for _, tt := range [][2]string{{"dmarc=fail", "dmarc=pass"}, {"body", "bodies"}, {"cv=pass", "cv=none"}, {"i=3", "i=2"}, {"ARC-Seal: i=1", "X: i=1"},
		{"From: a", "From: b"}, {"ARC-Authentication-Results: i=2", "ARC-Authentication-Results: i=4"}, {"d=two.example", "d=one.example"}, {"From: a", "Subject: x\r\nFrom: a"}} {
		if res, _ := validate(t, r, strings.Replace(msg, tt[0], tt[1], 1)); res.Status != arc.Fail || res.Reason == "" {
			t.Errorf("%v: %+v", tt, res)
		}
	}
	// A broken chain is sealed as broken, once.
	bad := strings.Replace(msg, "body", "bodies", 1)
	res, m := validate(t, r, bad)
	set, err := res.AppendSet(nil, nil, m, results("four.example", "fail"), newKey(t, "four.example", r, true), now())
	if err != nil || !strings.Contains(string(set), "ARC-Seal: i=4; cv=fail") {
		t.Fatalf("%s, %v", set, err)
	}
	res, m = validate(t, r, string(set)+bad)
	if res.Status != arc.Fail || res.Reason != "the last sealer found the chain broken" {
		t.Errorf("%+v", res)
	}
	if _, err := res.AppendSet(nil, nil, m, results("x.example", "fail"), newKey(t, "x.example", r, true), now()); err == nil {
		t.Error("sealed again")
	}
}

func FuzzValidate(f *testing.F) {
	r := records{}
	f.Add(chain(f, r))
	f.Add("ARC-Seal: i=1; cv=none; a=rsa-sha256; d=a; s=b; b=aaaa\r\nARC-Message-Signature: i=1; a=rsa-sha256\r\n\r\n")
	f.Fuzz(func(t *testing.T, msg string) {
		res, m := validate(t, r, msg)
		if out, err := res.AppendSet(nil, nil, m, results("z.example", "none"), newKey(t, "z.example", records{}, true), now()); err == nil && len(out) == 0 {
			t.Error("nothing")
		}
	})
}
