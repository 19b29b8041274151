package message

import (
	"encoding/base64"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Header lines are folded at 76 bytes, and must not be longer than 998 (RFC 5322
// §2.1.1): no word may be.
const (
	maxLine      = 76
	maxWordBytes = 900
)

// A fieldWriter writes the words of a field and folds between them.
type fieldWriter struct {
	dst   []byte
	col   int
	fresh bool // nothing stands behind the ":" yet
}

func (f *fieldWriter) start(name string) {
	f.dst = append(f.dst, ':')
	f.col, f.fresh = len(name)+1, true
}

// word writes a word after a space, on a new line if it does not fit. Whatever it
// holds, it begins no other field.
func (f *fieldWriter) word(w string) {
	if strings.ContainsAny(w, "\r\n\x00") {
		w = lineBreakers.Replace(w)
	}
	if f.col+1+len(w) > maxLine && !f.fresh {
		f.dst = append(f.dst, '\r', '\n')
		f.col = 0
	}
	f.dst = append(append(f.dst, ' '), w...)
	f.col += 1 + len(w)
	f.fresh = false
}

// attach writes s right behind the last word.
func (f *fieldWriter) attach(s string) {
	f.dst = append(f.dst, s...)
	f.col += len(s)
}

var lineBreakers = strings.NewReplacer("\r", "", "\n", "", "\x00", "")

func (f *fieldWriter) end() []byte {
	if f.fresh {
		f.dst = append(f.dst, ' ')
	}
	return append(f.dst, '\r', '\n')
}

// appendUnstructuredField writes a field of free text. Runs of words that hold
// what a header may not are encoded together, RFC 2047 §5.
func appendUnstructuredField(dst []byte, name, value string) []byte {
	f := fieldWriter{dst: append(dst, name...)}
	f.start(name)
	value = strings.Map(func(r rune) rune {
		if r == '\r' || r == '\n' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(value, "\uFFFD"))
	if value = strings.Trim(value, " "); strings.Contains(value, "  ") { // folding would lose a space
		f.encoded(value)
		return f.end()
	}
	words := strings.Split(value, " ")
	for i := 0; i < len(words); {
		if !needsEncoding(words[i]) {
			f.word(words[i])
			i++
			continue
		}
		j := i + 1
		for j < len(words) && needsEncoding(words[j]) {
			j++
		}
		f.encoded(strings.Join(words[i:j], " "))
		i = j
	}
	return f.end()
}

// needsEncoding reports whether a word of free text cannot stand as it is: bytes
// that are not printable ASCII, what looks like an encoded word, a word that no
// line could hold.
func needsEncoding(w string) bool {
	if len(w) > maxWordBytes || strings.Contains(w, "=?") {
		return true
	}
	for i := range len(w) {
		if w[i] <= ' ' || w[i] > '~' {
			return true
		}
	}
	return false
}

// maxWord is the length of an encoded word, RFC 2047 §2.
const maxWord = 75

// encoded writes s as encoded words, none of which cuts a character.
func (f *fieldWriter) encoded(s string) {
	s = strings.ToValidUTF8(s, "\uFFFD")
	q, high := 0, 0
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			high++
		}
		q += qWidth(s[i])
	}
	useQ := q <= (len(s)+2)/3*4 || high*4 < len(s)
	const overhead = len("=?utf-8?q??=")
	for len(s) > 0 {
		room := maxWord - overhead
		if left := maxLine - f.col - 1 - overhead; left >= 16 { // fill the line
			room = min(room, left)
		}
		n, width := 0, 0
		for n < len(s) {
			_, size := utf8.DecodeRuneInString(s[n:])
			w := 0
			if useQ {
				for i := range size {
					w += qWidth(s[n+i])
				}
				width += w
			} else {
				width = (n + size + 2) / 3 * 4
			}
			if width > room && n > 0 {
				break
			}
			n += size
		}
		if useQ {
			f.word("=?utf-8?q?" + string(appendQWord(nil, s[:n])) + "?=")
		} else {
			f.word("=?utf-8?b?" + base64.StdEncoding.EncodeToString([]byte(s[:n])) + "?=")
		}
		s = s[n:]
	}
}

// qSafe reports whether c may stand for itself in a Q word, also in a phrase (RFC
// 2047 §5).
func qSafe(c byte) bool {
	return isLetter(c) || isDigit(c) || c == '!' || c == '*' || c == '+' || c == '-' || c == '/'
}

func qWidth(c byte) int {
	if qSafe(c) || c == ' ' {
		return 1
	}
	return 3
}

func appendQWord(dst []byte, s string) []byte {
	const hexDigits = "0123456789ABCDEF"
	for i := range len(s) {
		switch c := s[i]; {
		case c == ' ':
			dst = append(dst, '_')
		case qSafe(c):
			dst = append(dst, c)
		default:
			dst = append(dst, '=', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return dst
}

// appendPhrase writes a display name: atoms, a quoted string, or encoded words.
func appendPhrase(f *fieldWriter, name, end string) {
	plain, atoms := true, true
	for i := range len(name) {
		c := name[i]
		plain = plain && c >= ' ' && c <= '~'
		atoms = atoms && (c == ' ' || !notAtom[c] && c != '\\')
	}
	switch {
	case !plain || strings.Contains(name, "=?") || len(name) > 200:
		f.encoded(name)
	case atoms && name != "" && !strings.Contains(name, "  ") && strings.TrimSpace(name) == name:
		for _, w := range strings.Split(name, " ") {
			f.word(w)
		}
	default:
		f.word(`"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `"`)
	}
	f.attach(end)
}

// appendParamField writes a field with parameters, each on its own line if they
// do not fit; values that are not ASCII as RFC 2231 §4 says, long ones in pieces
// (RFC 2231 §3).
func appendParamField(dst []byte, name, value string, params []Param) []byte {
	f := fieldWriter{dst: append(dst, name...)}
	f.start(name)
	f.word(value)
	for _, p := range params {
		if p.Value == "" && p.Name == "name" {
			continue
		}
		for _, s := range paramPieces(p) {
			f.attach(";")
			f.word(s)
		}
	}
	return f.end()
}

// paramPieces writes a parameter as one or more name=value.
func paramPieces(p Param) []string {
	const room = 60
	plain, token := true, p.Value != ""
	for i := range len(p.Value) {
		c := p.Value[i]
		plain = plain && c >= ' ' && c <= '~'
		token = token && c > ' ' && c <= '~' && !notToken[c]
	}
	switch {
	case token && len(p.Value) <= room:
		return []string{p.Name + "=" + p.Value}
	case plain && len(p.Value) <= room:
		return []string{p.Name + `="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(p.Value) + `"`}
	}
	text := "utf-8''" + percentEncode(strings.ToValidUTF8(p.Value, "\uFFFD"))
	if len(text) <= room {
		return []string{p.Name + "*=" + text}
	}
	var out []string
	for n := 0; text != ""; n++ {
		cut := min(room, len(text))
		if i := strings.LastIndexByte(text[:cut], '%'); cut < len(text) && i > cut-3 && i > 0 {
			cut = i // not inside %XX
		}
		out = append(out, p.Name+"*"+strconv.Itoa(n)+"*="+text[:cut])
		text = text[cut:]
	}
	return out
}
