// Package imapurl reads URLs of messages and their parts (RFC 5092), and lets people
// hand them out: who has one that its owner's mailbox key has signed (URLAUTH, RFC
// 4467) reads that part of that message and nothing else.
//
// Guarantees:
//
//   - A URL is looked up here and nowhere else: no connection is ever made to the server
//     that it names.
//   - A mailbox that is not there, a key that is not there and a wrong token take the same
//     way and give the same answer.
//   - A key dies with its mailbox, and leaves the account by no protocol.
//
// The parser is one for CATENATE, URLFETCH and BURL; its work is bounded by the length of
// the URL.
package imapurl

import (
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"posthouse/message"
	"posthouse/store"
)

// maxURL is the most octets of a URL.
const maxURL = 4 << 10

// A Piece is a message or a part of one in some mailbox, the imessagepart of RFC 5092
// §11.
type Piece struct {
	Mailbox  string // "": the selected one
	Validity uint32 // 0: any
	UID      store.UID
	Section
}

// A Section says what of a message is meant.
type Section struct {
	Path    []int // part numbers
	Spec    message.Spec
	Partial bool
	First   int64 // octets to leave out
	Count   int64 // octets at most
}

// A URL is an absolute URL of a message on some server, RFC 5092 §11.
type URL struct {
	Piece
	User   string // in front of the server's name; "": none
	Host   string // without its port, as it is spelled
	Expire time.Time
	Access Access
	Who    string // in Access: of AccessSubmit and AccessUser
	// Rump is the URL without mechanism and token: what is signed, byte for byte (RFC
	// 4467 §6).
	Rump      string
	Mechanism string // "" with a Rump that nobody has signed yet
	Token     string
}

// An Access says who may use a URL, RFC 4467 §3.
type Access string

// The forms of Access.
const (
	AccessNone      Access = "" // it is no URLAUTH
	AccessSubmit    Access = "submit+"
	AccessUser      Access = "user+"
	AccessAuthUser  Access = "authuser"
	AccessAnonymous Access = "anonymous"
)

// ParsePiece parses a URL without scheme and server.
func ParsePiece(link string) (p Piece, ok bool) {
	if len(link) > maxURL {
		return p, false
	}
	at := indexFold(link, ";UID=")
	if at < 0 {
		return p, false
	}
	box, rest := strings.TrimSuffix(link[:at], "/"), link[at+len(";UID="):]
	if i := indexFold(box, ";UIDVALIDITY="); i >= 0 {
		n, err := strconv.ParseUint(box[i+len(";UIDVALIDITY="):], 10, 32)
		if err != nil || n == 0 {
			return p, false
		}
		p.Validity, box = uint32(n), box[:i]
	}
	if box != "" {
		if box[0] != '/' || strings.HasPrefix(box, "//") {
			return p, false
		}
		if p.Mailbox, ok = unescape(box[1:]); !ok {
			return p, false
		}
	}
	number, rest, _ := strings.Cut(rest, "/")
	n, err := strconv.ParseUint(number, 10, 32)
	if err != nil || n == 0 {
		return p, false
	}
	p.UID = store.UID(n)
	return p, p.parse(rest)
}

// Parse parses an absolute URL of a message or a part.
func Parse(link string) (u URL, ok bool) {
	const scheme = "imap://"
	if len(link) > maxURL || len(link) < len(scheme) || !strings.EqualFold(link[:len(scheme)], scheme) {
		return u, false
	}
	for i := range len(link) {
		if link[i] <= ' ' || link[i] >= 0x7f {
			return u, false
		}
	}
	u.Rump = link
	server, path, _ := strings.Cut(link[len(scheme):], "/")
	path = "/" + path
	if i := indexFold(path, ";URLAUTH="); i >= 0 {
		if !u.parseAuth(path[i+len(";URLAUTH="):]) {
			return u, false
		}
		if path = path[:i]; !u.parseExpire(&path) {
			return u, false
		}
	}
	if !u.parseServer(server) {
		return u, false
	}
	u.Piece, ok = ParsePiece(path)
	return u, ok && u.Mailbox != ""
}

// parseServer parses iserver, RFC 5092 §11.
func (u *URL) parseServer(server string) bool {
	if at := strings.LastIndexByte(server, '@'); at >= 0 {
		user := server[:at]
		if i := indexFold(user, ";AUTH="); i >= 0 {
			user = user[:i]
		}
		var ok bool
		if u.User, ok = unescape(user); !ok {
			return false
		}
		server = server[at+1:]
	}
	u.Host = server
	if i := strings.LastIndexByte(server, ':'); i >= 0 && !strings.HasSuffix(server, "]") {
		if _, err := strconv.ParseUint(server[i+1:], 10, 16); err != nil {
			return false
		}
		u.Host = server[:i]
	}
	return u.Host != ""
}

// parseAuth parses what stands behind ";URLAUTH=", RFC 4467 §9.
func (u *URL) parseAuth(text string) bool {
	access, proof, signed := strings.Cut(text, ":")
	if signed {
		u.Rump = u.Rump[:len(u.Rump)-len(proof)-1]
		if u.Mechanism, u.Token, _ = strings.Cut(proof, ":"); u.Mechanism == "" || len(u.Token) < 32 {
			return false
		}
	}
	for _, a := range []Access{AccessSubmit, AccessUser} {
		if len(access) > len(a) && strings.EqualFold(access[:len(a)], string(a)) {
			var ok bool
			u.Access = a
			u.Who, ok = unescape(access[len(a):])
			return ok && u.Who != ""
		}
	}
	for _, a := range []Access{AccessAuthUser, AccessAnonymous} {
		if strings.EqualFold(access, string(a)) {
			u.Access = a
			return true
		}
	}
	return false
}

// parseExpire takes ";EXPIRE=" from the end of path.
func (u *URL) parseExpire(path *string) bool {
	i := indexFold(*path, ";EXPIRE=")
	if i < 0 {
		return true
	}
	var err error
	u.Expire, err = time.Parse(time.RFC3339, strings.ToUpper((*path)[i+len(";EXPIRE="):]))
	*path = (*path)[:i]
	return err == nil && !u.Expire.IsZero()
}

// parse parses ";SECTION=…" and ";PARTIAL=…" behind the UID.
func (s *Section) parse(rest string) bool {
	if rest == "" {
		return true
	}
	for part := range strings.SplitSeq(rest, "/") {
		name, value, _ := strings.Cut(part, "=")
		value, ok := unescape(value)
		if !ok || value == "" {
			return false
		}
		switch strings.ToUpper(name) {
		case ";SECTION":
			if !s.parseSpec(value) {
				return false
			}
		case ";PARTIAL":
			first, count, limited := strings.Cut(value, ".")
			a, err := strconv.ParseInt(first, 10, 64)
			b := int64(1<<62 - 1)
			if err == nil && limited {
				b, err = strconv.ParseInt(count, 10, 63)
			}
			if err != nil || a < 0 || b <= 0 {
				return false
			}
			s.Partial, s.First, s.Count = true, a, b
		default: // ";URLAUTH=" of a URL without a server among them
			return false
		}
	}
	return true
}

// parseSpec parses a section as in BODY[section], but for header fields.
func (s *Section) parseSpec(text string) bool {
	words := strings.Split(strings.ToUpper(text), ".")
	for len(words) > 0 {
		n, err := strconv.ParseUint(words[0], 10, 31)
		if err != nil || n == 0 || len(s.Path) > 100 {
			break
		}
		s.Path, words = append(s.Path, int(n)), words[1:]
	}
	switch strings.Join(words, ".") {
	case "":
	case "HEADER":
		s.Spec = message.SpecHeader
	case "TEXT":
		s.Spec = message.SpecText
	case "MIME":
		s.Spec = message.SpecMIME
		return len(s.Path) > 0
	default:
		return false
	}
	return true
}

// In finds the section's octets in a message; not ok if it has no such part.
func (s *Section) In(e *store.Email) (r message.Range, ok bool, err error) {
	if len(s.Path) == 0 && s.Spec == message.SpecAll {
		r = message.Range{End: e.Size}
	} else {
		m, err := e.Message()
		if err != nil {
			return r, false, err
		}
		if r, ok = m.Section(s.Path, s.Spec); !ok {
			return r, false, nil
		}
	}
	if s.Partial {
		r = r.Cut(s.First, s.Count)
	}
	return r, true, nil
}

func unescape(s string) (string, bool) {
	out, err := url.PathUnescape(s)
	return out, err == nil && utf8.ValidString(out)
}

// indexFold finds part without regard to case.
func indexFold(s, part string) int {
	for i := 0; i+len(part) <= len(s); i++ {
		if strings.EqualFold(s[i:i+len(part)], part) {
			return i
		}
	}
	return -1
}
