// Package s3 is a client for object stores that speak Amazon's S3 protocol: put,
// get, list, delete, signed with version 4. It is as much of it as backups need.
//
// A Put is there as a whole or not at all, and durable once it returns. What
// fails for a reason that may pass is tried again, a few times. Bucket and keys
// are in the path of the URL, not in the name of the host, so that any endpoint
// serves.
package s3

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// MaxPut is the size in bytes of the largest object that can be put.
const MaxPut = 5 << 30

// A Client talks to one bucket. All methods may be called at once.
type Client struct {
	Endpoint string // as in https://s3.eu-central-1.amazonaws.com
	Region   string
	Bucket   string
	Key      string // who we are
	Secret   string
	HTTP     *http.Client                   // default: one with bounds on waiting
	Now      func() time.Time               // default: the clock
	Pause    func(try int) <-chan time.Time // before a try after a failure; default: 1 s, 2 s, 4 s …
}

const tries = 6

// stall bounds how long an answer may take to begin.
const stall = time.Minute

var defaultHTTP = &http.Client{Transport: &http.Transport{
	Proxy: http.ProxyFromEnvironment, ResponseHeaderTimeout: stall, TLSHandshakeTimeout: 20 * time.Second, IdleConnTimeout: time.Minute, MaxIdleConnsPerHost: 4,
}}

// An Error is what the store answered.
type Error struct {
	Status  int
	Code    string `xml:"Code"`
	Message string `xml:"Message"`
}

func (e *Error) Error() string { return fmt.Sprintf("s3: %d %s: %s", e.Status, e.Code, e.Message) }

// Is says that what is not there is fs.ErrNotExist.
func (e *Error) Is(target error) bool {
	return target == fs.ErrNotExist && e.Status == http.StatusNotFound
}

// A request, as often as it is tried.
type request struct {
	method, key string
	query       url.Values
	ranges      string
	body        io.ReadSeeker
	size        int64
	sum         string // SHA-256 of the body in hex
}

var emptySum = hexSum(nil)

// do sends a request until it is answered with success, or for good. The caller
// closes the answer's body.
func (c *Client) do(ctx context.Context, q request) (*http.Response, error) {
	var last error
	for try := range tries {
		if try > 0 {
			select {
			case <-c.pause(try):
			case <-ctx.Done():
				return nil, errors.Join(ctx.Err(), last)
			}
		}
		r, err := c.build(ctx, q)
		if err != nil {
			return nil, err
		}
		client := c.HTTP
		if client == nil {
			client = defaultHTTP
		}
		resp, err := client.Do(r)
		if err == nil && resp.StatusCode/100 == 2 {
			return resp, nil
		}
		if err == nil {
			err = readError(resp)
		}
		last = err
		var answer *Error
		if errors.As(err, &answer) && answer.Status/100 != 5 && answer.Status != http.StatusTooManyRequests && answer.Status != http.StatusRequestTimeout {
			return nil, err
		}
		if ctx.Err() != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("s3: given up after %d tries: %w", tries, last)
}

func (c *Client) pause(try int) <-chan time.Time {
	if c.Pause != nil {
		return c.Pause(try)
	}
	return time.After(time.Second << (try - 1))
}

func (c *Client) build(ctx context.Context, q request) (*http.Request, error) {
	u, err := url.Parse(c.Endpoint)
	if err != nil {
		return nil, err
	}
	u.Path = "/" + c.Bucket + "/" + q.key
	u.RawPath = escape(u.Path, true)
	var query []string
	for _, k := range []string{"continuation-token", "delimiter", "list-type", "prefix"} { // sorted, as signatures want
		if q.query.Has(k) {
			query = append(query, k+"="+escape(q.query.Get(k), false))
		}
	}
	u.RawQuery = strings.Join(query, "&")
	var body io.Reader
	if q.body != nil {
		if _, err := q.body.Seek(0, io.SeekStart); err != nil {
			return nil, err
		}
		body = io.NopCloser(q.body) // it is ours to close
	}
	r, err := http.NewRequestWithContext(ctx, q.method, u.String(), body)
	if err != nil {
		return nil, err
	}
	if q.body != nil {
		r.ContentLength = q.size
	}
	if q.size == 0 {
		r.Body = nil
	}
	if q.ranges != "" {
		r.Header.Set("Range", q.ranges)
	}
	sum := q.sum
	if sum == "" {
		sum = emptySum
	}
	now := time.Now
	if c.Now != nil {
		now = c.Now
	}
	c.sign(r, sum, now())
	return r, nil
}

func readError(resp *http.Response) error {
	defer resp.Body.Close()
	e := &Error{Status: resp.StatusCode}
	b, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return err
	}
	if xml.Unmarshal(b, e) != nil || e.Code == "" {
		e.Code = http.StatusText(resp.StatusCode)
	}
	e.Status = resp.StatusCode
	return e
}

// Put makes key an object of size bytes; sum is their SHA-256, in hex, which the
// store verifies.
func (c *Client) Put(ctx context.Context, key string, body io.ReadSeeker, size int64, sum string) error {
	if size > MaxPut {
		return fmt.Errorf("s3: %s has %d bytes, the most is %d", key, size, int64(MaxPut))
	}
	resp, err := c.do(ctx, request{method: http.MethodPut, key: key, body: body, size: size, sum: sum})
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// Get reads an object from off on, n bytes at most, n < 0: all. What reads of the
// result fail with is not tried again.
func (c *Client) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	q := request{method: http.MethodGet, key: key}
	switch {
	case n > 0:
		q.ranges = fmt.Sprintf("bytes=%d-%d", off, off+n-1)
	case off > 0:
		q.ranges = fmt.Sprintf("bytes=%d-", off)
	}
	resp, err := c.do(ctx, q)
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
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

// List returns the names directly below a prefix, which ends in a slash or is
// empty: of objects, and with a slash at the end, of what has objects below it.
func (c *Client) List(ctx context.Context, prefix string) (names []string, err error) {
	q := url.Values{"list-type": {"2"}, "delimiter": {"/"}, "prefix": {prefix}}
	for {
		resp, err := c.do(ctx, request{method: http.MethodGet, query: q})
		if err != nil {
			return nil, err
		}
		var page struct {
			Contents              []struct{ Key string }
			CommonPrefixes        []struct{ Prefix string }
			IsTruncated           bool
			NextContinuationToken string
		}
		err = xml.NewDecoder(io.LimitReader(resp.Body, 64<<20)).Decode(&page)
		if err = errors.Join(err, resp.Body.Close()); err != nil {
			return nil, err
		}
		for _, o := range page.Contents {
			if n := strings.TrimPrefix(o.Key, prefix); n != "" {
				names = append(names, n)
			}
		}
		for _, p := range page.CommonPrefixes {
			names = append(names, strings.TrimPrefix(p.Prefix, prefix))
		}
		if !page.IsTruncated || page.NextContinuationToken == "" {
			return names, nil
		}
		q.Set("continuation-token", page.NextContinuationToken)
	}
}
