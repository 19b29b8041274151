package wire

import (
	"bufio"
	"bytes"
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"

	"posthouse/mail"
)

// A ReplyError is an answer that is no SMTP reply. Line is the offending line,
// made printable.
type ReplyError struct{ Line string }

func (e *ReplyError) Error() string { return "smtp: not a reply: " + strconv.Quote(e.Line) }

// ReplyLimits bound what a server may answer. Zero fields take the defaults.
type ReplyLimits struct {
	Line  int // octets in a line; default 4096, RFC 5321 §4.5.3.1.5 says 512
	Lines int // lines in a reply; default 200
	Text  int // octets of text kept; what is over is read and dropped; default 8192
}

func (l ReplyLimits) withDefaults() ReplyLimits {
	if l.Line == 0 {
		l.Line = 4096
	}
	if l.Lines == 0 {
		l.Lines = 200
	}
	if l.Text == 0 {
		l.Text = 8192
	}
	return l
}

// ReadReply reads one reply, RFC 5321 §4.2. The enhanced code is taken out of the
// text where all its lines begin with the same one. Lines that end in LF alone are
// taken. Control characters in the text become "?".
func ReadReply(r *bufio.Reader, lim ReplyLimits) (mail.Reply, error) {
	lim = lim.withDefaults()
	var reply mail.Reply
	var lines []string
	size := 0
	for range lim.Lines {
		line, err := ReadLine(r, lim.Line)
		if err != nil && !errors.Is(err, ErrBareLF) {
			return mail.Reply{}, err
		}
		code, last, text, ok := parseReplyLine(line)
		if !ok || len(lines) > 0 && code != reply.Code {
			return mail.Reply{}, &ReplyError{printable(line[:min(len(line), 200)])}
		}
		reply.Code = code
		if len(lines) == 0 || size+len(text) <= lim.Text {
			lines = append(lines, printable(text))
			size += len(text) + 1
		}
		if last {
			reply.Enhanced = cutEnhanced(lines, code/100)
			reply.Text = strings.Join(lines, "\n")
			return reply, nil
		}
	}
	return mail.Reply{}, &ReplyError{"too many lines"}
}

// parseReplyLine takes "250-text", "250 text" and "250" apart.
func parseReplyLine(line []byte) (code int, last bool, text []byte, ok bool) {
	if len(line) < 3 || line[0] < '2' || line[0] > '5' {
		return 0, false, nil, false
	}
	for _, c := range line[:3] {
		if c < '0' || c > '9' {
			return 0, false, nil, false
		}
		code = code*10 + int(c-'0')
	}
	if len(line) == 3 {
		return code, true, nil, true
	}
	if line[3] != ' ' && line[3] != '-' {
		return 0, false, nil, false
	}
	return code, line[3] == ' ', bytes.TrimRight(line[4:], " \t"), true
}

// cutEnhanced removes the enhanced code of class from the beginning of each line
// and returns it, RFC 2034 §4. It is none if the first line has none.
func cutEnhanced(lines []string, class int) [3]uint8 {
	code, _, ok := ParseEnhanced(lines[0])
	if !ok || int(code[0]) != class {
		return [3]uint8{}
	}
	for i, l := range lines {
		if c, rest, ok := ParseEnhanced(l); ok && c == code {
			lines[i] = rest
		}
	}
	return code
}

// ParseEnhanced parses the enhanced status code at the beginning of s, RFC 3463
// §2, and returns the rest after one space. Codes over 255, which no registry has,
// are not recognised.
func ParseEnhanced(s string) (code [3]uint8, rest string, ok bool) {
	word, rest, _ := strings.Cut(s, " ")
	class, word, ok1 := strings.Cut(word, ".")
	subject, detail, ok2 := strings.Cut(word, ".")
	if !ok1 || !ok2 || len(class) != 1 || strings.IndexByte("245", class[0]) < 0 {
		return code, s, false
	}
	for i, f := range [...]string{class, subject, detail} {
		v, err := strconv.ParseUint(f, 10, 8)
		if err != nil || len(f) > 3 {
			return [3]uint8{}, s, false
		}
		code[i] = uint8(v)
	}
	return code, rest, true
}

// maxReplyText keeps a reply line with code, enhanced code and CRLF within the 512
// octets of RFC 5321 §4.5.3.1.5.
const maxReplyText = 490

// AppendReply appends r with one line for each line of its text, each with the
// enhanced code (RFC 2034 §4); text that is too long for a line is folded. Bytes
// outside of printable ASCII become "?".
func AppendReply(dst []byte, r mail.Reply) []byte {
	text := r.Text
	for {
		line, rest, more := strings.Cut(text, "\n")
		if len(line) > maxReplyText {
			n := strings.LastIndexByte(line[:maxReplyText], ' ')
			if n <= 0 {
				n = maxReplyText
			}
			rest, more = strings.TrimPrefix(text[n:], " "), true
			line = line[:n]
		}
		dst = appendReplyLine(dst, r, line, more)
		if !more {
			return dst
		}
		text = rest
	}
}

func appendReplyLine(dst []byte, r mail.Reply, line string, more bool) []byte {
	dst = strconv.AppendInt(dst, int64(r.Code), 10)
	if more {
		dst = append(dst, '-')
	} else {
		dst = append(dst, ' ')
	}
	if r.Enhanced != [3]uint8{} {
		dst = AppendEnhanced(dst, r.Enhanced)
		dst = append(dst, ' ')
	}
	for i := range len(line) {
		switch c := line[i]; {
		case c >= ' ' && c <= '~':
			dst = append(dst, c)
		case c == '\r' && i == len(line)-1:
		default:
			dst = append(dst, '?')
		}
	}
	return append(dst, '\r', '\n')
}

// AppendEnhanced appends an enhanced status code, as in "5.1.1".
func AppendEnhanced(dst []byte, code [3]uint8) []byte {
	dst = strconv.AppendUint(dst, uint64(code[0]), 10)
	dst = strconv.AppendUint(append(dst, '.'), uint64(code[1]), 10)
	return strconv.AppendUint(append(dst, '.'), uint64(code[2]), 10)
}

// printable makes text from a server safe for logs and DSNs.
func printable(b []byte) string {
	for _, c := range b {
		if c < ' ' || c >= 0x7f {
			return strings.Map(func(r rune) rune {
				if r < ' ' || r == 0x7f || r == utf8.RuneError || r >= 0x80 && r < 0xa0 {
					return '?'
				}
				return r
			}, string(b))
		}
	}
	return string(b)
}
