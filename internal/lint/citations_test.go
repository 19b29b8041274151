package lint

import (
	"fmt"
	"go/ast"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// Citations are written "RFC 9051 §6.4.8", "RFC 9051 §6.3.1 and §6.3.2", "RFC 5321
// §A": checked against the RFC texts where they are at hand. In transcripts a
// comment that starts with "§" belongs to the RFC named before it.
var (
	// The first group is the RFC, the second its sections.
	citeRE = regexp.MustCompile(`\bRFCs? (\d+)\b((?:,? ?(?:and|or|to|–|-)? ?§[0-9A-Z](?:[0-9.]*[0-9])?)*)`)
	secRE  = regexp.MustCompile(`§([0-9A-Z](?:[0-9.]*[0-9])?)`)
	// Spellings that the check would not see.
	oddRE = regexp.MustCompile(`(?i)\bRFC[-–]?\d{4}\b|\bRFC-\d+\b|\bRFC \d+(?:,| \(|:)? ?(?:section|sec\.|§ |, §)|\bsections? \d+(?:\.\d+)*,? of (?:\w+ )?RFC|§ +[0-9]`)
	// Where such a spelling is right: URLs, file names, protocol tokens.
	urlRE = regexp.MustCompile(`(?i)https?://\S+|[\w/]*rfc\d+\.(?:txt|html|md)\b|\bRFC822\b`)
)

func TestCitations(t *testing.T) {
	texts := rfcTexts()
	if texts == nil {
		t.Log("no RFC texts at hand (RFC_DIR, ../shared/rfc): checking the form of citations only")
	}
	check(t, func(tr *tree) []string { return citations(tr, texts) })
}

// rfcTexts finds the directory of the RFC texts, and gives a function that reads
// the sections of one: nil if it is not there.
func rfcTexts() func(rfc string) map[string]bool {
	for _, dir := range []string{os.Getenv("RFC_DIR"), filepath.Join(root(), "../shared/rfc"), filepath.Join(root(), "../../shared/rfc")} {
		if _, err := os.Stat(filepath.Join(dir, "rfc5321.txt")); err != nil {
			continue
		}
		var mu sync.Mutex
		read := map[string]map[string]bool{}
		return func(rfc string) map[string]bool {
			mu.Lock()
			defer mu.Unlock()
			s, ok := read[rfc]
			if !ok {
				if text, err := os.ReadFile(filepath.Join(dir, "rfc"+rfc+".txt")); err == nil {
					s = sections(string(text))
				}
				read[rfc] = s
			}
			return s
		}
	}
	return nil
}

func citations(tr *tree, sections func(rfc string) map[string]bool) []string {
	var out []string
	for _, f := range tr.files {
		for _, g := range f.ast.Comments {
			at := tr.at(f, g.Pos())
			out = append(out, cited(at, oneLine(g), sections)...)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(tr.texts)) {
		switch {
		case strings.HasSuffix(name, ".md"):
			for i, para := range paragraphs(tr.texts[name]) {
				out = append(out, cited(fmt.Sprintf("%s, paragraph %d", name, i+1), para, sections)...)
			}
		case strings.HasSuffix(name, ".txt") && name != exceptionsFile:
			out = append(out, citedTranscript(name, tr.texts[name], sections)...)
		}
	}
	return out
}

// oneLine gives the text of a comment, its lines joined.
func oneLine(g *ast.CommentGroup) string {
	var b strings.Builder
	for _, c := range g.List {
		text := strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(c.Text, "//"), "/*"), "*/")
		b.WriteString(strings.Join(strings.Fields(text), " "))
		b.WriteByte(' ')
	}
	return b.String()
}

func paragraphs(md string) []string {
	var out []string
	code := false
	for para := range strings.SplitSeq(md, "\n\n") {
		fences := strings.Count("\n"+para, "\n```")
		if !code && fences == 0 {
			out = append(out, strings.Join(strings.Fields(para), " "))
		} else {
			out = append(out, "")
		}
		if fences%2 == 1 {
			code = !code
		}
	}
	return out
}

func citedTranscript(name, text string, sections func(string) map[string]bool) []string {
	var out []string
	rfc := ""
	i := 0
	for line := range strings.Lines(text) {
		i++
		if !strings.HasPrefix(line, "#") {
			continue
		}
		line = strings.TrimSpace(line[1:])
		if strings.HasPrefix(line, "§") && rfc != "" {
			line = "RFC " + rfc + " " + line
		}
		if m := citeRE.FindStringSubmatch(line); m != nil {
			rfc = m[1]
		}
		out = append(out, cited(fmt.Sprintf("%s:%d", name, i), line, sections)...)
	}
	return out
}

// cited checks the citations of one comment or paragraph.
func cited(at, text string, sections func(string) map[string]bool) []string {
	if !strings.Contains(text, "RFC") && !strings.Contains(text, "rfc") {
		return nil
	}
	var out []string
	if odd := oddRE.FindString(urlRE.ReplaceAllString(text, "")); odd != "" {
		out = append(out, fmt.Sprintf("%s: %q: write citations as \"RFC 9051 §6.4.8\"", at, odd))
	}
	if sections == nil {
		return out
	}
	for _, m := range citeRE.FindAllStringSubmatch(text, -1) {
		secs := sections(m[1])
		if secs == nil { // its text is not at hand
			continue
		}
		for _, s := range secRE.FindAllStringSubmatch(m[2], -1) {
			if !secs[s[1]] {
				out = append(out, fmt.Sprintf("%s: RFC %s has no §%s: its neighbours are %s", at, m[1], s[1], neighbours(secs, s[1])))
			}
		}
	}
	return out
}

func neighbours(secs map[string]bool, want string) string {
	parent := want
	if i := strings.LastIndexByte(want, '.'); i >= 0 {
		parent = want[:i]
	}
	var near []string
	for s := range secs {
		if strings.HasPrefix(s, parent+".") && strings.Count(s, ".") == strings.Count(want, ".") || !strings.Contains(want, ".") && !strings.Contains(s, ".") {
			near = append(near, s)
		}
	}
	slices.SortFunc(near, func(a, b string) int {
		if len(a) != len(b) {
			return len(a) - len(b)
		}
		return strings.Compare(a, b)
	})
	if len(near) == 0 {
		return "none"
	}
	return "§" + strings.Join(near, ", §")
}

// Headings of RFCs: "6.4.8.  MOVE Command" at the left edge, "  6.4.8.  MOVE
// Command . . . 73" in the table of contents, "Appendix A." in both.
var (
	edgeRE   = regexp.MustCompile(`(?m)^(?:(?i:Appendix) )?((?:\d{1,2}|[A-Z])(?:\.\d{1,2})*)[.:]? +\S`)
	bareRE   = regexp.MustCompile(`(?m)^ *APPENDIX ([A-Z])\.?$`)
	tocRE    = regexp.MustCompile(`(?m)^ {0,12}(?:(?i:Appendix) )?((?:\d{1,2}|[A-Z])(?:\.\d{1,2})*)[.:]? .*(?:\. ?\.|  )\s*\d{1,3}$`)
	deepRE   = regexp.MustCompile(`(?m)^ {1,12}((?:\d{1,2}|[A-Z])(?:\.\d{1,2}){2,})\.? +\S`)
	indentRE = regexp.MustCompile(`(?m)^ {1,12}((?:\d{1,2}|[A-Z])(?:\.\d{1,2})*)\. +\S`)
)

// sections lists the section numbers of an RFC's text.
func sections(text string) map[string]bool {
	text = strings.ReplaceAll(text, "\r", "")
	s := map[string]bool{}
	add := func(re *regexp.Regexp, fits func(sec string) bool) {
		for _, m := range re.FindAllStringSubmatch(text, -1) {
			if fits(m[1]) {
				s[m[1]] = true
			}
		}
	}
	always := func(string) bool { return true }
	add(edgeRE, always)
	add(tocRE, always)
	add(bareRE, always)
	// Old and small RFCs indent headings: there a number counts if it follows one.
	follows := func(sec string) bool {
		i := strings.LastIndexByte(sec, '.')
		n, err := strconv.Atoi(sec[i+1:])
		return err == nil && (n == 1 && (i < 0 || s[sec[:i]]) || s[sec[:i+1]+strconv.Itoa(n-1)])
	}
	if len(s) < 8 {
		add(indentRE, follows)
	}
	gap := func(sec string) bool { // a hole between headings that are sure
		n, err := strconv.Atoi(sec)
		return err == nil && s[strconv.Itoa(n+1)]
	}
	add(indentRE, gap)
	add(deepRE, func(sec string) bool { return s[sec[:strings.LastIndexByte(sec, '.')]] })
	return s
}

func TestCitationsRules(t *testing.T) {
	rfc := func(n string) map[string]bool {
		if n != "5321" {
			return nil
		}
		return map[string]bool{"4": true, "4.5": true, "4.5.1": true, "4.5.2": true, "A": true}
	}
	for _, c := range []struct{ text, want string }{
		{"as RFC 5321 §4.5.2 has it", ""},
		{"as RFC 5321\n// §4.5.2 has it", ""},
		{"see RFC\n// 5321 §4.5.9.", "RFC 5321 has no §4.5.9: its neighbours are §4.5.1, §4.5.2"},
		{"RFC 5321 §4.5.1, §4.5.2 and §A", ""},
		{"RFC 5321 §4.5.1, §4.5.2 and §B", "has no §B"},
		{"RFC 5321 §4.5.1–§4.5.3", "has no §4.5.3"},
		{"RFC 5321 is the base; store.md §9 the rest", ""},
		{"RFC 1 §99", ""},
		{"RFC5321 §4", "write citations as"},
		{"rfc 5321, section 4.5", "write citations as"},
		{"RFC 5321 § 4", "write citations as"},
		{"section 4.5 of RFC 5321", "write citations as"},
		{"https://www.rfc-editor.org/rfc/rfc5321.txt, RFC822.SIZE, message/rfc822", ""},
	} {
		finds(t, citations(of(t, map[string]string{"x/a.go": "package x\n\n// " + c.text + "\n"}), rfc), c.want)
	}
	finds(t, citations(of(t, map[string]string{"a.md": "x RFC 5321\n§4.9 x\n"}), rfc), "has no §4.9")
	finds(t, citations(of(t, map[string]string{"x/testdata/a.txt": "# RFC 5321 §4: x\nC: x\n# §4.8: y\n"}), rfc), "a.txt:3: RFC 5321 has no §4.8")
}

func TestSections(t *testing.T) {
	texts := rfcTexts()
	if texts == nil {
		t.Skip("no RFC texts at hand")
	}
	for _, c := range []struct{ rfc, has, not string }{
		{"821", "3.1 4.1.1 4.2.1 4.5.2 E", "6 4.6"},
		{"822", "3.2 4.4.2 6.1", "9"},
		{"1939", "5 7 11", "16"},
		{"2033", "4.2 8 9", "10"},
		{"2046", "5.1.1 8", "10"},
		{"2088", "4 6 8", "5 9"},
		{"2342", "5 9", "10 13"},
		{"3501", "2.3.1.1 6.3.11 7.4.2 9", "6.4.10 14"},
		{"5321", "2.3.8 4.1.1.1 4.5.3.1.10 A D.1 F", "4.5.6 8.9 G"},
		{"6851", "3.3 4.3 4.5 9", "4.6 10"},
		{"7162", "3.2.5.1 7 10.1", "3.3 11"},
		{"9051", "2.3.1.1 6.4.8 7.5.2 A A.1", "6.5.1 15"},
	} {
		secs := texts(c.rfc)
		for s := range strings.FieldsSeq(c.has) {
			if !secs[s] {
				t.Errorf("RFC %s: §%s not found", c.rfc, s)
			}
		}
		for s := range strings.FieldsSeq(c.not) {
			if secs[s] {
				t.Errorf("RFC %s: §%s found", c.rfc, s)
			}
		}
	}
}
