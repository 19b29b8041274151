package report

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"posthouse/mail"
	"posthouse/message"
	"posthouse/store/engine/mem"
)

const dmarcXML = `<?xml version="1.0" encoding="UTF-8"?><feedback><version>1.0</version>
<report_metadata><org_name>far.test</org_name><email>r@far.test</email><report_id>42</report_id><date_range><begin>1700000000</begin><end>1700086399</end></date_range></report_metadata>
<policy_published><domain>Demo.test</domain><p>reject</p><sp>none</sp><pct>100</pct></policy_published>
<record><row><source_ip>192.0.2.1</source_ip><count>7</count><policy_evaluated><disposition>none</disposition><dkim>pass</dkim><spf>fail</spf></policy_evaluated></row><identifiers><header_from>demo.test</header_from></identifiers><auth_results/></record>
<record><row><source_ip>2001:db8::1</source_ip><count>3</count><policy_evaluated><disposition>reject</disposition><dkim>fail</dkim><spf>fail</spf></policy_evaluated></row><identifiers><header_from>demo.test</header_from></identifiers></record>
</feedback>`

const tlsJSON = `{"organization-name":"Far","date-range":{"start-datetime":"2026-11-22T00:00:00Z","end-datetime":"2026-11-22T23:59:59Z"},"report-id":"7",
"policies":[{"policy":{"policy-type":"sts","policy-domain":"demo.test"},"summary":{"total-successful-session-count":10,"total-failure-session-count":2},
"failure-details":[{"result-type":"certificate-expired","sending-mta-ip":"192.0.2.1","receiving-mx-hostname":"mx.demo.test","failed-session-count":2}]}]}`

const feedback = "Feedback-Type: abuse\r\nUser-Agent: Far/1\r\nVersion: 1\r\nOriginal-Mail-From: <ada@demo.test>\r\nOriginal-Rcpt-To: <eve@far.test>\r\nSource-IP: 192.0.2.1\r\nReported-Domain: demo.test\r\nArrival-Date: Mon, 23 Nov 2026 09:00:00 +0000\r\n"

func gz(s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(s))
	_ = w.Close()
	return b.String()
}

func zipped(name, s string) string {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, _ := w.Create(name)
	_, _ = f.Write([]byte(s))
	_ = w.Close()
	return b.String()
}

// mailWith is a message with one part beside its text.
func mailWith(kind, typ, content string) string {
	encoded := base64.StdEncoding.EncodeToString([]byte(content))
	var lines strings.Builder
	for len(encoded) > 76 {
		lines.WriteString(encoded[:76] + "\r\n")
		encoded = encoded[76:]
	}
	lines.WriteString(encoded)
	return "From: r@far.test\r\nMIME-Version: 1.0\r\nContent-Type: multipart/" + kind + "; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n--b\r\n" +
		"Content-Type: " + typ + "\r\nContent-Transfer-Encoding: base64\r\n\r\n" + lines.String() + "\r\n--b--\r\n"
}

func read(text string) (*Report, bool, error) {
	return Read(message.Parse([]byte(text)), strings.NewReader(text))
}

func TestRead(t *testing.T) {
	arf := strings.Replace(mailWith("report; report-type=feedback-report", "message/feedback-report", ""), "Content-Transfer-Encoding: base64\r\n\r\n", "\r\n"+feedback, 1)
	for _, tt := range []struct {
		name, text string
		kind       Kind
		good, bad  int64
	}{
		{"gzip", mailWith("mixed", "application/gzip", gz(dmarcXML)), DMARC, 7, 3},
		{"zip", mailWith("mixed", "application/zip", zipped("far.test!demo.test.xml", dmarcXML)), DMARC, 7, 3},
		{"XML", mailWith("mixed", "text/xml", dmarcXML), DMARC, 7, 3},
		{"by its name", mailWith("mixed", "application/octet-stream; name=x.xml.gz", gz(dmarcXML)), DMARC, 7, 3},
		{"Latin", mailWith("mixed", "text/xml", strings.Replace(dmarcXML, "UTF-8", "ISO-8859-1", 1)), DMARC, 7, 3},
		{"the message itself", "From: r@far.test\r\nContent-Type: application/gzip\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base64.StdEncoding.EncodeToString([]byte(gz(dmarcXML))), DMARC, 7, 3},
		{"TLS", mailWith("report; report-type=tlsrpt", "application/tlsrpt+gzip", gz(tlsJSON)), TLS, 10, 2},
		{"TLS, plain", mailWith("report; report-type=tlsrpt", "application/tlsrpt+json", tlsJSON), TLS, 10, 2},
		{"complaint", arf, Feedback, 0, 1},
	} {
		r, ok, err := read(tt.text)
		if !ok || err != nil || r.Kind != tt.kind || r.Domain != "demo.test" || r.Good != tt.good || r.Bad != tt.bad || len(r.Rows) == 0 {
			t.Errorf("%s: %+v, %v, %v", tt.name, r, ok, err)
		}
	}
	for name, text := range map[string]string{
		"text":          "Subject: x\r\n\r\nhello\r\n",
		"other XML":     mailWith("mixed", "text/xml", "<html><body/></html>"),
		"no XML at all": mailWith("mixed", "text/xml", "hello"),
		"a zip of else": mailWith("mixed", "application/zip", zipped("holiday.jpg", "x")),
	} {
		if r, ok, err := read(text); ok || err != nil {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

// What was made to hurt is refused before it does.
func TestBombs(t *testing.T) {
	row := dmarcXML[strings.Index(dmarcXML, "<record>"):strings.Index(dmarcXML, "</record>")] + "</record>"
	for name, text := range map[string]string{
		"gzip bomb":  mailWith("mixed", "application/gzip", gz(dmarcXML+strings.Repeat(" ", 60<<20))),
		"zip bomb":   mailWith("mixed", "application/zip", zipped("a.xml", dmarcXML+strings.Repeat(" ", 60<<20))),
		"cut off":    mailWith("mixed", "application/gzip", gz(dmarcXML)[:100]),
		"deep JSON":  mailWith("report", "application/tlsrpt+json", strings.Repeat("[", 100_000)),
		"long field": mailWith("report; report-type=feedback-report", "message/feedback-report", ""),
		"entities":   mailWith("mixed", "text/xml", "<!DOCTYPE feedback [<!ENTITY a \"aaaa\">]>"+strings.Replace(dmarcXML[strings.Index(dmarcXML, "<feedback>"):], "Demo.test", "&a;", 1)),
	} {
		began := time.Now()
		r, ok, err := read(text)
		if ok || err == nil && name != "long field" {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
		if d := time.Since(began); d > 20*time.Second {
			t.Errorf("%s took %v", name, d)
		}
	}
	many := strings.Replace(dmarcXML, "<record>", strings.Repeat(row, 3000)+"<record>", 1)
	r, ok, err := read(mailWith("mixed", "application/gzip", gz(many)))
	if !ok || err != nil || len(r.Rows) != maxRows || r.More != 3002-maxRows || r.Good != 3001*7 {
		t.Errorf("%v, %v", ok, err)
	}
}

func TestLog(t *testing.T) {
	eng := mem.New()
	defer eng.Close()
	now := time.Unix(1.8e9, 0)
	l := Open(eng, func() time.Time { return now })
	var ids []string
	for i := range 3 {
		r := &Report{Kind: DMARC, Domain: fmt.Sprintf("d%d.test", i), Rows: []Row{{Source: "192.0.2.1", Count: 1}}}
		b, err := l.Prepare(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := eng.Commit(t.Context(), b).Wait(); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, r.ID)
		now = now.Add(Keep/2 + time.Hour)
	}
	var got []string
	if err := l.List(t.Context(), func(r Report) bool { got = append(got, r.ID); return true }); err != nil || len(got) != 2 || got[0] != ids[1] {
		t.Errorf("%v, %v", got, err) // the first is too old
	}
	if r, err := l.Show(context.Background(), ids[2]); err != nil || r.Domain != "d2.test" {
		t.Errorf("%+v, %v", r, err)
	}
	for _, id := range []string{ids[0], "", "zz", "00"} {
		if _, err := l.Show(context.Background(), id); mail.KindOf(err) != mail.NotFound {
			t.Errorf("%q: %v", id, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(mailWith("mixed", "application/gzip", gz(dmarcXML))))
	f.Add([]byte(mailWith("mixed", "application/zip", zipped("a.xml", dmarcXML))))
	f.Add([]byte(mailWith("report", "application/tlsrpt+json", tlsJSON)))
	f.Add([]byte("Content-Type: multipart/report; report-type=feedback-report; boundary=b\r\n\r\n--b\r\nContent-Type: message/feedback-report\r\n\r\n" + feedback + "--b--"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, ok, _ := Read(message.Parse(b), bytes.NewReader(b))
		if ok && (len(r.Rows) > maxRows || r.Domain == "" && r.Kind != Feedback || len(r.Domain) > maxText) {
			t.Errorf("%+v", r)
		}
	})
}

func FuzzDMARC(f *testing.F) {
	f.Add([]byte(dmarcXML))
	f.Fuzz(func(_ *testing.T, b []byte) { _, _ = readDMARC(b) })
}

func FuzzTLS(f *testing.F) {
	f.Add([]byte(tlsJSON))
	f.Fuzz(func(_ *testing.T, b []byte) { _, _ = readTLS(b) })
}
