package store

import (
	"reflect"
	"strings"
	"testing"

	"posthouse/mail"
)

func TestFindings(t *testing.T) {
	e := sampleEmail()
	list := []mail.Finding{{Check: "spf", Result: "softfail", Text: "smtp.mailfrom=a@b.test", Weight: 1}, {Check: "list", Result: "good", Weight: -300}}
	e.findings = appendFindings(nil, append(list, mail.Finding{Text: strings.Repeat("é", 400)}))
	var o Email
	if err := decodeEmail(&o, 9, append(appendEmail(nil, e), 0, 0, 0, 0, 0, 0, 0, 7)); err != nil {
		t.Fatal(err)
	}
	got := o.Findings()
	if len(got) != 3 || !reflect.DeepEqual(got[:2], list) || len(got[2].Text) != 500 {
		t.Errorf("%+v", got)
	}
	if got := new(Email).Findings(); got != nil {
		t.Errorf("%+v", got)
	}
}

// FuzzFindings decodes what the checks said of a message, as it stands in its record.
func FuzzFindings(f *testing.F) {
	f.Add(appendFindings(nil, []mail.Finding{{Check: "spf", Result: "fail", Text: "é", Weight: -3}, {Check: "dkim"}}))
	f.Add([]byte{3, 's', 'p', 'f', 0x80}) // cut
	f.Add([]byte{0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		e := Email{findings: b}
		list := e.Findings()
		if len(list) > len(b) {
			t.Fatalf("%d findings in %d bytes", len(list), len(b))
		}
		e.findings = appendFindings(nil, list)
		again := e.Findings()
		if len(again) != min(len(list), maxFindings) {
			t.Fatalf("%d findings became %d", len(list), len(again))
		}
		for i := range again {
			if again[i].Weight != list[i].Weight {
				t.Fatalf("%+v became %+v", list[i], again[i])
			}
		}
	})
}
