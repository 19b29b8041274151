package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]any{
		`null`: nil, ` true `: true, `-0`: int64(0), `12`: int64(12), `1.0`: int64(1), `1e3`: int64(1000), `1.5`: 1.5,
		`9007199254740991`: int64(MaxInt), `9007199254740993`: 9007199254740992.0,
		`"a\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00"`: "a\"\\/\b\f\n\r\té😀",
		`[1,[],{}]`:                             []any{int64(1), []any{}, map[string]any{}},
		`{"a":{"b":null},"c":"x"}`:              map[string]any{"a": map[string]any{"b": nil}, "c": "x"},
	} {
		if got, err := Parse([]byte(text), Limits{}); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %#v, %v", text, got, err)
		}
	}
	for _, text := range []string{``, `tru`, `nullx`, `01`, `-`, `1.`, `.5`, `1e`, `+1`, `"a`, "\"a\n\"", `"\x"`, `"\u12"`, `"\ud800"`, `"\ud800\u0041"`,
		`"\udc00"`, `[1,]`, `[,]`, `[1 2]`, `{"a"}`, `{"a":1,}`, `{a:1}`, `{"a":1,"a":2}`, "\"\xff\"", `[]]`, `1e999`, `NaN`, "\ufeff{}"} {
		if got, err := Parse([]byte(text), Limits{}); !errors.Is(err, ErrNotJSON) {
			t.Errorf("%q: %#v, %v", text, got, err)
		}
	}
	if _, err := Parse([]byte(strings.Repeat("[", 65)+strings.Repeat("]", 65)), Limits{}); !errors.Is(err, ErrTooDeep) {
		t.Error("depth:", err)
	}
	if _, err := Parse([]byte(`[`+strings.Repeat("1,", 20)+`1]`), Limits{Values: 21}); !errors.Is(err, ErrTooMany) {
		t.Error("values:", err)
	}
}

func TestAppend(t *testing.T) {
	v := Object{{"z", 1}, {"a", []string{"x", "</script>"}}, {"m", map[string]bool{"b": true, "a": false}}, {"o", []Object{{{"n", nil}}}},
		{"f", 1.5}, {"r", Raw(`[1]`)}, {"u", "\u2028\x01\xffé"}, {"i", []any{int64(-1), uint32(2), uint64(3)}}}
	want := `{"z":1,"a":["x","\u003c/script>"],"m":{"a":false,"b":true},"o":[{"n":null}],"f":1.5,"r":[1],"u":"\u2028\u0001` + "\uFFFDé" + `","i":[-1,2,3]}`
	if got := string(Append(nil, v)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	back, err := Parse([]byte(want), Limits{})
	plain := Plain(v).(map[string]any)
	plain["u"] = "\u2028\x01\uFFFDé"
	if err != nil || !reflect.DeepEqual(back, any(plain)) {
		t.Errorf("plain: %v\n%v", back, plain)
	}
}

func TestPointer(t *testing.T) {
	v := Object{{"list", []Object{{{"id", "a"}, {"ids", []string{"1", "2"}}}, {{"id", "b"}, {"ids", []string{"3"}}}}}, {"a/b", 1}, {"m~n", 2}}
	for path, want := range map[string]any{
		"/list/*/id": []any{"a", "b"}, "/list/*/ids": []any{"1", "2", "3"}, "/list/1/id": "b", "/a~1b": int64(1), "/m~0n": int64(2),
	} {
		if got, ok := Pointer(v, path); !ok || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, %v", path, got, ok)
		}
	}
	for _, path := range []string{"list", "/none", "/list/2", "/list/-1", "/list/01", "/list/*/none", "/a~1b/x", "/list/x"} {
		if got, ok := Pointer(v, path); ok {
			t.Errorf("%s: %v", path, got)
		}
	}
}

func TestTypes(t *testing.T) {
	structs := Structs{"Addr": {Name: "Addr", Members: []Field{{"name?", "String|null"}, {"email", "String"}}}}
	for _, c := range []struct {
		notation string
		good     []string
		bad      []string
	}{
		{"Id[Boolean]|null", []string{`null`, `{}`, `{"a-1":true}`}, []string{`{"a b":true}`, `{"a":1}`, `[]`, `"a"`}},
		{"Addr[]", []string{`[]`, `[{"email":"x"}]`, `[{"email":"x","name":null}]`}, []string{`[{}]`, `[{"email":"x","other":1}]`, `{}`, `null`, `[null]`}},
		{"UTCDate", []string{`"2026-11-23T10:00:00Z"`, `"2026-11-23T10:00:00.5Z"`}, []string{`"2026-11-23T10:00:00+01:00"`, `"x"`, `1`, `"2026-11-23T10:00:00,5Z"`}},
		{"Date", []string{`"2026-11-23T10:00:00+01:00"`}, []string{`"2026-11-23"`}},
		{"UnsignedInt", []string{`0`, `1.0`}, []string{`-1`, `1.5`, `"1"`, `true`}},
		{"Id", []string{`"#k1"`, `"M1"`}, []string{`""`, `"#"`, `"a.b"`, `"` + strings.Repeat("a", 256) + `"`}},
		{"String[][Addr|null]", []string{}, []string{`null`}},
	} {
		typ := CompileType(c.notation, structs)
		for i, text := range append(c.good, c.bad...) {
			v, err := Parse([]byte(text), Limits{})
			if err != nil {
				t.Fatal(text, err)
			}
			if typ.Valid(v) != (i < len(c.good)) {
				t.Errorf("%s of %s", text, c.notation)
			}
		}
	}
	for notation, want := range map[string]string{"Id[Boolean]|null": "Record<Id, boolean> | null", "EmailAddress[]": "EmailAddress[]",
		"Id[String|null]": "Record<Id, string | null>", "UnsignedInt": "number", "Id[Id[]]": "Record<Id, Id[]>"} {
		if got := TypeScript(notation); got != want {
			t.Errorf("%s: %s, want %s", notation, got, want)
		}
	}
}

// FuzzParse: what we take encoding/json takes, with the same meaning, and what we
// write we read again.
func FuzzParse(f *testing.F) {
	for _, s := range []string{`{"using":["a"],"methodCalls":[["Core/echo",{"x":[1,2.5,"\u00e9\ud83d\ude00"]},"c"]]}`, `[[[]]]`, `"\ud800"`, `{"a":1,"a":2}`, `-1e-5`, `1e400`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := Parse(b, Limits{})
		if err != nil {
			return
		}
		if !json.Valid(b) {
			t.Fatalf("%q is no JSON", b)
		}
		out := Append(nil, v)
		again, err := Parse(out, Limits{})
		if err != nil || !reflect.DeepEqual(v, again) {
			t.Fatalf("%q: %#v, again %#v, %v", b, v, again, err)
		}
		if !bytes.Equal(out, Append(nil, again)) {
			t.Fatalf("%q is written in two ways", b)
		}
	})
}

// FuzzPointer: any pointer leads somewhere or nowhere in any value, and collects no more
// than it may; a token that is escaped means itself.
func FuzzPointer(f *testing.F) {
	for _, s := range [][2]string{{`{"list":[{"id":"a","n":[1,2]},{"id":"b","n":[]}]}`, "/list/*/n"}, {`[[[1]],[[2]]]`, "/*/*/*"}, {`{"a/b":{"~":1}}`, "/a~1b/~0"}, {`[1]`, "/-1"}, {`[]`, "/*/*"}, {`{"":{"":1}}`, "//"}, {`7`, "x"}} {
		f.Add([]byte(s[0]), s[1])
	}
	f.Fuzz(func(t *testing.T, doc []byte, path string) {
		v, err := Parse(doc, Limits{})
		if err != nil {
			return
		}
		got, ok := Pointer(v, path)
		if list, many := got.([]any); ok && many && strings.Contains(path, "*") && len(list) > maxPointed+len(doc) {
			t.Errorf("%d elements", len(list))
		}
		if one, ok := Pointer(map[string]any{path: v}, "/"+Escape(path)); !ok || !reflect.DeepEqual(one, Plain(v)) {
			t.Errorf("%q is not found: %v", path, one)
		}
	})
}
