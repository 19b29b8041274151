package arc_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"posthouse/mailauth/arc"
	"posthouse/mailauth/authres"
	"posthouse/mailauth/dkim"
)

// A signCase is one of ValiMail's suite for sealing.
type signCase struct {
	Message    string
	T          int64
	SigHeaders string `yaml:"sig-headers"`
	Server     string `yaml:"srv-id"`
	AS         string `yaml:"AS"`
	AMS        string `yaml:"AMS"`
	AAR        string `yaml:"AAR"`
}

// tagsOf are the tags of a signature, without white space.
func tagsOf(field string) map[string]string {
	tags := map[string]string{}
	for tag := range strings.SplitSeq(field, ";") {
		name, value, _ := strings.Cut(tag, "=")
		tags[strings.TrimSpace(name)] = strings.Join(strings.Fields(value), "")
	}
	return tags
}

// ours are the results of the message's fields that are this server's, and of the chain.
func (c *signCase) ours(t *testing.T, chain string) authres.Results {
	t.Helper()
	out := authres.Results{Server: c.Server, Clauses: []authres.Clause{{Method: "arc", Result: chain}}}
	for _, f := range dkim.Split([]byte(strings.ReplaceAll(c.Message, "\n", "\r\n"))) {
		value := string(f.Value())
		if !strings.EqualFold(string(f.Name()), "Authentication-Results") {
			continue
		}
		r, err := authres.Parse([]byte(strings.TrimRight(value, "\r\n")))
		if err != nil {
			t.Fatal(err)
		}
		if r.Server == c.Server {
			out.Clauses = append(out.Clauses, slices.DeleteFunc(r.Clauses, func(c authres.Clause) bool { return c.Method == "arc" })...)
		}
	}
	return out
}

// The suite of ValiMail for sealing, whole: each set says what the suite's says, with the
// same hash of the body, and holds; and what the suite's signer signed holds for us.
func TestSignSuite(t *testing.T) {
	text, err := os.ReadFile("testdata/arc-draft-sign-tests.yml")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for dec := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var s struct {
			Tests       map[string]*signCase
			Domain, Sel string
			PrivateKey  string            `yaml:"privatekey"`
			Records     map[string]string `yaml:"txt-records"`
		}
		if err := dec.Decode(&s); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode([]byte(s.PrivateKey))
		rsa, err := x509.ParsePKCS1PrivateKey(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		for name, c := range s.Tests {
			n++
			t.Run(name, func(t *testing.T) {
				c.run(t, s.Records, dkim.SigningKey{Domain: s.Domain, Selector: s.Sel, Key: rsa, Fields: strings.Split(c.SigHeaders, ":")})
			})
		}
	}
	if n != 17 {
		t.Errorf("%d cases", n)
	}
}

func (c *signCase) run(t *testing.T, r records, key dkim.SigningKey) {
	msg := strings.ReplaceAll(c.Message, "\n", "\r\n")
	res, m := validate(t, r, msg)
	results := c.ours(t, res.Status.String())
	set, err := res.AppendSet(nil, nil, m, results, key, time.Unix(c.T, 0))
	if c.AS == "" {
		if !errors.Is(err, arc.ErrFull) {
			t.Errorf("sealed again: %v\n%s", err, set)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	fields := map[string]string{}
	for _, f := range dkim.Split(set) {
		fields[string(f.Name())] = string(f.Value())
	}
	for name, want := range map[string]string{"ARC-Seal": c.AS, "ARC-Message-Signature": c.AMS} {
		got, want := tagsOf(fields[name]), tagsOf(want)
		for tag, value := range want {
			if tag != "b" && got[tag] != value || len(got) != len(want) {
				t.Errorf("%s: %s=%s, the suite has %s", name, tag, got[tag], value)
			}
		}
	}
	said := func(aar string) string { // comments say nothing
		_, value, _ := strings.Cut(aar, ";")
		r, err := authres.Parse([]byte(strings.ReplaceAll(value, "\n", " ")))
		if err != nil {
			t.Error(err)
		}
		return fmt.Sprint(r)
	}
	if got, want := said(fields["ARC-Authentication-Results"]), said(c.AAR); got != want {
		t.Errorf("results: %q, the suite has %q", got, want)
	}
	after, _ := validate(t, r, string(set)+msg)
	theirs, _ := validate(t, r, c.assembled()+msg)
	if after.Status != theirs.Status || after.Reason != theirs.Reason || theirs.Status == arc.Pass != (res.Status != arc.Fail) {
		t.Errorf("ours: %v %s; the suite's: %v %s", after.Status, after.Reason, theirs.Status, theirs.Reason)
	}
}

// assembled is the set of the suite, with the tags in the order in which its signer wrote
// them.
func (c *signCase) assembled() string {
	write := func(name, field string, order ...string) string {
		tags, list := tagsOf(field), []string{}
		for _, tag := range order {
			list = append(list, tag+"="+tags[tag])
		}
		return name + ": " + strings.Join(list, "; ") + "\r\n"
	}
	aar := "ARC-Authentication-Results: " + strings.ReplaceAll(strings.TrimSpace(c.AAR), "\n", "\r\n ") + "\r\n"
	return write("ARC-Seal", c.AS, "a", "b", "cv", "d", "i", "s", "t") +
		write("ARC-Message-Signature", c.AMS, "a", "b", "bh", "c", "d", "h", "i", "s", "t") + aar
}
