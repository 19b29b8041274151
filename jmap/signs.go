package jmap

import (
	"posthouse/trust"
)

// signsProperty is the vendor property "signs" of Email: what a list shows beside a
// message before it is opened. Unlike the verdict it is told by the message alone,
// without whom the account knows, so that a page of a list costs no look at others.
func signsProperty() property {
	return property{name: "signs", typ: "String[]", mode: serverSet | immutable | onRequest, get: ofEmail(func(g *getter, e *email) (any, error) {
		signs := []string{}
		m, err := e.message()
		if err != nil {
			return nil, err
		}
		for i := range m.Parts {
			if p := &m.Parts[i]; p.Type == "text" && p.Subtype == "calendar" {
				signs = append(signs, "invite")
				break
			}
		}
		warns, err := g.warns(e)
		if err != nil {
			return nil, err
		}
		if warns {
			signs = append(signs, "warning")
		}
		return signs, nil
	})}
}

// warns reports whether a message pretends to be from somebody else, or fails the checks
// of its author's domain: lists break those, and are not blamed for it.
func (g *getter) warns(e *email) (bool, error) {
	h, err := e.headerOf(g, 0)
	if err != nil {
		return false, err
	}
	own := g.who.account.Address
	s := trust.Sender{List: listOf(h), Own: []string{string(own.Domain)}}
	if e.rec != nil {
		s.Findings = e.rec.Findings()
	}
	for _, m := range h.Addresses("From") {
		if !m.Group {
			s.Name, s.Domain = m.Name, string(m.Address.Domain)
			break
		}
	}
	v := trust.Judge(s)
	return v.Status == trust.Suspicious || v.Status == trust.Unverified && s.List == "", nil
}
