package authres_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/emersion/go-msgauth/authres"

	ours "posthouse/mailauth/authres"
)

// The examples of RFC 8601 §B, and what others write.
func TestParse(t *testing.T) {
	for _, tt := range []struct {
		value string
		want  ours.Results
	}{
		{" example.org 1; none", ours.Results{Server: "example.org"}},
		{"example.com;\r\n spf=pass smtp.mailfrom=example.net", ours.Results{Server: "example.com", Clauses: []ours.Clause{
			{Method: "spf", Result: "pass", Props: []ours.Prop{{Type: "smtp", Name: "mailfrom", Value: "example.net"}}}}}},
		{"example.com; dkim=pass reason=\"good signature\" header.i=@mail-router.example.net; dkim=fail reason=bad header.i=@newyork.example.com",
			ours.Results{Server: "example.com", Clauses: []ours.Clause{
				{Method: "dkim", Result: "pass", Reason: "good signature", Props: []ours.Prop{{Type: "header", Name: "i", Value: "@mail-router.example.net"}}},
				{Method: "dkim", Result: "fail", Reason: "bad", Props: []ours.Prop{{Type: "header", Name: "i", Value: "@newyork.example.com"}}}}}},
		{"foo.example.net (foobar) 1 (baz);\r\n dkim (Because I like it) / 1 (One yay) = (wait for it) fail\r\n policy (A dot can go here) . (like that) expired\r\n (this surprised me) = (as I wasn't expecting it) 1362471462",
			ours.Results{Server: "foo.example.net", Clauses: []ours.Clause{{Method: "dkim", Result: "fail", Props: []ours.Prop{{Type: "policy", Name: "expired", Value: "1362471462"}}}}}},
		{"x; auth=pass (cram-md5) smtp.auth=sender@example.net;", ours.Results{Server: "x", Clauses: []ours.Clause{
			{Method: "auth", Result: "pass", Props: []ours.Prop{{Type: "smtp", Name: "auth", Value: "sender@example.net"}}}}}},
		{"\"Q x\"; spf=pass smtp.mailfrom=\"a b\"@example.org", ours.Results{Server: "q x", Clauses: []ours.Clause{
			{Method: "spf", Result: "pass", Props: []ours.Prop{{Type: "smtp", Name: "mailfrom", Value: "a b@example.org"}}}}}},
		{"", ours.Results{}}, {"x; spf", ours.Results{}}, {"x; spf=", ours.Results{}}, {"x (", ours.Results{}}, {"x; spf=pass y", ours.Results{}},
		{"x 2; none", ours.Results{}}, {"x;" + strings.Repeat("a=b;", 101), ours.Results{}}, {"x; a=b" + strings.Repeat(" c.d=e", 51), ours.Results{}},
	} {
		got, err := ours.Parse([]byte(tt.value))
		if tt.want.Server == "" {
			if err == nil {
				t.Errorf("%.60q: %+v", tt.value, got)
			}
			continue
		}
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%q: %+v, %v", tt.value, got, err)
		}
	}
}

// Nothing that a stranger chose gets out of its place, and others read what we wrote.
func TestAppend(t *testing.T) {
	for _, v := range []string{"a@example.org", "plain", "a b", "x; dkim=pass", "a\"b\\c", "l\r\nBcc: x", "\x00", "a@b@c", "(c)", strings.Repeat("x", 1000), "bücher"} {
		c := ours.Clause{Method: "spf", Result: "fail", Reason: v, Comment: v, Props: []ours.Prop{{Type: "smtp", Name: "mailfrom", Value: v}, {Type: "smtp", Name: "helo", Value: ""}}}
		text := "mx.example.org; " + c.String() + "; dmarc=none"
		if strings.ContainsAny(text, "\r\n\x00") {
			t.Errorf("%q", text)
		}
		got, err := ours.Parse([]byte(text))
		if err != nil || len(got.Clauses) != 2 || got.Clauses[0].Result != "fail" || len(got.Clauses[0].Props) != 1 || got.Result("dmarc") != "none" {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
		if !strings.ContainsAny(v, "\";\\") { // at which go-msgauth cuts, quoted or not
			id, rs, err := authres.Parse(text)
			if err != nil || id != "mx.example.org" || len(rs) != 2 {
				t.Errorf("go-msgauth reads %q as %v, %v", text, rs, err)
			}
		}
	}
}

func TestServer(t *testing.T) {
	for value, want := range map[string]string{" MX.Example.ORG. ; none": "mx.example.org", "(c)\r\n \"mx.example.org\" 1;": "mx.example.org", "mx.example.org": "mx.example.org",
		"": "", " (": "", "\"x": "", ";": ""} {
		got, err := ours.Server([]byte(value))
		if got != want || (err != nil) != (want == "") {
			t.Errorf("%q: %q, %v", value, got, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("example.org 1; spf=pass (c) reason=\"x\" smtp.mailfrom=a@b"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ours.Parse(b)
		if err != nil {
			return
		}
		id, err := ours.Server(b)
		if err != nil || id != r.Server {
			t.Errorf("%q: server %q, %v", b, id, err)
		}
	})
}

// The fields of all examples of RFC 8601 §B, with what each says: "server | method=result
// type.property=value …".
func TestAppendixB(t *testing.T) {
	for _, tt := range []struct{ name, field, want string }{
		{"B.2", " example.org 1; none", "example.org"},
		{"B.3", " example.com;\r\n          spf=pass smtp.mailfrom=example.net", "example.com | spf=pass smtp.mailfrom=example.net"},
		{"B.4, first", " example.com;\r\n          auth=pass (cram-md5) smtp.auth=sender@example.net;\r\n          spf=pass smtp.mailfrom=example.net",
			"example.com | auth=pass smtp.auth=sender@example.net | spf=pass smtp.mailfrom=example.net"},
		{"B.4, second", " example.com; iprev=pass\r\n          policy.iprev=192.0.2.200", "example.com | iprev=pass policy.iprev=192.0.2.200"},
		{"B.5, first", " example.com;\r\n          dkim=pass (good signature) header.d=example.com", "example.com | dkim=pass header.d=example.com"},
		{"B.5, second", " example.com;\r\n          auth=pass (cram-md5) smtp.auth=sender@example.com;\r\n          spf=fail smtp.mailfrom=example.com",
			"example.com | auth=pass smtp.auth=sender@example.com | spf=fail smtp.mailfrom=example.com"},
		{"B.6, first", " example.com;\r\n      dkim=pass reason=\"good signature\"\r\n        header.i=@mail-router.example.net;\r\n      dkim=fail reason=\"bad signature\"\r\n        header.i=@newyork.example.com",
			"example.com | dkim=pass header.i=@mail-router.example.net | dkim=fail header.i=@newyork.example.com"},
		{"B.6, second", " example.net;\r\n      dkim=pass (good signature) header.i=@newyork.example.com", "example.net | dkim=pass header.i=@newyork.example.com"},
		{"B.7", " foo.example.net (foobar) 1 (baz);\r\n    dkim (Because I like it) / 1 (One yay) = (wait for it) fail\r\n      policy (A dot can go here) . (like that) expired\r\n      (this surprised me) = (as I wasn't expecting it) 1362471462",
			"foo.example.net | dkim=fail policy.expired=1362471462"},
	} {
		got, err := ours.Parse([]byte(tt.field))
		text := got.Server
		for _, c := range got.Clauses {
			text += " | " + c.Method + "=" + c.Result
			for _, p := range c.Props {
				text += " " + p.Type + "." + p.Name + "=" + p.Value
			}
		}
		if err != nil || text != tt.want {
			t.Errorf("%s: %q, %v; want %q", tt.name, text, err, tt.want)
		}
		// What we write of it says the same.
		again := got.Server + "; none"
		if len(got.Clauses) > 0 {
			again = got.Server
			for _, c := range got.Clauses {
				again += "; " + c.String()
			}
		}
		if back, err := ours.Parse([]byte(again)); err != nil || !reflect.DeepEqual(back, got) {
			t.Errorf("%s: written %q: %+v, %v", tt.name, again, back, err)
		}
	}
}
