package smtp

import (
	"posthouse/mail"
	"posthouse/smtp/wire"
)

// maxEnvID is the length of ENVID, RFC 3461 §4.4, in octets of xtext.
const maxEnvID = 100

// maxORCPT is the length of ORCPT, RFC 3461 §4.2, in octets.
const maxORCPT = 500

// DSN, RFC 3461: the parameters travel with the envelope; who fails to deliver or
// is asked to confirm makes the notification. Behind LMTP that is the server in
// front of us, as long as it is not told that we could.
var extDSN = &extension{keyword: "DSN", rfc: "RFC 3461",
	offered:    func(c *conn) bool { return !c.face.lmtp },
	mailParams: []param{{"RET", paramRet}, {"ENVID", paramEnvID}},
	rcptParams: []param{{"NOTIFY", paramNotify}, {"ORCPT", paramORCPT}},
}

func paramRet(_ *conn, e *envelope, p wire.Param) mail.Reply {
	full, err := wire.ParseRet(p.Value)
	if err != nil {
		return syntaxErrorReply(err)
	}
	e.mail.ReturnFull = full
	return mail.Reply{}
}

func paramEnvID(_ *conn, e *envelope, p wire.Param) mail.Reply {
	id, err := wire.DecodeXtext(p.Value)
	if err != nil {
		return syntaxErrorReply(err)
	}
	if id == "" || len(p.Value) > maxEnvID || !isPrintable(id) {
		return syntaxReply("bad ENVID")
	}
	e.mail.EnvID = id
	return mail.Reply{}
}

func paramNotify(_ *conn, e *envelope, p wire.Param) mail.Reply {
	mask, err := wire.ParseNotify(p.Value)
	if err != nil {
		return syntaxErrorReply(err)
	}
	e.rcpt.Notify = mask
	return mail.Reply{}
}

func paramORCPT(_ *conn, e *envelope, p wire.Param) mail.Reply {
	if len(p.Value) > maxORCPT {
		return syntaxReply("bad ORCPT")
	}
	original, err := wire.ParseORCPT(p.Value)
	if err != nil {
		return syntaxErrorReply(err)
	}
	e.rcpt.Original = original
	return mail.Reply{}
}

// isPrintable: RFC 3461 §4.4 allows printable ASCII and the space.
func isPrintable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
