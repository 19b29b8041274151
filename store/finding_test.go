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
