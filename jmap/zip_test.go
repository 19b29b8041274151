package jmap

import (
	"archive/zip"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestZip(t *testing.T) {
	r := newRig(t, Options{})
	part := func(name, body string) string {
		return "--b\nContent-Type: application/pdf\nContent-Transfer-Encoding: base64\nContent-Disposition: attachment; filename=\"" + name + "\"\n\n" + body + "\n"
	}
	r.deliver("INBOX", "From: ben@demo.test\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\n\nsee\n"+
		part("plan.pdf", "aGVsbG8=")+part("PLAN.pdf", "d29ybGQ=")+part("../../etc/passwd", "eA==")+"--b\nContent-Type: message/rfc822\n\nSubject: in\n\nx\n--b--\n")
	w := r.do("GET", "/jmap/zip/A7/M1?name=Report", "")
	if w.Code != http.StatusOK || w.Header().Get("Content-Disposition") != `attachment; filename="Report.zip"` {
		t.Fatal(w.Code, w.Header())
	}
	z, err := zip.NewReader(bytes.NewReader(w.Body.Bytes()), int64(w.Body.Len()))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range z.File {
		in, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, f.Name+"="+strings.TrimSpace(string(b)))
	}
	if s := strings.Join(got, ";"); !strings.HasPrefix(s, "plan.pdf=hello;PLAN (2).pdf=world;_.._etc_passwd=x;message-4.eml=Subject: in") {
		t.Error(s)
	}
	for path, code := range map[string]int{"/jmap/zip/A7/M99": 404, "/jmap/zip/A8/M1": 404, "/jmap/zip/A7/x": 404} {
		if w := r.do("GET", path, ""); w.Code != code {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	if w := r.do("GET", "/jmap/zip/A7/M1", "", "Authorization", ""); w.Code != http.StatusUnauthorized {
		t.Error(w.Code)
	}
}
