package message

// commonWords are the strings of nearly every message: they are shared instead
// of copied. They are in lower case.
var commonWords = internTable("text", "plain", "html", "multipart", "mixed", "alternative", "related",
	"signed", "report", "digest", "message", "rfc822", "delivery-status", "application", "pdf",
	"octet-stream", "pgp-signature", "image", "png", "jpeg", "gif", "calendar", "7bit", "8bit", "binary",
	"base64", "quoted-printable", "attachment", "inline", "charset", "boundary", "name", "filename",
	"filename*", "format", "flowed", "delsp", "yes", "type", "method", "request", "utf-8", "us-ascii",
	"iso-8859-1", "windows-1252", "text/html", "text/plain", "protocol", "micalg", "report-type")

// valueWords are parameter values in the case in which they are often written.
var valueWords = internTable("utf-8", "UTF-8", "us-ascii", "US-ASCII", "iso-8859-1", "ISO-8859-1",
	"windows-1252", "Windows-1252", "iso-8859-15", "ISO-8859-15", "flowed", "yes", "fixed", "REQUEST",
	"text/html", "text/plain", "multipart/alternative", "sha-256", "pgp-sha256", "application/pgp-signature")

func internTable(words ...string) map[string]string {
	m := make(map[string]string, len(words))
	for _, w := range words {
		m[w] = w
	}
	return m
}

// internLower returns b as a string in lower case.
func internLower(b []byte) string {
	var buf [32]byte
	if len(b) > len(buf) {
		lowered := make([]byte, len(b))
		for i, c := range b {
			lowered[i] = lower(c)
		}
		return string(lowered)
	}
	for i, c := range b {
		buf[i] = lower(c)
	}
	if s, ok := commonWords[string(buf[:len(b)])]; ok {
		return s
	}
	return string(buf[:len(b)])
}

// internValue returns b as a string.
func internValue(b []byte) string {
	if s, ok := valueWords[string(b)]; ok {
		return s
	}
	return string(b)
}
