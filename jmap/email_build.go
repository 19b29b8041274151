package jmap

import (
	"maps"
	"slices"
	"strings"
	"time"

	"posthouse/jmap/wire"
	"posthouse/message"
	"posthouse/store"
)

// A builder makes a message of the properties of Email/set create, RFC 8621 §4.6.
type builder struct {
	c      *call
	v      *store.View
	values map[string]any // bodyValues
	room   int64          // bytes that attachments may still take
}

// prepareEmail builds and stages a message before the transaction that files it.
func prepareEmail(c *call, props map[string]any) (any, error) {
	b := &builder{c: c, room: c.opts.Store.Limits().MessageBytes}
	b.values, _ = props["bodyValues"].(map[string]any)
	var root *message.Entity
	err := c.view(func(v *store.View) (err error) {
		b.v = v
		if err = b.haveBlobs(props); err != nil {
			return err
		}
		root, err = b.root(props)
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := b.headers(root, props); err != nil {
		return nil, err
	}
	d, err := c.stage(root.Append(nil))
	if err != nil {
		return nil, err
	}
	d.received = dateOf(props["receivedAt"])
	return d, nil
}

// haveBlobs refuses a message that refers to blobs which are not there, and names all of
// them.
func (b *builder) haveBlobs(props map[string]any) error {
	missing := []string{}
	for _, name := range []string{"bodyStructure", "textBody", "htmlBody", "attachments"} {
		for _, id := range unique(appendBlobIDs(nil, props[name])) {
			bl, err := b.c.blob(b.v, b.c.req.idOf(id))
			if err != nil {
				return err
			}
			if bl == nil && !slices.Contains(missing, id) {
				missing = append(missing, id)
			}
		}
	}
	if len(missing) == 0 {
		return nil
	}
	e := unfit("blobNotFound", "")
	e.extra = append(e.extra, notFoundMember(missing...))
	return e
}

// appendBlobIDs appends the blobs that a part, or a list of parts, refers to. The depth is
// that of the request, which is bounded.
func appendBlobIDs(ids []string, v any) []string {
	switch v := v.(type) {
	case []any:
		for _, p := range v {
			ids = appendBlobIDs(ids, p)
		}
	case map[string]any:
		if id, ok := v["blobId"].(string); ok {
			ids = append(ids, id)
		}
		ids = appendBlobIDs(ids, v["subParts"])
	}
	return ids
}

func dateOf(v any) time.Time {
	s, _ := v.(string)
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}
	}
	return t
}

// stage takes in a finished message; it is dropped when the call ends.
func (c *call) stage(data []byte) (*draft, error) {
	m, err := c.opts.Store.Stage(c.ctx)
	if err != nil {
		return nil, err
	}
	c.cleanup = append(c.cleanup, func() { _ = m.Close() }) // what was filed has its own life
	if _, err := m.Write(data); err != nil {
		return nil, err
	}
	if err := m.Finish(); err != nil {
		return nil, err
	}
	return &draft{staged: m}, nil
}

// root makes the body.
func (b *builder) root(props map[string]any) (*message.Entity, error) {
	if s, whole := props["bodyStructure"].(map[string]any); whole {
		for _, name := range []string{"textBody", "htmlBody", "attachments"} {
			if props[name] != nil {
				return nil, invalidProperties("bodyStructure and "+name+" exclude each other", "bodyStructure", name)
			}
		}
		return b.part(s, "bodyStructure")
	}
	text, err := b.single(props, "textBody", "text/plain")
	if err != nil {
		return nil, err
	}
	html, err := b.single(props, "htmlBody", "text/html")
	if err != nil {
		return nil, err
	}
	list, _ := props["attachments"].([]any)
	var files, related []*message.Entity
	for _, a := range list {
		m := a.(map[string]any)
		e, err := b.part(m, "attachments")
		if err != nil {
			return nil, err
		}
		if cid, _ := m["cid"].(string); cid != "" && m["disposition"] == "inline" && html != nil {
			related = append(related, e)
		} else {
			files = append(files, e)
		}
	}
	return b.assemble(text, html, related, files)
}

// assemble nests what a reader sees as one body, its pictures and its files.
func (b *builder) assemble(text, html *message.Entity, related, files []*message.Entity) (*message.Entity, error) {
	var err error
	wrap := func(subtype string, parts ...*message.Entity) *message.Entity {
		bound, e := message.NewBoundary(b.c.opts.Rand)
		if e != nil {
			err = e
		}
		return message.Multipart(subtype, bound, parts)
	}
	body := html
	if html != nil && len(related) > 0 {
		body = wrap("related", append([]*message.Entity{html}, related...)...)
	}
	switch {
	case body == nil:
		body = text
	case text != nil:
		body = wrap("alternative", text, body)
	}
	if body == nil {
		body = message.Text("plain", "")
	}
	if len(files) > 0 {
		body = wrap("mixed", append([]*message.Entity{body}, files...)...)
	}
	return body, err
}

// single makes the one part of textBody or htmlBody.
func (b *builder) single(props map[string]any, name, mediaType string) (*message.Entity, error) {
	list, _ := props[name].([]any)
	if len(list) == 0 {
		return nil, nil
	}
	m, _ := list[0].(map[string]any)
	if t, given := m["type"].(string); len(list) > 1 || given && !strings.EqualFold(t, mediaType) {
		return nil, invalidProperties("not exactly one part of type "+mediaType, name)
	}
	m = maps.Clone(m)
	m["type"] = mediaType
	return b.part(m, name)
}

// part makes one part; where names the property for errors. The depth is that of the
// request, which is bounded.
func (b *builder) part(m map[string]any, where string) (*message.Entity, error) {
	mediaType, _ := m["type"].(string)
	if mediaType == "" {
		mediaType = "text/plain"
	}
	main, sub, ok := strings.Cut(strings.ToLower(mediaType), "/")
	if !ok || !isToken(main) || !isToken(sub) {
		return nil, invalidProperties("not a media type: "+mediaType, where+"/type")
	}
	m, params := flowed(m)
	var e *message.Entity
	var err error
	if main == "multipart" {
		e, err = b.multipart(m, sub, where)
	} else {
		e, err = b.leaf(m, main, sub, where, params)
	}
	if err != nil {
		return nil, err
	}
	return e, b.partHeaders(e, m, where)
}

// flowed takes the one content type that a part of text may spell out instead of its
// type, RFC 8621 §4.6: that its lines flow, RFC 3676 §4.
func flowed(m map[string]any) (map[string]any, []message.Param) {
	const field = "header:Content-Type"
	s, _ := m[field].(string)
	if m["type"] != nil || m["partId"] == nil || !strings.Contains(strings.ToLower(s), "format=flowed") || !strings.HasPrefix(strings.TrimSpace(strings.ToLower(s)), "text/plain") {
		return m, nil
	}
	m = maps.Clone(m)
	delete(m, field)
	return m, []message.Param{{Name: "format", Value: "flowed"}}
}

func isToken(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' || strings.IndexByte(`()<>@,;:\"/[]?=`, s[i]) >= 0 {
			return false
		}
	}
	return s != ""
}

func (b *builder) multipart(m map[string]any, subtype, where string) (*message.Entity, error) {
	subs, _ := m["subParts"].([]any)
	if m["partId"] != nil || m["blobId"] != nil || len(subs) == 0 {
		return nil, invalidProperties("a multipart has subParts and nothing else", where)
	}
	var parts []*message.Entity
	for _, s := range subs {
		sm, ok := s.(map[string]any)
		if !ok {
			return nil, invalidProperties("not a part", where+"/subParts")
		}
		e, err := b.part(sm, where+"/subParts")
		if err != nil {
			return nil, err
		}
		parts = append(parts, e)
	}
	bound, err := message.NewBoundary(b.c.opts.Rand)
	if err != nil {
		return nil, err
	}
	return message.Multipart(subtype, bound, parts), nil
}

func (b *builder) leaf(m map[string]any, main, sub, where string, extra []message.Param) (*message.Entity, error) {
	id, isText := m["partId"].(string)
	blobID, isBlob := m["blobId"].(string)
	charset, hasCharset := m["charset"].(string)
	switch {
	case isText == isBlob:
		return nil, invalidProperties("a part has either partId or blobId", where)
	case m["subParts"] != nil:
		return nil, invalidProperties("only a multipart has subParts", where+"/subParts")
	case isText && (hasCharset || m["size"] != nil):
		return nil, invalidProperties("charset and size go with a blobId only", where+"/charset")
	case isText:
		return b.text(id, main, sub, where, extra)
	}
	bl, err := b.c.blob(b.v, b.c.req.idOf(blobID))
	if err != nil {
		return nil, err
	}
	if bl == nil {
		e := unfit("blobNotFound", "")
		e.extra = append(e.extra, notFoundMember(blobID))
		return nil, e
	}
	data, err := bl.read(b.room)
	if err != nil {
		return nil, err
	}
	b.room -= int64(len(data))
	if main == "message" && sub == "rfc822" { // is never encoded, RFC 2046 §5.2.1
		return message.Raw("message/rfc822", bitsOf(data), data), nil
	}
	var params []message.Param
	if hasCharset && main == "text" {
		params = append(params, message.Param{Name: "charset", Value: charset})
	}
	if name, ok := m["name"].(string); ok && name != "" {
		params = append(params, message.Param{Name: "name", Value: name})
	}
	return message.Data(main+"/"+sub, data, params...), nil
}

func bitsOf(data []byte) string {
	for _, c := range data {
		if c >= 0x80 {
			return "8bit"
		}
	}
	return "7bit"
}

// text makes a part of a body value.
func (b *builder) text(id, main, sub, where string, extra []message.Param) (*message.Entity, error) {
	v, ok := b.values[id].(map[string]any)
	if !ok {
		return nil, invalidProperties("bodyValues has no "+id, where+"/partId")
	}
	if v["isEncodingProblem"] == true || v["isTruncated"] == true {
		return nil, invalidProperties("isEncodingProblem and isTruncated must be false", "bodyValues/"+id)
	}
	if main != "text" {
		return nil, invalidProperties("a body value is text", where+"/type")
	}
	text, _ := v["value"].(string)
	if b.room -= int64(len(text)); b.room < 0 {
		return nil, unfit("tooLarge", "the message is too large")
	}
	return message.Text(sub, text, extra...), nil
}

// partHeaders adds what a part says of itself.
func (b *builder) partHeaders(e *message.Entity, m map[string]any, where string) error {
	disposition, _ := m["disposition"].(string)
	name, _ := m["name"].(string)
	if disposition != "" || name != "" {
		if disposition == "" {
			disposition = "attachment"
		}
		if !isToken(disposition) {
			return invalidProperties("not a disposition", where+"/disposition")
		}
		e.SetDisposition(strings.ToLower(disposition), name)
	}
	if cid, _ := m["cid"].(string); cid != "" {
		if strings.ContainsAny(cid, "<> \t\r\n") {
			return invalidProperties("not a content id", where+"/cid")
		}
		e.SetRaw("Content-ID", "<"+cid+">")
	}
	if langs := stringsOf(m["language"]); len(langs) > 0 {
		e.SetRaw("Content-Language", strings.Join(langs, ", "))
	}
	if loc, _ := m["location"].(string); loc != "" {
		e.SetRaw("Content-Location", loc)
	}
	return b.custom(e, m, where+"/", func(field string) bool {
		return field == "content-transfer-encoding" || field == "content-type" || field == "content-disposition" || field == "content-id"
	})
}

// custom adds the header:* properties of a message or part.
func (b *builder) custom(e *message.Entity, props map[string]any, where string, taken func(field string) bool) error {
	seen := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(props)) {
		if !strings.HasPrefix(name, "header:") {
			if name == "headers" && props[name] != nil {
				return invalidProperties("set fields by header:Name", where+name)
			}
			continue
		}
		p := headerProperty(name)
		if p == nil || !p.check.Valid(props[name]) {
			return invalidProperties("not a field in one of its forms", where+name)
		}
		parts := strings.Split(name, ":")
		field := strings.ToLower(parts[1])
		if taken(field) || seen[field] {
			return invalidProperties("the field is set twice, or by the server", where+name)
		}
		seen[field] = true
		if props[name] == nil {
			continue
		}
		if err := writeField(e, parts, props[name], where+name); err != nil {
			return err
		}
	}
	return nil
}

func writeField(e *message.Entity, parts []string, v any, name string) error {
	form, all := "asRaw", parts[len(parts)-1] == "all"
	if len(parts) > 2 && parts[2] != "all" {
		form = parts[2]
	}
	values := []any{v}
	if all {
		values = v.([]any)
	}
	f := headerForms[form]
	element := wire.CompileType(f.typ, structs)
	for _, one := range values {
		if one != nil && !element.Valid(one) {
			return invalidProperties("not a field in one of its forms", name)
		}
		if s, raw := one.(string); form == "asRaw" && (!raw || !isRawValue(s)) {
			return invalidProperties("not the value of one field", name)
		}
		if one != nil {
			f.write(e, parts[1], one)
		}
	}
	return nil
}

// isRawValue reports whether s can stand behind a field's colon: lines that go on
// with white space, none too long.
func isRawValue(s string) bool {
	lines := strings.Split(strings.ReplaceAll(s, "\r\n", "\n"), "\n")
	for i, l := range lines {
		if len(l) > 950 || strings.ContainsAny(l, "\r\x00") || i > 0 && (l == "" || l[0] != ' ' && l[0] != '\t') || i > 0 && strings.TrimSpace(l) == "" {
			return false
		}
	}
	return true
}

// headers adds those of the message, and what every message needs.
func (b *builder) headers(e *message.Entity, props map[string]any) error {
	set := map[string]bool{}
	for _, h := range convenience {
		v := props[h.name]
		if v == nil {
			continue
		}
		set[strings.ToLower(h.field)] = true
		headerForms[h.form].write(e, h.field, v)
	}
	if v := props["sentAt"]; v != nil {
		set["date"] = true
		writeDate(e, "Date", v)
	}
	if props["headers"] != nil {
		return invalidProperties("set fields by header:Name", "headers")
	}
	if err := b.custom(e, props, "", func(field string) bool {
		return set[field] || strings.HasPrefix(field, "content-") || field == "mime-version"
	}); err != nil {
		return err
	}
	for name := range props {
		if parts := strings.Split(name, ":"); parts[0] == "header" && len(parts) > 1 {
			set[strings.ToLower(parts[1])] = true
		}
	}
	if !set["date"] {
		e.SetDate("Date", b.c.opts.Now())
	}
	if !set["message-id"] {
		id, err := message.NewMessageID(b.c.opts.Rand, b.c.opts.Now(), b.domain(props))
		if err != nil {
			return err
		}
		e.SetRaw("Message-ID", id)
	}
	return nil
}

// domain is that of the sender, or else ours.
func (b *builder) domain(props map[string]any) string {
	if from, _ := props["from"].([]any); len(from) > 0 {
		m, _ := from[0].(map[string]any)
		if a, ok := addressOf(m); ok && a.Address.Domain != "" && a.Address.IsASCII() {
			return string(a.Address.Domain)
		}
	}
	return b.c.opts.Hostname
}
