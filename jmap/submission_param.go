package jmap

import (
	"strings"

	"posthouse/mail"
	smtpwire "posthouse/smtp/wire"
)

// Parameters of an envelope, RFC 8621 §7: as SMTP has them, without xtext.

// maxEnvID and maxOriginal are the lengths of ENVID and ORCPT, RFC 3461 §4.
const (
	maxEnvID    = 100
	maxOriginal = 500
)

// setReturn reads RET and ENVID among the parameters of MAIL, RFC 3461 §4.3.
func (e *envelope) setReturn(v any) bool {
	params, _ := v.(map[string]any)
	for name, val := range params {
		text, _ := val.(string)
		switch strings.ToUpper(name) {
		case "RET":
			full, err := smtpwire.ParseRet(text)
			if err != nil {
				return false
			}
			e.full = full
		case "ENVID":
			if text == "" || len(text) > maxEnvID || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
				return false
			}
			e.id = text
		}
	}
	return true
}

// setNotify reads NOTIFY and ORCPT among the parameters of RCPT, RFC 3461 §4.1.
func setNotify(r *mail.Recipient, v any) bool {
	params, _ := v.(map[string]any)
	for name, val := range params {
		text, _ := val.(string)
		switch strings.ToUpper(name) {
		case "NOTIFY":
			mask, err := smtpwire.ParseNotify(text)
			if err != nil {
				return false
			}
			r.Notify = mask
		case "ORCPT":
			kind, address, typed := strings.Cut(text, ";")
			if !typed || !isToken(kind) || address == "" || len(text) > maxOriginal || !oneLine(text) {
				return false
			}
			r.Original = text
		default:
			return false
		}
	}
	return true
}

// original is the ORCPT of who was given none, so that a report about an address to
// which it led is understood; "" if it is not ASCII.
func original(a mail.Address) string {
	if !a.IsASCII() {
		return ""
	}
	return "rfc822;" + a.String()
}
