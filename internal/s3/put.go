package s3

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// A Condition is what must be so for a put to happen. The zero one: nothing.
type Condition struct {
	Absent bool   // there is no such object
	ETag   string // or there is, and it has this ETag
}

// errOther: the store has not what was sent.
var errOther = errors.New("s3: the store has other bytes than were sent")

// IsConflict tells whether a put's condition was not met. The put of an earlier
// try, of which the answer was lost, may be why.
func IsConflict(err error) bool {
	var answer *Error
	return errors.As(err, &answer) && (answer.Status == http.StatusPreconditionFailed || answer.Status == http.StatusConflict)
}

// IsUnsupported tells whether the store does not know conditions.
func IsUnsupported(err error) bool {
	var answer *Error
	return errors.As(err, &answer) && answer.Status == http.StatusNotImplemented
}

// Put makes key an object with content b.
func (c *Client) Put(ctx context.Context, key string, b []byte, on Condition) error {
	q := request{method: http.MethodPut, key: key, body: b, header: map[string]string{}}
	switch {
	case on.Absent:
		q.header["If-None-Match"] = "*"
	case on.ETag != "":
		q.header["If-Match"] = on.ETag
	}
	return c.again(ctx, func() error {
		resp, err := c.once(ctx, q)
		if err != nil {
			return err
		}
		if err := resp.Body.Close(); err != nil {
			return err
		}
		etag := resp.Header.Get("ETag")
		if isMD5(etag, b) {
			return nil
		}
		err = c.same(ctx, key, bytes.NewReader(b), int64(len(b)))
		if errors.Is(err, errOther) && on != (Condition{}) { // the next try is to replace what this one left
			delete(q.header, "If-None-Match")
			q.header["If-Match"] = etag
		}
		return err
	})
}

// isMD5 tells whether an ETag is the MD5 of b: not with every kind of encryption.
func isMD5(etag string, b []byte) bool {
	sum := md5.Sum(b)
	return strings.EqualFold(strings.Trim(etag, `"`), hex.EncodeToString(sum[:]))
}

// same reads an object and compares it with what it should be.
func (c *Client) same(ctx context.Context, key string, want io.ReaderAt, size int64) error {
	got, have := make([]byte, min(size, partSize)+1), make([]byte, min(size, partSize))
	for off := int64(0); off < size || off == 0; off += partSize {
		part := have[:min(partSize, size-off)]
		if _, err := want.ReadAt(part, off); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		n, err := c.Get(ctx, key, got[:len(part)+1], off)
		if err != nil {
			return err
		}
		if more := off+int64(len(part)) < size; !more && n != len(part) || n < len(part) || string(got[:len(part)]) != string(part) {
			return fmt.Errorf("%w: %s", errOther, key)
		}
	}
	return nil
}

// Upload makes key an object with the first size bytes of r, in parts if they are
// many: one part is in memory at a time.
func (c *Client) Upload(ctx context.Context, key string, r io.ReaderAt, size int64) error {
	n := c.PartSize
	if n <= 0 {
		n = partSize
	}
	n = max(n, (size+maxParts-1)/maxParts)
	if size <= n {
		b := make([]byte, size)
		if err := readAll(r, b, 0); err != nil {
			return err
		}
		return c.Put(ctx, key, b, Condition{})
	}
	err := c.upload(ctx, key, r, size, n)
	if errors.Is(err, errOther) {
		err = c.upload(ctx, key, r, size, n)
	}
	return err
}

func (c *Client) upload(ctx context.Context, key string, r io.ReaderAt, size, n int64) error {
	var begun struct {
		ID string `xml:"UploadId"`
	}
	err := c.again(ctx, func() error {
		return c.xml(ctx, request{method: http.MethodPost, key: key, query: url.Values{"uploads": {""}}}, &begun)
	})
	if err != nil {
		return err
	}
	u := &upload{c: c, key: key, id: begun.ID, sure: true}
	if err = u.parts(ctx, r, size, n); err == nil {
		err = u.complete(ctx)
	}
	if err != nil { // what it leaves behind costs money; a rule of the bucket removes it if this fails too
		resp, aerr := c.once(ctx, request{method: http.MethodDelete, key: key, query: url.Values{"uploadId": {u.id}}})
		if aerr == nil {
			_ = resp.Body.Close()
		}
		return err
	}
	if u.sure {
		return nil
	}
	return c.same(ctx, key, r, size)
}

func readAll(r io.ReaderAt, b []byte, off int64) error {
	n, err := r.ReadAt(b, off)
	if n == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// An upload in parts.
type upload struct {
	c    *Client
	key  string
	id   string
	tags []completed
	sure bool // each ETag was the MD5 of its part
}

type completed struct {
	PartNumber int
	ETag       string
}

func (u *upload) parts(ctx context.Context, r io.ReaderAt, size, n int64) error {
	buf := make([]byte, n)
	for off := int64(0); off < size; off += n {
		part := buf[:min(n, size-off)]
		if err := readAll(r, part, off); err != nil {
			return err
		}
		tag, err := u.part(ctx, len(u.tags)+1, part)
		if err == nil && !isMD5(tag, part) {
			tag, err = u.part(ctx, len(u.tags)+1, part)
		}
		if err != nil {
			return err
		}
		u.sure = u.sure && isMD5(tag, part)
		u.tags = append(u.tags, completed{len(u.tags) + 1, tag})
	}
	return nil
}

func (u *upload) part(ctx context.Context, number int, b []byte) (etag string, err error) {
	resp, err := u.c.do(ctx, request{method: http.MethodPut, key: u.key, body: b,
		query: url.Values{"partNumber": {strconv.Itoa(number)}, "uploadId": {u.id}}})
	if err != nil {
		return "", err
	}
	return resp.Header.Get("ETag"), resp.Body.Close()
}

// complete makes the parts an object. If the answer to an earlier try was lost,
// the upload is there no more, but the object is.
func (u *upload) complete(ctx context.Context) error {
	body, err := xml.Marshal(struct {
		XMLName xml.Name `xml:"CompleteMultipartUpload"`
		Part    []completed
	}{Part: u.tags})
	if err != nil {
		return err
	}
	tried := false
	return u.c.again(ctx, func() error {
		var done struct{ ETag string }
		err := u.c.xml(ctx, request{method: http.MethodPost, key: u.key, query: url.Values{"uploadId": {u.id}}, body: body}, &done)
		var answer *Error
		if tried && errors.As(err, &answer) && answer.Status == http.StatusNotFound {
			u.sure = false // to be read back
			return nil
		}
		tried = true
		return err
	})
}
