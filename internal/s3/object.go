package s3

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Get reads n > 0 bytes of an object from off on into p, as many as there are,
// and returns how many. What breaks off is tried again.
func (c *Client) Get(ctx context.Context, key string, p []byte, off int64) (n int, err error) {
	if len(p) == 0 {
		return 0, nil
	}
	q := request{method: http.MethodGet, key: key, header: map[string]string{"Range": fmt.Sprintf("bytes=%d-%d", off, off+int64(len(p))-1)}}
	err = c.again(ctx, func() error {
		resp, err := c.once(ctx, q)
		if err != nil {
			var answer *Error
			if errors.As(err, &answer) && answer.Status == http.StatusRequestedRangeNotSatisfiable {
				n = 0
				return nil
			}
			return err
		}
		if resp.StatusCode != http.StatusPartialContent && off > 0 { // nothing is no range: 200
			return errors.Join(fmt.Errorf("s3: %s: the store gives no parts of objects", key), resp.Body.Close())
		}
		n, err = io.ReadFull(resp.Body, p)
		if errors.Is(err, io.ErrUnexpectedEOF) && int64(n) == resp.ContentLength || errors.Is(err, io.EOF) && resp.ContentLength == 0 {
			err = nil // the object ends here
		}
		return errors.Join(err, resp.Body.Close())
	})
	return n, err
}

// Read returns a small object of at most limit bytes, and its ETag.
func (c *Client) Read(ctx context.Context, key string, limit int64) (b []byte, etag string, err error) {
	err = c.again(ctx, func() error {
		resp, err := c.once(ctx, request{method: http.MethodGet, key: key})
		if err != nil {
			return err
		}
		b, err = io.ReadAll(io.LimitReader(resp.Body, limit))
		if err == nil && int64(len(b)) < min(limit, resp.ContentLength) {
			err = io.ErrUnexpectedEOF
		}
		etag = resp.Header.Get("ETag")
		return errors.Join(err, resp.Body.Close())
	})
	return b, etag, err
}

// Stat returns an object's size and the time when it was put.
func (c *Client) Stat(ctx context.Context, key string) (size int64, at time.Time, err error) {
	resp, err := c.do(ctx, request{method: http.MethodHead, key: key})
	if err != nil {
		return 0, at, err
	}
	size, err = strconv.ParseInt(resp.Header.Get("Content-Length"), 10, 64)
	if err != nil {
		return 0, at, errors.Join(fmt.Errorf("s3: %s has no length: %w", key, err), resp.Body.Close())
	}
	at, _ = http.ParseTime(resp.Header.Get("Last-Modified"))
	return size, at, resp.Body.Close()
}

// Delete removes an object. One that is not there is no error.
func (c *Client) Delete(ctx context.Context, key string) error {
	resp, err := c.do(ctx, request{method: http.MethodDelete, key: key})
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// An Object is a line of a list. A name that ends in a slash stands for all
// objects below it.
type Object struct {
	Name string // without the prefix that was asked for
	Size int64
	At   time.Time // when it was put
}

// List returns the objects whose keys begin with prefix, sorted; with direct, only
// up to the next slash.
func (c *Client) List(ctx context.Context, prefix string, direct bool) (list []Object, err error) {
	q := url.Values{"list-type": {"2"}, "prefix": {prefix}}
	if direct {
		q.Set("delimiter", "/")
	}
	for {
		var page listPage
		err := c.again(ctx, func() error {
			page = listPage{}
			return c.xml(ctx, request{method: http.MethodGet, query: q}, &page)
		})
		if err != nil {
			return nil, err
		}
		for _, o := range page.Contents {
			if o.Key != prefix || !strings.HasSuffix(prefix, "/") { // some have an object for the directory
				list = append(list, Object{strings.TrimPrefix(o.Key, prefix), o.Size, o.LastModified})
			}
		}
		for _, p := range page.CommonPrefixes {
			list = append(list, Object{Name: strings.TrimPrefix(p.Prefix, prefix)})
		}
		if !page.IsTruncated || page.NextContinuationToken == "" {
			return list, nil
		}
		q.Set("continuation-token", page.NextContinuationToken)
	}
}

type listPage struct {
	Contents []struct {
		Key          string
		Size         int64
		LastModified time.Time
	}
	CommonPrefixes        []struct{ Prefix string }
	IsTruncated           bool
	NextContinuationToken string
}

// xml sends a request once and decodes its answer. An answer that begins with
// success may still be an error.
func (c *Client) xml(ctx context.Context, q request, v any) error {
	resp, err := c.once(ctx, q)
	if err != nil {
		return err
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return err
	}
	failed := struct {
		XMLName xml.Name `xml:"Error"`
		Error
	}{}
	if xml.Unmarshal(b, &failed) == nil {
		failed.Status = http.StatusInternalServerError
		return &failed.Error
	}
	if err := xml.NewDecoder(bytes.NewReader(b)).Decode(v); err != nil {
		return fmt.Errorf("s3: the answer is not understood: %w", err)
	}
	return nil
}
