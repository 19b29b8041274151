package render

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
)

// vectors are the lines of the hostile corpus.
func vectors(t testing.TB) []string {
	t.Helper()
	b, err := os.ReadFile("testdata/hostile.txt")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for l := range strings.SplitSeq(strings.TrimSpace(string(b)), "\n") {
		if !strings.HasPrefix(l, "#") {
			out = append(out, l)
		}
	}
	return out
}

// inspect parses output as a browser does and reports what must not be there.
func inspect(out string) []string {
	doc, err := html.Parse(strings.NewReader(`<!doctype html><html><head></head><body class="m-body">` + out + `</body></html>`))
	if err != nil {
		return []string{err.Error()}
	}
	var bad []string
	for n := range doc.Descendants() {
		if n.Type == html.CommentNode {
			bad = append(bad, "comment")
		}
		if n.Type == html.TextNode && n.Parent.Data == "style" {
			if s := badCSS(n.Data); s != "" || strings.Contains(n.Data, "<") {
				bad = append(bad, "style sheet "+s)
			}
		}
		if n.Type != html.ElementNode || n.Data == "html" || n.Data == "head" || n.Data == "body" && len(n.Attr) <= 1 {
			continue
		}
		if n.Namespace != "" || !allowed[n.Data] && n.Data != "style" {
			bad = append(bad, "element "+n.Data)
		}
		for _, a := range n.Attr {
			if s := badAttr(n, a); s != "" {
				bad = append(bad, s)
			}
		}
	}
	return bad
}

func badCSS(css string) string {
	low := strings.ToLower(css)
	for _, w := range []string{"@import", "@font", "fixed", "absolute", "sticky", "expression", "behavior", "binding", "image-set", "\\", "http:", "https:", "javascript", "var(", "content:"} {
		if strings.Contains(low, w) {
			return w
		}
	}
	return ""
}

func badAttr(n *html.Node, a html.Attribute) string {
	switch a.Key {
	case "href":
		if n.Data != "a" {
			return "href on " + n.Data
		}
		low := strings.ToLower(a.Val)
		if !strings.HasPrefix(low, "http:") && !strings.HasPrefix(low, "https:") && !strings.HasPrefix(low, "mailto:") && !strings.HasPrefix(low, "tel:") && !strings.HasPrefix(low, "#m-") {
			return "href " + a.Val
		}
		if strings.HasPrefix(low, "#") {
			return ""
		}
		for _, b := range n.Attr {
			if b.Key == "rel" && b.Val == "noopener noreferrer" {
				return ""
			}
		}
		return "link without rel"
	case "src":
		if n.Data != "img" || !strings.HasPrefix(a.Val, "data:image/") && !strings.HasPrefix(a.Val, "/i/") {
			return "src " + a.Val
		}
	case "style":
		if s := badCSS(a.Val); s != "" {
			return "style " + s
		}
	case "class", "id":
		for _, c := range strings.Fields(a.Val) {
			if !strings.HasPrefix(c, "m-") && c != "ph-quote" && c != "ph-text" && c != "ph-mono" && c != "ph-q" && c != "ph-sig" {
				return a.Key + " " + a.Val
			}
		}
	case "target", "rel", "loading", "decoding", "data-blocked", "data-inert":
	default:
		if strings.HasPrefix(a.Key, "on") || !attributes[a.Key] {
			return "attribute " + a.Key
		}
	}
	return ""
}

// Nothing of the hostile corpus comes out in a form that does anything, one by one
// and all in one message.
func TestHostile(t *testing.T) {
	all := vectors(t)
	for _, v := range append(all, strings.Join(all, "\n")) {
		for _, o := range []Options{{}, {Image: func(string) string { return "/i/x" }, Part: func(string) string { return "/i/y" }}} {
			r := HTML(v, o)
			if bad := inspect(string(r.HTML)); len(bad) > 0 {
				t.Errorf("%.200s\n gives %.300s\n %v", v, r.HTML, bad)
			}
		}
	}
}

func TestKeeps(t *testing.T) {
	image := func(u string) string { return "/i/" + u[len("https://"):len("https://")+3] }
	for in, want := range map[string]string{
		`<p>a<p>b`:                               `<p>a</p><p>b</p>`,
		`<ul><li>a<li>b</ul>`:                    `<ul><li>a</li><li>b</li></ul>`,
		`<table><tr><td>a<td>b<tr><td>c</table>`: `<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>`,
		`<b><i>x</b>y`:                           `<b><i>x</i></b>y`,
		`<td></div>x`:                            `<td>x</td>`,
		`</p>x</div>`:                            `x`,
		`<a href=https://x.example/a?b&amp;c>l</a>`:                     `<a href="https://x.example/a?b&amp;c" target="_blank" rel="noopener noreferrer">l</a>`,
		`<a href="#top">l</a><a name=top>`:                              `<a href="#m-top">l</a><a id="m-top"></a>`,
		`<div style="color:red;position:fixed;Margin : 0 !important">x`: `<div style="color:red;margin:0 !important">x</div>`,
		`<style>.a, #b > p:hover{color:red} body{margin:0}</style>x`:    "<style>.m-a,#m-b > p:hover{color:red}\n.m-body{margin:0}\n</style>x",
		`<style>@media (max-width: 600px){.a{width:100%}}</style>`:      "<style>@media (max-width: 600px){.m-a{width:100%}\n}\n</style>",
		`<img src=https://abc.example/x.png width=10>`:                  `<img width="10" src="/i/abc" loading="lazy" decoding="async">`,
		`<p style="background:url(https://abc.example/x.png) red">`:     `<p style="background:url(&#34;/i/abc&#34;) red"></p>`,
		`<body bgcolor=red style="margin:0">x</body>y`:                  `<div bgcolor="red" style="margin:0" class="m-body">xy</div>`,
		`a<blockquote type=cite>b</blockquote>c`:                        `a` + foldStart + `<blockquote>b</blockquote></details>c`,
		`<blockquote type=cite>b</blockquote>`:                          `<blockquote>b</blockquote>`,
		"a\x00\x01b&lt;":                                                "ab&lt;",
	} {
		if got := string(HTML(in, Options{Image: image}).HTML); got != want {
			t.Errorf("%s\n got %s\nwant %s", in, got, want)
		}
	}
}

func TestCounts(t *testing.T) {
	r := HTML(`<p>Please <a href="http://198.51.100.7/login"> https://www.paypal.com/login </a><form><input type=password><button>Log in</button></form>
<img src=http://a.example/b.png width=600><img src="http://x.list-manage.com/track/open.php?u=1"><img src=http://t.example/p.gif width=1 height=1><img src=http://t.example/p2.gif width=1 height=1>
<div style="background:url(http://a.example/c.png)"><meta name="color-scheme" content="light dark">`, Options{})
	if r.Blocked != 2 || r.Proxied != 0 || r.Forms != 2 || !r.Dark || !slices.Equal(r.Trackers, []Tracker{{"Mailchimp", "x.list-manage.com"}, {"t.example", "t.example"}}) ||
		!slices.Equal(r.Links, []Link{{"https://www.paypal.com/login", "http://198.51.100.7/login"}}) {
		t.Errorf("%+v", r)
	}
}

func TestPlain(t *testing.T) {
	for in, want := range map[string]string{
		"a\nb":      `<div dir="auto">a</div><div dir="auto">b</div>`,
		"a \nb":     `<div dir="auto">a b</div>`,
		"<b>&":      `<div dir="auto">&lt;b&gt;&amp;</div>`,
		"> q\na":    `<blockquote class="ph-q" dir="auto"><div dir="auto">q</div></blockquote><div dir="auto">a</div>`,
		"x\n-- \nS": `<div dir="auto">x</div><div class="ph-sig"><div dir="auto">-- </div><div dir="auto">S</div></div>`,
		"Yes.\n\nOn Monday Ada wrote:\n> q\n>> r": `<div dir="auto">Yes.</div><br>` + foldStart + `<div dir="auto">On Monday Ada wrote:</div>` +
			`<blockquote class="ph-q" dir="auto"><div dir="auto">q</div><blockquote class="ph-q" dir="auto"><div dir="auto">r</div></blockquote></blockquote></details>`,
		"see https://x.example/a_(b), ok": `<div dir="auto">see <a href="https://x.example/a_(b)" target="_blank" rel="noopener noreferrer">https://x.example/a_(b)</a>, ok</div>`,
		"ada@demo.test.":                  `<div dir="auto"><a href="mailto:ada@demo.test" target="_blank" rel="noopener noreferrer">ada@demo.test</a>.</div>`,
	} {
		want = `<div class="ph-text" dir="auto">` + want + `</div>`
		got := string(Plain(in, Flowed, Options{}).HTML)
		if got != want {
			t.Errorf("%q\n got %s\nwant %s", in, got, want)
		}
		if bad := inspect(got); len(bad) > 0 {
			t.Error(in, bad)
		}
	}
	if got := string(Plain("a \nb", FlowedDelSp, Options{}).HTML); !strings.Contains(got, ">ab<") {
		t.Error("DelSp:", got)
	}
	if got := string(Plain("diff --git a b\n", Fixed, Options{}).HTML); !strings.Contains(got, "ph-mono") {
		t.Error(got)
	}
}

// What is deep, wide or endless ends at its limit, and soon.
func TestBounds(t *testing.T) {
	for name, in := range map[string]string{
		"deep":       strings.Repeat("<div>", 200_000),
		"tables":     strings.Repeat("<table><tr><td>", 50_000),
		"attributes": "<p " + strings.Repeat("a=b ", 500_000) + ">",
		"class":      `<p class="` + strings.Repeat("a ", 1_000_000) + `">`,
		"style":      "<style>" + strings.Repeat("p{color:red}", 100_000) + "</style>",
		"nested css": "<style>" + strings.Repeat("@media x{", 100_000) + "</style>",
		"parens":     `<p style="width:` + strings.Repeat("calc(", 20_000) + `">`,
		"links":      strings.Repeat("<a href=http://x.example>x", 50_000),
		"quotes":     strings.Repeat("a<blockquote type=cite>", 50_000),
		"open":       strings.Repeat("<b><i></b>", 100_000),
		"comment":    "<!--" + strings.Repeat("-->a<!--", 200_000),
		"text":       strings.Repeat("<", 1<<20),
	} {
		began := time.Now()
		r := HTML(in, Options{})
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("%s: %v", name, took)
		}
		if len(r.HTML) > 8*len(in)+1000 {
			t.Errorf("%s: %d bytes of %d", name, len(r.HTML), len(in))
		}
		began = time.Now()
		Plain(strings.ReplaceAll(in, "<div>", ">"), FlowedDelSp, Options{})
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("%s as text: %v", name, took)
		}
	}
}

func FuzzHTML(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, src string) {
		r := HTML(src, Options{Image: func(string) string { return "/i/x" }, Part: func(string) string { return "/i/y" }})
		if bad := inspect(string(r.HTML)); len(bad) > 0 {
			t.Errorf("%q\n gives %q\n %v", src, r.HTML, bad)
		}
	})
}

func FuzzPlain(f *testing.F) {
	f.Add("a \n> b\n-- \nwww.x.example", uint8(1))
	f.Fuzz(func(t *testing.T, src string, flowed uint8) {
		r := Plain(src, Format(flowed%3), Options{})
		if bad := inspect(string(r.HTML)); len(bad) > 0 {
			t.Errorf("%q\n gives %q\n %v", src, r.HTML, bad)
		}
	})
}
