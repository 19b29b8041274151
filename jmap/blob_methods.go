package jmap

import (
	"cmp"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"hash"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"posthouse/jmap/wire"
	"posthouse/store"
)

// maxDataSources of one Blob/upload, RFC 9404 §3.1.
const maxDataSources = 64

// digests are the algorithms of Blob/get, RFC 9404 §4.2.
var digests = map[string]func() hash.Hash{"sha": sha1.New, "sha-256": sha256.New, "sha-512": sha512.New}

func digestNames() []string { return slices.Sorted(maps.Keys(digests)) }

func blobMethods() []*method {
	return []*method{
		{name: "Blob/upload", capability: capBlob, args: []wire.Field{{Name: "create", Type: "Id[BlobUpload]"}}, do: uploadBlobs},
		{name: "Blob/get", capability: capBlob, args: []wire.Field{{Name: "ids", Type: "Id[]"}, {Name: "properties?", Type: "String[]"},
			{Name: "offset?", Type: "UnsignedInt"}, {Name: "length?", Type: "UnsignedInt"}}, do: readBlobs},
		{name: "Blob/lookup", capability: capBlob, args: []wire.Field{{Name: "typeNames", Type: "String[]"}, {Name: "ids", Type: "Id[]"}}, do: lookUpBlobs},
		{name: "Blob/copy", capability: capCore, args: []wire.Field{{Name: "fromAccountId", Type: "Id"}, {Name: "blobIds", Type: "Id[]"}}, do: copyBlobs},
	}
}

// uploadBlobs is Blob/upload, RFC 9404 §4.1. A blob may be made of one that was made
// before it in the same call.
func uploadBlobs(c *call) (wire.Object, error) {
	create := c.object("create")
	if len(create) > c.limits.Set {
		return nil, refused("requestTooLarge", "more blobs than maxObjectsInSet")
	}
	var created, not wire.Object
	waiting := slices.Sorted(maps.Keys(create))
	for len(waiting) > 0 {
		var later []string
		for _, name := range waiting {
			m := create[name].(map[string]any)
			if waits(m, waiting) && len(later) < len(waiting)-1 {
				later = append(later, name)
				continue
			}
			o, bad, err := c.makeBlob(m)
			if err != nil && len(created) > 0 {
				return nil, c.partly(err)
			}
			if err != nil {
				return nil, err
			}
			if bad != nil {
				not = not.With(name, bad.object())
				continue
			}
			id, _ := o.Member("id")
			c.req.created[name], _ = id.(string)
			created = created.With(name, o)
		}
		waiting = later
	}
	return c.head().With("created", orNull(created)).With("notCreated", orNull(not)), nil
}

// waits reports whether a blob is made of one that is not there yet.
func waits(m map[string]any, waiting []string) bool {
	list, _ := m["data"].([]any)
	for _, d := range list {
		id, _ := d.(map[string]any)["blobId"].(string)
		if name, ref := strings.CutPrefix(id, "#"); ref && slices.Contains(waiting, name) {
			return true
		}
	}
	return false
}

func (c *call) makeBlob(m map[string]any) (wire.Object, *setError, error) {
	list, _ := m["data"].([]any)
	if len(list) > maxDataSources {
		return nil, unfit("tooLarge", "too many data sources"), nil
	}
	var data []byte
	for _, d := range list {
		piece, bad, err := c.dataSource(d.(map[string]any))
		if bad != nil || err != nil {
			return nil, bad, err
		}
		if data = append(data, piece...); int64(len(data)) > c.limits.UploadBytes {
			return nil, unfit("tooLarge", "the blob is too large"), nil
		}
	}
	mediaType, _ := m["type"].(string)
	if mediaType == "" {
		mediaType = "application/octet-stream"
	}
	id, size, err := c.takeUpload(c.ctx, c.who, c.acct, strings.NewReader(string(data)), mediaType)
	if se, ok := asSetError(err); ok {
		return nil, se, nil
	}
	return wire.Object{{Name: "id", Value: id}, {Name: "type", Value: mediaType}, {Name: "size", Value: size}}, nil, err
}

// dataSource reads a DataSourceObject, RFC 9404 §4.1.
func (c *call) dataSource(m map[string]any) ([]byte, *setError, error) {
	text, isText := m["data:asText"].(string)
	encoded, isEncoded := m["data:asBase64"].(string)
	id, isBlob := m["blobId"].(string)
	switch {
	case isText && !isEncoded && !isBlob:
		return []byte(text), nil, nil
	case isEncoded && !isText && !isBlob:
		b, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			return nil, invalidProperties("not base64", "data"), nil
		}
		return b, nil, nil
	case !isBlob || isText || isEncoded:
		return nil, invalidProperties("not exactly one of data:asText, data:asBase64 and blobId", "data"), nil
	}
	b, err := c.readBlob(id)
	if err != nil {
		if se, ok := asSetError(err); ok {
			return nil, se, nil
		}
		return nil, nil, err
	}
	if b == nil {
		return nil, unfit("blobNotFound", "").with("notFound", []string{id}), nil
	}
	from, _ := m["offset"].(int64)
	length, limited := m["length"].(int64)
	if !limited {
		length = int64(len(b)) - from
	}
	if from > int64(len(b)) || length < 0 || from+length > int64(len(b)) {
		return nil, invalidProperties("the range is not in the blob", "data"), nil
	}
	return b[from : from+length], nil, nil
}

// readBlob returns the bytes of a blob; nil if there is none.
func (c *call) readBlob(id string) ([]byte, error) {
	var b *blob
	err := c.view(func(v *store.View) (err error) {
		b, err = c.blob(v, c.req.idOf(id))
		return err
	})
	if b == nil || err != nil {
		return nil, err
	}
	data, err := b.read(c.limits.UploadBytes)
	if data == nil && err == nil {
		data = []byte{}
	}
	return data, err
}

// readBlobs is Blob/get, RFC 9404 §4.2.
func readBlobs(c *call) (wire.Object, error) {
	ids := unique(c.strs("ids"))
	if len(ids) > c.limits.Get {
		return nil, refused("requestTooLarge", "more ids than maxObjectsInGet")
	}
	props := c.strs("properties")
	if c.args["properties"] == nil {
		props = []string{"data", "size"}
	}
	for _, p := range props {
		d, isDigest := strings.CutPrefix(p, "digest:")
		if p != "data" && p != "data:asText" && p != "data:asBase64" && p != "size" && p != "id" && (!isDigest || digests[d] == nil) {
			return nil, invalidArguments("there is no property " + p)
		}
	}
	list, missing := []wire.Object{}, []string{}
	room := c.limits.UploadBytes
	for _, id := range ids {
		id = c.blobID(id)
		b, err := c.readBlob(id)
		if err != nil {
			return nil, err
		}
		if b == nil {
			missing = append(missing, id)
			continue
		}
		if room -= int64(len(b)); room < 0 {
			return nil, refused("requestTooLarge", "too many bytes for one response")
		}
		list = append(list, c.blobObject(id, b, props))
	}
	return c.head().With("list", list).With("notFound", missing), nil
}

func (c *call) blobObject(id string, b []byte, props []string) wire.Object {
	size := int64(len(b))
	from := min(c.num("offset", 0), size)
	to := size
	short := c.num("offset", 0) > size
	if n, given := c.args["length"].(int64); given {
		short = short || from+n > size
		to = min(from+n, size)
	}
	piece := b[from:to]
	isText := utf8.Valid(piece)
	o := wire.Object{{Name: "id", Value: id}}
	broken := false
	for _, p := range props {
		switch {
		case p == "size":
			o = o.With("size", size)
		case p == "data" && isText:
			o = o.With("data:asText", string(piece))
		case p == "data", p == "data:asBase64":
			o = o.With("data:asBase64", base64.StdEncoding.EncodeToString(piece))
			broken = broken || p == "data"
		case p == "data:asText":
			broken = broken || !isText
			if isText {
				o = o.With(p, string(piece))
			} else {
				o = o.With(p, nil)
			}
		case strings.HasPrefix(p, "digest:"):
			h := digests[p[len("digest:"):]]()
			h.Write(piece)
			o = o.With(p, base64.StdEncoding.EncodeToString(h.Sum(nil)))
		}
	}
	if broken {
		o = o.With("isEncodingProblem", true)
	}
	if short {
		o = o.With("isTruncated", true)
	}
	return o
}

// blobID is the id of a blob that is named by its id or as a creation of this request; what
// names none stays as it is.
func (c *call) blobID(id string) string {
	return cmp.Or(c.req.idOf(id), id)
}

// eachBlob calls f with each of the blobs that ids name, once; missing are those that
// there are not.
func (c *call) eachBlob(ids []string, f func(v *store.View, id string, b *blob) error) (missing []string, err error) {
	if ids = unique(ids); len(ids) > c.limits.Get {
		return nil, refused("requestTooLarge", "more blobs than maxObjectsInGet")
	}
	missing = []string{}
	err = c.view(func(v *store.View) error {
		for _, id := range ids {
			id = c.blobID(id)
			b, err := c.blob(v, id)
			switch {
			case err != nil:
				return err
			case b == nil:
				missing = append(missing, id)
			default:
				if err := f(v, id, b); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return missing, err
}

// lookUpBlobs is Blob/lookup, RFC 9404 §4.3: what refers to a blob.
func lookUpBlobs(c *call) (wire.Object, error) {
	names := c.strs("typeNames")
	for _, n := range names {
		if n != "Email" && n != "Mailbox" && n != "Thread" {
			return nil, refused("unknownDataType", n)
		}
	}
	list := []wire.Object{}
	missing, err := c.eachBlob(c.strs("ids"), func(v *store.View, id string, b *blob) error {
		matched := map[string][]string{"Email": {}, "Mailbox": {}, "Thread": {}}
		if f, ok := c.acct.index.email(b.email); ok && b.email != 0 {
			matched["Email"], matched["Thread"] = []string{emailID(f.id)}, []string{threadID(f.thread)}
			for _, p := range f.places {
				if m, err := v.MailboxByID(p.Mailbox); err == nil {
					matched["Mailbox"] = append(matched["Mailbox"], mailboxID(m))
				}
			}
		}
		o := wire.Object{}
		for _, n := range names {
			o = o.With(n, matched[n])
		}
		list = append(list, wire.Object{{Name: "id", Value: id}, {Name: "matchedIds", Value: o}})
		return nil
	})
	return c.head().With("list", list).With("notFound", missing), err
}

// copyBlobs is Blob/copy, RFC 8620 §6.3.
func copyBlobs(c *call) (wire.Object, error) {
	from, err := c.account(c.ctx, c.who, c.str("fromAccountId"))
	if err != nil {
		return nil, fromAccountError(err)
	}
	ids := unique(c.strs("blobIds"))
	if len(ids) > c.limits.Set {
		return nil, refused("requestTooLarge", "more blobs than maxObjectsInSet")
	}
	source := &call{Server: c.Server, ctx: c.ctx, who: c.who, req: c.req, acct: from, args: map[string]any{}, method: c.method}
	var copied, not wire.Object
	for _, id := range ids {
		id = c.blobID(id)
		b, err := source.readBlob(id)
		var to string
		switch {
		case err == nil && b == nil:
			err = unfit("notFound", "")
		case err == nil:
			to, _, err = c.takeUpload(c.ctx, c.who, c.acct, strings.NewReader(string(b)), "application/octet-stream")
		}
		if se, ok := asSetError(err); ok {
			not = not.With(id, se.object())
			continue
		}
		if err != nil && len(copied) > 0 {
			return nil, c.partly(err)
		}
		if err != nil {
			return nil, err
		}
		copied = copied.With(id, to)
	}
	return wire.Object{{Name: "fromAccountId", Value: from.id}, {Name: "accountId", Value: c.acct.id}, {Name: "copied", Value: orNull(copied)}, {Name: "notCopied", Value: orNull(not)}}, nil
}
