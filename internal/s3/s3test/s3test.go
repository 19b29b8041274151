// Package s3test is an object store in memory for tests. It verifies signatures
// and checksums as the real ones do, pages its lists, and fails when told.
package s3test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"posthouse/internal/s3"
)

// A Server is a store with one bucket. Fail, if not nil, is asked before each
// request, and may answer it with a status.
type Server struct {
	t       testing.TB
	Client  s3.Client // that may use it
	Fail    func(r *http.Request) int
	mu      sync.Mutex
	objects map[string][]byte
}

// New starts a store that ends with the test.
func New(t testing.TB) *Server {
	s := &Server{t: t, objects: map[string][]byte{}}
	h := httptest.NewServer(s)
	transport := &http.Transport{}
	t.Cleanup(func() { transport.CloseIdleConnections(); h.Close() })
	s.Client = s3.Client{Endpoint: h.URL, Region: "test-1", Bucket: "mail", Key: "AKIDTEST", Secret: "secret/key",
		HTTP: &http.Client{Transport: transport}, Pause: func(int) <-chan time.Time { return time.After(time.Millisecond) }}
	return s
}

// Objects returns what is there.
func (s *Server) Objects() map[string][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[string][]byte{}
	for k, b := range s.objects {
		all[k] = slices.Clone(b)
	}
	return all
}

// Edit changes an object, as damage does.
func (s *Server) Edit(key string, change func(b []byte)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s.objects[key])
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client ended
	}
	if s.Fail != nil {
		if status := s.Fail(r); status != 0 {
			answer(w, status, "Told")
			return
		}
	}
	if why := s.refuses(r, body); why != "" {
		answer(w, http.StatusForbidden, why)
		return
	}
	key, ok := strings.CutPrefix(r.URL.Path, "/"+s.Client.Bucket+"/")
	if !ok {
		answer(w, http.StatusNotFound, "NoSuchBucket")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case r.Method == http.MethodPut:
		s.objects[key] = body
	case r.Method == http.MethodDelete:
		delete(s.objects, key)
		w.WriteHeader(http.StatusNoContent)
	case key == "":
		s.listLocked(w, r)
	default:
		b, ok := s.objects[key]
		if !ok {
			answer(w, http.StatusNotFound, "NoSuchKey")
			return
		}
		http.ServeContent(w, r, "", time.Unix(1_800_000_000, 0), strings.NewReader(string(b)))
	}
}

func answer(w http.ResponseWriter, status int, code string) {
	w.WriteHeader(status)
	fmt.Fprintf(w, "<Error><Code>%s</Code><Message>test</Message></Error>", code)
}

// pageSize is small, so that lists have pages.
const pageSize = 3

func (s *Server) listLocked(w http.ResponseWriter, r *http.Request) {
	type object struct{ Key string }
	type common struct{ Prefix string }
	var out struct {
		XMLName               xml.Name `xml:"ListBucketResult"`
		Contents              []object
		CommonPrefixes        []common
		IsTruncated           bool
		NextContinuationToken string
	}
	q := r.URL.Query()
	prefix := q.Get("prefix")
	names := map[string]bool{}
	for k := range s.objects {
		if rest, ok := strings.CutPrefix(k, prefix); ok {
			if i := strings.IndexByte(rest, '/'); i >= 0 {
				rest = rest[:i+1]
			}
			names[rest] = true
		}
	}
	var sorted []string
	for n := range names {
		if n > q.Get("continuation-token") {
			sorted = append(sorted, n)
		}
	}
	slices.Sort(sorted)
	if out.IsTruncated = len(sorted) > pageSize; out.IsTruncated {
		sorted = sorted[:pageSize]
		out.NextContinuationToken = sorted[pageSize-1]
	}
	for _, n := range sorted {
		if strings.HasSuffix(n, "/") {
			out.CommonPrefixes = append(out.CommonPrefixes, common{prefix + n})
		} else {
			out.Contents = append(out.Contents, object{prefix + n})
		}
	}
	if err := xml.NewEncoder(w).Encode(out); err != nil {
		s.t.Error(err)
	}
}

// refuses says what is wrong with a request's signature, made anew here from what
// arrived: the path and query as they came, not as they are decoded.
func (s *Server) refuses(r *http.Request, body []byte) string {
	auth := r.Header.Get("Authorization")
	fields := map[string]string{}
	for _, f := range strings.Split(strings.TrimPrefix(auth, "AWS4-HMAC-SHA256 "), ", ") {
		k, v, _ := strings.Cut(f, "=")
		fields[k] = v
	}
	cred := strings.Split(fields["Credential"], "/")
	if len(cred) != 5 || cred[0] != s.Client.Key || cred[2] != s.Client.Region || cred[3] != "s3" || cred[4] != "aws4_request" {
		return "InvalidAccessKeyId"
	}
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil || time.Since(at).Abs() > 15*time.Minute || cred[1] != at.Format("20060102") {
		return "RequestTimeTooSkewed"
	}
	sum := sha256.Sum256(body)
	if r.Header.Get("X-Amz-Content-Sha256") != hex.EncodeToString(sum[:]) {
		return "XAmzContentSHA256Mismatch"
	}
	if r.Method == http.MethodPut && r.Header.Get("Content-Length") != strconv.Itoa(len(body)) && r.ContentLength != int64(len(body)) {
		return "MissingContentLength"
	}
	path, query, _ := strings.Cut(r.RequestURI, "?")
	text := r.Method + "\n" + path + "\n" + query + "\n"
	signed := strings.Split(fields["SignedHeaders"], ";")
	for _, must := range []string{"host", "x-amz-date", "x-amz-content-sha256"} {
		if !slices.Contains(signed, must) {
			return "SignatureDoesNotMatch"
		}
	}
	for _, h := range signed {
		v := r.Header.Get(h)
		if h == "host" {
			v = r.Host
		}
		text += h + ":" + v + "\n"
	}
	text += "\n" + fields["SignedHeaders"] + "\n" + hex.EncodeToString(sum[:])
	digest := sha256.Sum256([]byte(text))
	key := []byte("AWS4" + s.Client.Secret)
	for _, part := range append(cred[1:], "AWS4-HMAC-SHA256\n"+r.Header.Get("X-Amz-Date")+"\n"+strings.Join(cred[1:], "/")+"\n"+hex.EncodeToString(digest[:])) {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(part))
		key = h.Sum(nil)
	}
	if hex.EncodeToString(key) != fields["Signature"] {
		return "SignatureDoesNotMatch"
	}
	return ""
}
