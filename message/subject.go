package message

import "strings"

// BaseSubject returns the base subject of a decoded subject, RFC 5256 §2.1: the
// key under which messages about one thing are sorted and threaded.
func BaseSubject(subject string) string {
	base, _ := baseSubject(subject)
	return base
}

// IsReplySubject reports whether the subject is that of a reply or of a
// forwarded message, RFC 5256 §3 (REFERENCES, step 5).
func IsReplySubject(subject string) bool {
	_, reply := baseSubject(subject)
	return reply
}

// collapsed tells that s is as step 1 leaves it: words of ASCII with one space between.
func collapsed(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 0x80, c < ' ':
			return false
		case c == ' ' && (i == 0 || i == len(s)-1 || s[i-1] == ' '):
			return false
		}
	}
	return true
}

func baseSubject(s string) (base string, reply bool) {
	if !collapsed(s) {
		s = strings.Join(strings.Fields(s), " ") // step 1
	}
	for {
		for { // step 2: trailing (fwd)
			t := strings.TrimRight(s, " ")
			if hasSuffixFold(t, "(fwd)") {
				s, reply = t[:len(t)-len("(fwd)")], true
				continue
			}
			s = t
			break
		}
		for { // steps 3 to 5: leading "Re:", "[blob]"
			after, lastBlob := skipBlobs(s)
			if t, ok := cutReply(after); ok {
				s, reply = t, true
				continue
			}
			if s = after; s == "" { // a blob that is all there is stays
				s = lastBlob
			}
			break
		}
		s = strings.TrimLeft(s, " ")
		if !hasPrefixFold(s, "[fwd:") || !strings.HasSuffix(s, "]") { // step 6
			return s, reply
		}
		s, reply = s[len("[fwd:"):len(s)-1], true
	}
}

// skipBlobs skips all leading subj-blobs; last is s from the last of them on.
func skipBlobs(s string) (after, last string) {
	after = strings.TrimLeft(s, " ")
	for last = after; ; {
		t, ok := cutBlob(after)
		if !ok {
			return after, last
		}
		after, last = t, after
	}
}

// cutReply cuts subj-refwd: ("re" / "fw" / "fwd") [subj-blob] ":".
func cutReply(s string) (string, bool) {
	t := s
	switch {
	case hasPrefixFold(t, "fwd"):
		t = t[3:]
	case hasPrefixFold(t, "re"), hasPrefixFold(t, "fw"):
		t = t[2:]
	default:
		return s, false
	}
	t = strings.TrimLeft(t, " ")
	if u, ok := cutBlob(t); ok {
		t = u
	}
	if !strings.HasPrefix(t, ":") {
		return s, false
	}
	return strings.TrimLeft(t[1:], " "), true
}

// cutBlob cuts subj-blob: "[" without brackets inside "]" and the space after.
func cutBlob(s string) (string, bool) {
	if !strings.HasPrefix(s, "[") {
		return s, false
	}
	i := strings.IndexAny(s[1:], "[]")
	if i < 0 || s[1+i] != ']' {
		return s, false
	}
	return strings.TrimLeft(s[i+2:], " "), true
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

func hasSuffixFold(s, suffix string) bool {
	return len(s) >= len(suffix) && strings.EqualFold(s[len(s)-len(suffix):], suffix)
}
