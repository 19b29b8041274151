package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// A Key is one row of the table that the structs make: a key of the file.
type Key struct {
	Name    string // "limits.message"
	Section string // "limits"; "" at the top
	Type    string // "size"
	Default string // as it is written in the file
	Allowed string // what may stand there
	Doc     string
	Why     string // the reason of the default; may be ""
	Live    bool   // a reload applies it

	index []int // of the field
	off   bool  // may be switched off
}

// Keys returns every key in the order of the file.
func Keys() []Key {
	def := reflect.ValueOf(Default())
	return appendKeys(nil, def, "", nil)
}

func appendKeys(keys []Key, v reflect.Value, section string, index []int) []Key {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		at := append(append([]int(nil), index...), i)
		name := f.Tag.Get("toml")
		if f.Type.Kind() == reflect.Struct {
			keys = appendKeys(keys, v.Field(i), name, at)
			continue
		}
		k := Key{
			Name: name, Section: section, Doc: f.Tag.Get("doc"), Why: f.Tag.Get("why"), Live: f.Tag.Get("live") == "yes",
			Default: spell(v.Field(i)), index: at, off: f.Tag.Get("off") != "no",
		}
		if section != "" {
			k.Name = section + "." + name
		}
		k.Type, k.Allowed = describe(f.Type, k.off)
		if a := f.Tag.Get("values"); a != "" {
			k.Allowed = a
		}
		keys = append(keys, k)
	}
	return keys
}

// describe names the type of a key and what it allows.
func describe(t reflect.Type, off bool) (name, allowed string) {
	orOff := ""
	if off {
		orOff = ", or 0 or \"off\""
	}
	switch reflect.New(t).Interface().(type) {
	case *Count:
		return "number", "a whole number" + orOff
	case *Size:
		return "size", "bytes, or as \"64 kB\", \"50 MB\", \"2 GB\"" + orOff
	case *Duration:
		return "time", "as \"90s\", \"30m\", \"4h\", \"5d\"" + orOff
	case *[]Duration:
		return "list of times", "as [\"5m\", \"1h\"]"
	case *bool:
		return "boolean", "true, false"
	case *string:
		return "string", "any text"
	case *[]string:
		return "list of strings", "as [\"a\", \"b\"]"
	case *map[string]string:
		return "table", "name = \"value\""
	}
	panic("config: no description of " + t.String())
}

// spell writes a value as the file has it.
func spell(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case Count:
		if x == Off {
			return `"off"`
		}
		return x.String()
	case Size, Duration:
		return strconv.Quote(fmt.Sprint(x))
	case string:
		return strconv.Quote(x)
	case bool:
		return strconv.FormatBool(x)
	case []string:
		quoted := make([]string, len(x))
		for i, s := range x {
			quoted[i] = strconv.Quote(s)
		}
		return "[" + strings.Join(quoted, ", ") + "]"
	case []Duration:
		quoted := make([]string, len(x))
		for i, d := range x {
			quoted[i] = strconv.Quote(d.String())
		}
		return "[" + strings.Join(quoted, ", ") + "]"
	case map[string]string:
		return "{}"
	}
	panic("config: cannot spell " + v.Type().String())
}

// assign puts a decoded TOML value into the field of key k.
func (k Key) assign(c *Config, value any) error {
	p := reflect.ValueOf(c).Elem().FieldByIndex(k.index).Addr().Interface()
	switch p := p.(type) {
	case *bool:
		return assignAs(p, value)
	case *string:
		return assignAs(p, value)
	case *[]string:
		list, err := stringsOf(value)
		*p = list
		return err
	case *[]Duration:
		list, err := stringsOf(value)
		if err != nil {
			return err
		}
		*p = make([]Duration, len(list))
		for i, s := range list {
			if err := (*p)[i].parse(s); err != nil || (*p)[i] == Off {
				return errDuration(s)
			}
		}
		return nil
	case *map[string]string:
		return assignTable(p, value)
	case parser:
		return k.parse(p, value)
	}
	panic("config: cannot assign " + k.Name)
}

type parser interface{ parse(string) error }

func (k Key) parse(p parser, value any) error {
	var s string
	switch v := value.(type) {
	case string:
		s = strings.TrimSpace(v)
	case int64:
		s = strconv.FormatInt(v, 10)
	default:
		return errType(value)
	}
	if !k.off && isOff(s) {
		return &valueError{s, "allowed: this cannot be switched off"}
	}
	return p.parse(s)
}

func assignAs[T any](p *T, value any) error {
	v, ok := value.(T)
	if !ok {
		return errType(value)
	}
	*p = v
	return nil
}

func stringsOf(value any) ([]string, error) {
	items, ok := value.([]any)
	if !ok {
		return nil, errType(value)
	}
	list := make([]string, len(items))
	for i, item := range items {
		if list[i], ok = item.(string); !ok {
			return nil, errType(item)
		}
	}
	return list, nil
}

func assignTable(p *map[string]string, value any) error {
	table, ok := value.(map[string]any)
	if !ok {
		return errType(value)
	}
	*p = make(map[string]string, len(table))
	for name, item := range table {
		s, ok := item.(string)
		if !ok {
			return errType(item)
		}
		(*p)[name] = s
	}
	return nil
}

func errType(value any) error {
	name := "a date"
	switch value.(type) {
	case string:
		name = "a string"
	case int64:
		name = "a number"
	case float64:
		name = "a number with a fraction"
	case bool:
		name = "true or false"
	case []any:
		name = "a list"
	case map[string]any:
		name = "a table"
	}
	return fmt.Errorf("this is %s", name)
}

// TakeLive gives c the values of new where a reload applies them, and writes nothing else.
func (c *Config) TakeLive(new Config) {
	to, from := reflect.ValueOf(c).Elem(), reflect.ValueOf(new)
	for _, k := range Keys() {
		if k.Live {
			to.FieldByIndex(k.index).Set(from.FieldByIndex(k.index))
		}
	}
}

// Changed returns the names of the keys whose values differ, those that a reload
// applies and those that wait for the next start.
func Changed(old, new Config) (live, later []string) {
	a, b := reflect.ValueOf(old), reflect.ValueOf(new)
	for _, k := range Keys() {
		if reflect.DeepEqual(a.FieldByIndex(k.index).Interface(), b.FieldByIndex(k.index).Interface()) {
			continue
		}
		if k.Live {
			live = append(live, k.Name)
		} else {
			later = append(later, k.Name)
		}
	}
	return live, later
}
