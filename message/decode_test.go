package message

import (
	"errors"
	"io"
	"strings"
	"testing"
)

func TestDecoders(t *testing.T) {
	for _, tt := range []struct{ enc, in, want string }{
		{"base64", "SGVsbG8=\r\n", "Hello"},
		{"BASE64", "SGV\r\nsbG8", "Hello"},
		{"base64", "SGVs*bG8=-\r\n=\r\n", "Hello"},
		{"base64", "SGk=SGk=", "HiHi"}, // two pieces, as some gateways join them
		{"base64", "S", ""},
		{"base64", "", ""},
		{"quoted-printable", "caf=C3=A9 =\r\nau lait\r\n", "café au lait\r\n"},
		{"quoted-printable", "trailing   \r\nnext\t\r\n", "trailing\r\nnext\r\n"},
		{"quoted-printable", "soft=  \r\nline=\nend=", "softlineend"},
		{"quoted-printable", "=3d=3D =XY =4 100%=", "== =XY =4 100%"},
		{"quoted-printable", "keep  ", "keep  "},
		{"7bit", "=3D", "=3D"},
		{"", "x", "x"},
	} {
		r, err := NewDecoder(strings.NewReader(tt.in), tt.enc)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err != nil || string(got) != tt.want {
			t.Errorf("%s %q: %v %q, want %q", tt.enc, tt.in, err, got, tt.want)
		}
		if n, err := DecodedSize(strings.NewReader(tt.in), tt.enc); err != nil || n != int64(len(tt.want)) {
			t.Errorf("%s %q: size %d, %v", tt.enc, tt.in, n, err)
		}
	}
	for _, enc := range []string{"x-uuencode", "zip", "base64x"} {
		if _, err := NewDecoder(strings.NewReader(""), enc); !errors.Is(err, ErrUnknownEncoding) || KnownEncoding(enc) {
			t.Errorf("%s: %v", enc, err)
		}
	}
	boom := errors.New("boom")
	for _, enc := range []string{"base64", "quoted-printable"} {
		if _, err := DecodedSize(io.MultiReader(strings.NewReader("YWJj"), failing{boom}), enc); !errors.Is(err, boom) {
			t.Errorf("%s: the reader's error is lost: %v", enc, err)
		}
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestDecodeText(t *testing.T) {
	for _, tt := range []struct{ charset, in, want string }{
		{"utf-8", "caf\xc3\xa9", "café"},
		{"UTF8", "caf\xc3\xa9", "café"},
		{"", "caf\xc3\xa9", "café"},
		{"", "caf\xe9", "café"},
		{"us-ascii", "caf\xc3\xa9", "café"},
		{"iso-8859-1", "caf\xe9 \x80", "café €"},
		{"utf-8", "caf\xe9", "café"},
		{"x-unknown", "caf\xe9", "café"},
		{"iso-8859-2", "\xb9", "š"},
		{"koi8-r", "\xef\xd4\xde\xa3\xd4", "Отчёт"},
		{"cp1251", "\xce\xf2\xf7\xb8\xf2", "Отчёт"},
		{"gb2312", "\xba\xcf\xcd\xac", "合同"},
		{"ks_c_5601-1987", "\xc0\xcf\xc1\xa4", "일정"},
		{"shift_jis", "\x89\xef\x8b\x63", "会議"},
		{"iso-2022-jp", "\x1b$B2q5D\x1b(B", "会議"},
		{"big5", "\xb7|\xc4\xb3", "會議"},
		{"utf-7", "Hi M+APY-m +ZeVnLA-", "Hi Möm 日本"},
		{"utf-16", "\xfe\xff\x00h\x00i", "hi"},
		{"utf-16le", "h\x00i\x00", "hi"},
		{" \"UTF-8\" ", "é", "é"},
		{"ibm850", "\x82", "é"},
	} {
		if got := DecodeText(tt.charset, []byte(tt.in)); got != tt.want {
			t.Errorf("%s %q = %q, want %q", tt.charset, tt.in, got, tt.want)
		}
		r, _ := io.ReadAll(NewCharsetReader(strings.NewReader(tt.in), tt.charset))
		if string(r) != tt.want {
			t.Errorf("reader: %s %q = %q, want %q", tt.charset, tt.in, r, tt.want)
		}
	}
}

func TestHTMLText(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"plain", "plain"},
		{"<p>one</p><p>two</p>", "one\n\ntwo"},
		{"a<br>b<BR/>c", "a\nb\nc"},
		{"<b>bo</b>ld <i>x</i>", "bold x"},
		{"  many\r\n\t spaces  ", "many spaces"},
		{"<td>a</td><td>b</td>", "a b"},
		{"&lt;tag&gt; &amp; &eacute;&#233;&#xe9; &unknown; &amp", "<tag> & ééé &unknown; &"},
		{"a&nbsp;&zwnj;b", "a b"},
		{"<style>p{}</style><script>if (a<b) '</p>'</script><title>t</title>x", "x"},
		{"<STYLE type='a>b'>x</StYle >y", "y"},
		{"<!-- <p> -- > -->x<!-->y<!doctype html>z", "xyz"},
		{"<a href=\"x>y\" title='<'>link</a>", "link"},
		{"1 < 2 > 0 <3", "1 < 2 > 0 <3"},
		{"<pre>a\n  b\n</pre>c", "a\n  b\nc"},
		{"<svg><path/></svg>x<svg/>y", "xy"},
		{"<script>never closed", ""},
		{"<p never closed", ""},
		{"</3>x", "x"},
	} {
		got, _ := io.ReadAll(testReader(strings.NewReader(tt.in), "", "utf-8", true))
		if string(got) != tt.want {
			t.Errorf("%q = %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestPreview(t *testing.T) {
	long := strings.Repeat("wörd ", 100)
	for _, tt := range []struct{ in, want string }{
		{"\r\nHello,\r\n\r\n  this is\ta text.\r\n", "Hello, this is a text."},
		{"\r\n> quoted\r\nanswer\r\n-- \r\nsignature", "answer"},
		{"\r\nOn Monday, someone wrote:\r\n\r\n> quoted\r\n>> more\r\n\r\nMy answer.\r\n", "My answer."},
		{"\r\n> only a quote\r\n", "> only a quote"},
		{"\r\nText:\r\nno quote\r\n-----Original Message-----\r\nold", "Text: no quote"},
		{"Content-Type: text/html\r\n\r\n<style>x{}</style><h1>Title</h1><p>Text &amp; more</p>", "Title Text & more"},
		{"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\nR3LDvMOfZQ==\r\n", "Grüße"},
		{"Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nGr=FC=DFe", "Grüße"},
		{"\r\nGr\xfc\xdfe", "Grüße"},
		{"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: image/png\r\n\r\nx\r\n--b\r\n\r\n \r\n--b\r\nContent-Type: text/html\r\n\r\n<p>third</p>\r\n--b--", "third"},
		{"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Disposition: attachment\r\n\r\nnot this\r\n--b\r\n\r\nbut this\r\n--b--", "but this"},
		{"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--bb\r\ntwo\r\n--b--\r\nepilogue", "one"},
		{"\r\n" + long, strings.TrimSpace(strings.Repeat("wörd ", 40))},
		{"Content-Type: image/png\r\n\r\nx", ""},
		{"\r\n", ""},
	} {
		if got := Parse([]byte(tt.in)).Preview(); got != tt.want {
			t.Errorf("preview of %.80q\n got %q\nwant %q", tt.in, got, tt.want)
		}
	}
}

// testReader makes a TextReader for given properties of a part.
func testReader(r io.Reader, cte, charset string, html bool) io.Reader {
	t := new(TextReader)
	t.reset(r, cte, charset, html)
	return t
}

func TestTextReaderReset(t *testing.T) {
	var r TextReader
	parts := []struct {
		p    Part
		in   string
		want string
	}{
		{Part{Type: "text", Subtype: "html", Encoding: "base64"}, "PHA+w6k8YnI+", "é"},
		{Part{Type: "text", Subtype: "plain", Encoding: "quoted-printable"}, "=E9 =", "é "},
		{Part{Type: "text", Subtype: "html", Encoding: "quoted-printable"}, "<!-- never closed", ""},
		{Part{Type: "text", Subtype: "plain", Encoding: "7bit", Params: []Param{{"charset", "koi8-r"}}}, "\xef", "О"},
		{Part{Type: "text", Subtype: "plain", Encoding: "x-what"}, "caf\xc3\xa9", "café"},
	}
	for round := range 3 {
		for _, tt := range parts {
			r.Reset(&chunkReader{[]byte(tt.in), round + 1}, &tt.p)
			got, err := io.ReadAll(iotest{&r, round + 1})
			if err != nil || string(got) != tt.want {
				t.Errorf("round %d: %+v: %q, %v", round, tt.p, got, err)
			}
		}
	}
}

// iotest reads in small pieces.
type iotest struct {
	r io.Reader
	n int
}

func (i iotest) Read(p []byte) (int, error) { return i.r.Read(p[:min(len(p), i.n)]) }
