package jmap

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"posthouse/jmap/wire"
)

// A transcript is a JSON file: what it shows, with its citation, and steps. Each is a
// request (a whole one, or the calls of one, or raw text) and what must be in the
// answer, by JSON pointers, in which "#name" stands for the id of what was created by that
// name; null says that a pointer leads to null, "*" to anything
// and "-" to nothing. "$name" in a request stands for the id of that mailbox.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d transcripts, %v", len(files), err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".json"), func(t *testing.T) { play(t, name) })
	}
}

func play(t *testing.T, name string) {
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, Options{Limits: Limits{Calls: 4, Get: 5, Set: 3, RequestBytes: 4000, SortKeys: 3, Conditions: 8, FilterDepth: 3}})
	for i := range 4 {
		more := ""
		if i == 3 {
			more = "In-Reply-To: <0@demo.test>\n"
		}
		r.deliver("INBOX", strings.Replace(letter(i, more), "letter 3", "Re: letter 0", 1))
	}
	text := string(b)
	for box, id := range r.boxes() {
		text = strings.ReplaceAll(text, "$"+box, id)
	}
	v, err := wire.Parse([]byte(text), wire.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if what, _ := at(t, v, "/what").(string); !strings.HasPrefix(what, "RFC ") {
		t.Errorf("%q cites nothing", what)
	}
	for i, s := range at(t, v, "/steps").([]any) {
		step(t, r, i, s.(map[string]any))
	}
}

func step(t *testing.T, r *rig, i int, s map[string]any) {
	t.Helper()
	body, isRaw := s["raw"].(string)
	if !isRaw {
		req, whole := s["request"].(map[string]any)
		if !whole {
			using := []any{}
			for _, c := range allCapabilities {
				using = append(using, c)
			}
			req = map[string]any{"using": using, "methodCalls": s["calls"]}
		}
		body = string(wire.Append(nil, req))
	}
	w := r.do("POST", "/jmap/api", body)
	status := int64(200)
	if n, given := s["status"].(int64); given {
		status = n
	}
	if int64(w.Code) != status {
		t.Fatalf("step %d: %d %s", i, w.Code, w.Body)
	}
	got, err := wire.Parse(w.Body.Bytes(), wire.Limits{})
	if err != nil {
		t.Fatalf("step %d: %v in %s", i, err, w.Body)
	}
	made := createdIn(got)
	for path, want := range s["has"].(map[string]any) {
		path = made.Replace(path)
		have, there := wire.Pointer(got, path)
		switch {
		case want == "-" && !there, want == "*" && there && have != nil:
		case there && want != "-" && string(wire.Append(nil, have)) == string(wire.Append(nil, want)):
		default:
			t.Errorf("step %d: %s is %s, want %s in\n%s", i, path, wire.Append(nil, have), wire.Append(nil, want), w.Body)
		}
	}
}

// createdIn replaces "/#name" by the id that an answer gives to a creation.
func createdIn(answer any) *strings.Replacer {
	var pairs []string
	o, _ := answer.(map[string]any)
	list, _ := o["methodResponses"].([]any)
	for _, r := range list {
		created, _ := wire.Pointer(r, "/1/created")
		all, _ := created.(map[string]any)
		for name, v := range all {
			if id, ok := v.(map[string]any)["id"].(string); ok {
				pairs = append(pairs, "/#"+name+"/", "/"+id+"/")
			}
		}
	}
	return strings.NewReplacer(pairs...)
}

func FuzzRequest(f *testing.F) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		v, err := wire.Parse(b, wire.Limits{})
		if err != nil {
			f.Fatal(err)
		}
		for _, s := range at(f, v, "/steps").([]any) {
			f.Add(wire.Append(nil, map[string]any{"using": stringsAny(allCapabilities), "methodCalls": s.(map[string]any)["calls"]}))
		}
	}
	r := newRig(f, Options{Limits: Limits{UserPerMinute: -1, Set: 4, Get: 20}})
	r.deliver("INBOX", letter(1, ""))
	who := &principal{account: ada, base: "http://x"}
	f.Fuzz(func(t *testing.T, b []byte) {
		out, refusal := r.srv.answer(t.Context(), who, b)
		if refusal != nil {
			return
		}
		if _, err := wire.Parse(out, wire.Limits{Depth: 1000}); err != nil {
			t.Fatalf("%q: %v in %q", b, err, out)
		}
		if strings.Contains(string(out), `"serverFail"`) {
			t.Fatalf("%q: %s", b, out)
		}
	})
}

func stringsAny(list []string) []any {
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = s
	}
	return out
}
