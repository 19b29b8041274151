package imap

// extUIDOnly is UIDONLY: no sequence numbers any more, RFC 9586 §3. The dialect
// spells responses without them; what is refused is decided in allow and readKey.
var extUIDOnly = &extension{name: "UIDONLY", rfc: "RFC 9586",
	enable: func(c *conn) { c.dia.uidonly = true },
}

var errUIDRequired = &respError{"BAD", "UIDREQUIRED", "message numbers are not allowed once UIDONLY is enabled"}

// numbered reports whether a command names messages by number: it then has a form
// that names them by UID. EXPUNGE is the exception, it names none.
func (t *tables) numbered(cmd *command) bool {
	return !cmd.byUID && cmd.name != "EXPUNGE" && t.commands["UID "+cmd.name] != nil
}
