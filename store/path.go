package store

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"posthouse/mail"
)

// inboxPath is the path of the inbox, RFC 9051 §5.1.
const inboxPath = "INBOX"

// cleanPath brings a path to its one form: NFC, and the first level in any
// spelling of "inbox" as INBOX. It does not check the path.
func cleanPath(path string) string {
	if !norm.NFC.IsNormalString(path) {
		path = norm.NFC.String(path)
	}
	if len(path) >= 5 && strings.EqualFold(path[:5], inboxPath) && (len(path) == 5 || path[5] == '/') && path[:5] != inboxPath {
		path = inboxPath + path[5:]
	}
	return path
}

// newPath checks the path of a mailbox to be made and returns its one form.
// Names are Net-Unicode (RFC 9051 §5.1, RFC 5198 §2) without control and other
// characters that no user can see or type; list wildcards are allowed.
func newPath(path string, l *Limits) (string, error) {
	invalid := func(text string) (string, error) {
		return "", &mail.Error{Kind: mail.Invalid, Op: "store.mailbox", Text: text}
	}
	if !utf8.ValidString(path) {
		return invalid("mailbox name is not UTF-8")
	}
	path = cleanPath(strings.TrimSuffix(path, "/"))
	if len(path) > l.MailboxPathBytes {
		return "", &mail.Error{Kind: mail.TooLarge, Op: "store.mailbox", Text: "mailbox name too long"}
	}
	depth := 0
	for level := range strings.SplitSeq(path, "/") {
		if depth++; depth > l.MailboxDepth {
			return "", &mail.Error{Kind: mail.TooLarge, Op: "store.mailbox", Text: "mailbox name has too many levels"}
		}
		if level == "" {
			return invalid("mailbox name has an empty level")
		}
		if level == "." || level == ".." { // a client that keeps mailboxes as directories gives up on the whole account
			return invalid("a mailbox cannot be named . or ..")
		}
		if len(level) > l.MailboxNameBytes {
			return "", &mail.Error{Kind: mail.TooLarge, Op: "store.mailbox", Text: "mailbox name too long"}
		}
		for _, r := range level {
			if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || r == '\ufeff' || unicode.Is(unicode.Noncharacter_Code_Point, r) {
				return invalid("mailbox name has a control character")
			}
		}
	}
	return path, nil
}

// comparePaths orders INBOX first and children right behind their parent.
func comparePaths(a, b string) int {
	if ia, ib := underInbox(a), underInbox(b); ia != ib {
		if ia {
			return -1
		}
		return 1
	}
	n := min(len(a), len(b))
	for i := range n {
		if x, y := a[i], b[i]; x != y {
			if x == '/' {
				return -1
			}
			if y == '/' || x > y {
				return 1
			}
			return -1
		}
	}
	return len(a) - len(b)
}

func underInbox(path string) bool {
	return strings.HasPrefix(path, inboxPath) && (len(path) == len(inboxPath) || path[len(inboxPath)] == '/')
}

// isBelow reports whether path is a descendant of parent.
func isBelow(path, parent string) bool {
	return len(path) > len(parent) && path[len(parent)] == '/' && path[:len(parent)] == parent
}

func lastLevel(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

// parentPath returns the path one level up, "" at the top.
func parentPath(path string) string { return path[:max(strings.LastIndexByte(path, '/'), 0)] }
