// Package s3 is a client for object stores that speak Amazon's S3 protocol: put,
// get, list, delete, uploads in parts, signed with version 4. It is as much of it
// as backups and a standby need.
//
// A Put is there as a whole or not at all, and durable once it returns. The store
// verifies the SHA-256 of each request; that it has what was sent is verified by
// the ETag it answers with, and if that is no MD5, by reading it back once. What
// fails for a reason that may pass is tried again, a few times, and nothing waits
// without a bound. Secrets are in no error and in no log.
package s3

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// A Client talks to one bucket. All methods may be called at once.
type Client struct {
	Endpoint string // as in https://s3.eu-central-1.amazonaws.com
	Region   string
	Bucket   string
	Hosted   bool   // the bucket is a part of the host's name, not of the path
	Key      string // who we are
	Secret   string
	HTTP     *http.Client                   // default: one with bounds on waiting
	Now      func() time.Time               // default: the clock
	Pause    func(try int) <-chan time.Time // before a try after a failure; default: 1 s, 2 s, 4 s …
	Tries    int                            // default 6
	Stall    time.Duration                  // for how long nothing may move; default 1 minute
	PartSize int64                          // of uploads in parts; default 8 MiB, the least that Amazon takes is 5
}

const (
	stall    = time.Minute
	slowest  = 64 << 10 // bytes per second that a body moves at least
	partSize = 8 << 20
	maxParts = 10000
)

func (c *Client) tries() int {
	if c.Tries > 0 {
		return c.Tries
	}
	return 6
}

func (c *Client) stall() time.Duration {
	if c.Stall > 0 {
		return c.Stall
	}
	return stall
}

var defaultHTTP = &http.Client{Transport: &http.Transport{
	Proxy: http.ProxyFromEnvironment, TLSHandshakeTimeout: 20 * time.Second, IdleConnTimeout: time.Minute, MaxIdleConnsPerHost: 4,
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

// final tells whether trying again is of no use.
func (e *Error) final() bool {
	switch e.Status {
	case http.StatusTooManyRequests, http.StatusRequestTimeout, http.StatusConflict: // the last: of conditions, asked at once
		return false
	case http.StatusNotImplemented:
		return true
	}
	return e.Status/100 != 5
}

// A request, as often as it is tried.
type request struct {
	method, key string
	query       url.Values
	header      map[string]string
	body        []byte
}

// do sends a request until it is answered with success, or for good. The caller
// closes the answer's body.
func (c *Client) do(ctx context.Context, q request) (*http.Response, error) {
	var resp *http.Response
	err := c.again(ctx, func() (err error) {
		resp, err = c.once(ctx, q)
		return err
	})
	return resp, err
}

// again calls f until it succeeds, or fails for good, or too often.
func (c *Client) again(ctx context.Context, f func() error) error {
	var last error
	for try := range c.tries() {
		if try > 0 {
			select {
			case <-c.pause(try):
			case <-ctx.Done():
				return errors.Join(ctx.Err(), last)
			}
		}
		if last = f(); last == nil {
			return nil
		}
		var answer *Error
		if errors.As(last, &answer) && answer.final() || ctx.Err() != nil {
			return last
		}
	}
	return fmt.Errorf("s3: given up after %d tries: %w", c.tries(), last)
}

func (c *Client) pause(try int) <-chan time.Time {
	if c.Pause != nil {
		return c.Pause(try)
	}
	return time.After(time.Second << (try - 1))
}

// once sends a request once. Its answer must begin, and its body move, in time.
func (c *Client) once(ctx context.Context, q request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(ctx)
	r, err := c.build(ctx, q)
	if err != nil {
		cancel()
		return nil, err
	}
	client := c.HTTP
	if client == nil {
		client = defaultHTTP
	}
	timer := time.AfterFunc(c.stall()+time.Duration(len(q.body))*time.Second/slowest, cancel)
	resp, err := client.Do(r)
	if err != nil {
		timer.Stop()
		cancel()
		return nil, fmt.Errorf("s3: %w", err)
	}
	resp.Body = &watched{resp.Body, c.stall(), timer, cancel}
	if resp.StatusCode/100 != 2 {
		return nil, readError(resp)
	}
	return resp, nil
}

// A watched body must move.
type watched struct {
	io.ReadCloser
	stall  time.Duration
	timer  *time.Timer
	cancel context.CancelFunc
}

func (w *watched) Read(p []byte) (int, error) {
	w.timer.Reset(w.stall)
	return w.ReadCloser.Read(p)
}

func (w *watched) Close() error {
	err := w.ReadCloser.Close()
	w.timer.Stop()
	w.cancel()
	return err
}

// parameters are those of our queries, sorted as signatures want.
var parameters = []string{"continuation-token", "delimiter", "list-type", "partNumber", "prefix", "uploadId", "uploads"}

func (c *Client) build(ctx context.Context, q request) (*http.Request, error) {
	u, err := url.Parse(c.Endpoint)
	if err != nil {
		return nil, errors.New("s3: the endpoint is no URL")
	}
	u.Path = "/" + c.Bucket + "/" + q.key
	if c.Hosted {
		u.Host, u.Path = c.Bucket+"."+u.Host, "/"+q.key
	}
	u.RawPath = escape(u.Path, true)
	var query []string
	for _, k := range parameters {
		if q.query.Has(k) {
			query = append(query, k+"="+escape(q.query.Get(k), false))
		}
	}
	u.RawQuery = strings.Join(query, "&")
	var body io.Reader
	if len(q.body) > 0 {
		body = bytes.NewReader(q.body)
	}
	r, err := http.NewRequestWithContext(ctx, q.method, u.String(), body)
	if err != nil {
		return nil, err
	}
	for k, v := range q.header {
		r.Header.Set(k, v)
	}
	now := time.Now
	if c.Now != nil {
		now = c.Now
	}
	c.sign(r, hexSum(q.body), now())
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
