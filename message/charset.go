package message

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/encoding/unicode/utf32"
)

// charsetAliases are names found in mail that no registry knows.
var charsetAliases = map[string]string{
	"cp-850": "ibm850", "cp850": "ibm850", "cp-1252": "windows-1252", "ansi": "windows-1252",
	"ascii": "windows-1252", "us-ascii": "windows-1252", "ansi_x3.4-1968": "windows-1252",
	"utf8": "utf-8", "unicode-1-1-utf-8": "utf-8", "utf-8-mac": "utf-8", "utf8mb4": "utf-8",
	"x-gbk": "gbk", "cp936": "gbk", "ms936": "gbk", "gb_2312-80": "gbk", "hz-gb-2312": "hz-gb-2312",
	"cp949": "euc-kr", "ks_c_5601-1987": "euc-kr", "x-windows-949": "euc-kr", "ms949": "euc-kr",
	"cp932": "shift_jis", "ms932": "shift_jis", "x-sjis": "shift_jis", "cp950": "big5", "iso-2022-jp-ms": "iso-2022-jp",
	"cp50220": "iso-2022-jp", "cp50221": "iso-2022-jp", "iso-2022-jp-1": "iso-2022-jp",
	"cp1250": "windows-1250", "cp1251": "windows-1251", "cp1252": "windows-1252", "cp1253": "windows-1253",
	"cp1254": "windows-1254", "cp1255": "windows-1255", "cp1256": "windows-1256", "cp1257": "windows-1257",
	"iso8859-1": "windows-1252", "iso8859_1": "windows-1252", "iso-8859-1-windows-3.1-latin-1": "windows-1252",
	"iso-8859-8-i": "iso-8859-8", "iso-8859-8-e": "iso-8859-8", "koi8r": "koi8-r", "tis-620": "windows-874",
}

// charsetEncoding returns the encoding of a charset name. ok is false if it is
// not known; enc is nil for UTF-8.
func charsetEncoding(name string) (enc encoding.Encoding, ok bool) {
	var buf [24]byte
	if len(name) < len(buf) { // the common names, without allocation
		for i := range len(name) {
			buf[i] = lower(name[i])
		}
		switch string(buf[:len(name)]) {
		case "utf-8", "utf8":
			return nil, true
		case "us-ascii", "iso-8859-1", "windows-1252":
			return charmap.Windows1252, true
		}
	}
	name = strings.ToLower(strings.Trim(name, " \t\"'"))
	if base, _, found := strings.Cut(name, "*"); found { // RFC 2231 §5: charset*language
		name = base
	}
	if alias, found := charsetAliases[name]; found {
		name = alias
	}
	switch name {
	case "utf-8":
		return nil, true
	case "utf-7", "unicode-1-1-utf-7", "x-unicode-2-0-utf-7":
		return utf7{}, true
	case "utf-16":
		return unicode.UTF16(unicode.BigEndian, unicode.UseBOM), true
	case "utf-32":
		return utf32.UTF32(utf32.BigEndian, utf32.UseBOM), true
	}
	if enc, err := htmlindex.Get(name); err == nil && enc != encoding.Replacement {
		return enc, true
	}
	if enc, err := ianaindex.MIME.Encoding(name); err == nil && enc != nil {
		return enc, true
	}
	return nil, false
}

// DecodeText converts text in the named charset to UTF-8. Text in no or an
// unknown charset is taken for UTF-8 if it is that, else for windows-1252. The
// result is always valid UTF-8.
func DecodeText(charset string, b []byte) string { return decodeString(charset, b) }

func decodeString(charset string, b []byte) string {
	enc, ok := charsetEncoding(charset)
	switch {
	case ok && enc == nil, !ok, enc == charmap.Windows1252 && (isASCII(b) || !isLatin1(charset)):
		return guessText(b)
	}
	out, err := enc.NewDecoder().Bytes(b)
	if err != nil {
		return guessText(b)
	}
	return string(bytes.ToValidUTF8(out, []byte("\uFFFD")))
}

// isLatin1 reports whether charset really names Latin-1: text that claims to be
// ASCII and is not may be anything, and is mostly UTF-8.
func isLatin1(charset string) bool {
	return charset != "" && !strings.Contains(strings.ToLower(charset), "ascii")
}

// guessText takes b for UTF-8, or else for windows-1252.
func guessText(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	if mostlyUTF8(b) {
		return string(bytes.ToValidUTF8(b, []byte("\uFFFD")))
	}
	out, err := charmap.Windows1252.NewDecoder().Bytes(b)
	if err != nil {
		return string(bytes.ToValidUTF8(b, []byte("\uFFFD")))
	}
	return string(out)
}

// mostlyUTF8 reports whether the bytes over 127 are UTF-8 with few errors, as
// when a text was cut inside a character.
func mostlyUTF8(b []byte) bool {
	good, bad := 0, 0
	for i := 0; i < len(b); {
		if b[i] < utf8.RuneSelf {
			i++
			continue
		}
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			bad++
		} else {
			good++
		}
		i += n
	}
	return good > 4*bad
}

func isASCII(b []byte) bool {
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
