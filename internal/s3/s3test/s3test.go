// Package s3test is an object store in memory for tests. It verifies signatures
// and checksums as the real ones do, pages its lists, and fails when told.
package s3test

import (
	"crypto/hmac"
	"crypto/md5"
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
// request, and may answer it with a status, or one of the faults below.
type Server struct {
	t             testing.TB
	Client        s3.Client // that may use it
	Fail          func(r *http.Request) int
	Unconditional bool // it does not know conditions
	mu            sync.Mutex
	objects       map[string]object
	uploads       map[string]map[int][]byte
	begun         int
}

type object struct {
	b  []byte
	at time.Time
}

// Faults that Fail may ask for, besides a status.
const (
	Cut    = -1 - iota // the connection ends in the middle of the request
	Forget             // the connection ends when all is done, before the answer
	Lie                // something else is stored, as its ETag says
	Opaque             // the ETag is no MD5, as with some kinds of encryption
	Hang               // there is no answer until the client goes
)

// New starts a store that ends with the test.
func New(t testing.TB) *Server {
	s := &Server{t: t, objects: map[string]object{}, uploads: map[string]map[int][]byte{}}
	h := httptest.NewServer(s)
	transport := &http.Transport{}
	t.Cleanup(func() { transport.CloseIdleConnections(); h.Close() })
	s.Client = s3.Client{Endpoint: h.URL, Region: "test-1", Bucket: "mail", Key: "AKIDTEST", Secret: "secret/key",
		Stall: 20 * time.Second, PartSize: 64 << 10,
		HTTP: &http.Client{Transport: transport}, Pause: func(int) <-chan time.Time { return time.After(time.Millisecond) }}
	return s
}

// Objects returns what is there.
func (s *Server) Objects() map[string][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[string][]byte{}
	for k, b := range s.objects {
		all[k] = slices.Clone(b.b)
	}
	return all
}

// Edit changes an object, as damage does.
func (s *Server) Edit(key string, change func(b []byte)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s.objects[key].b)
}

// Clone starts another store that has what this one has now.
func (s *Server) Clone() *Server {
	c := New(s.t)
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, o := range s.objects {
		c.objects[k] = object{slices.Clone(o.b), o.at}
	}
	return c
}

// Uploads returns how many uploads in parts were begun and not ended.
func (s *Server) Uploads() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.uploads)
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	fault := 0
	if s.Fail != nil {
		fault = s.Fail(r)
	}
	if fault == Cut {
		_, _ = io.CopyN(io.Discard, r.Body, max(0, r.ContentLength/2))
		panic(http.ErrAbortHandler)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client ended
	}
	switch {
	case fault == Hang:
		<-r.Context().Done()
		return
	case fault > 0:
		answer(w, fault, "Told")
		return
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
	if fault == Lie && len(body) > 0 {
		body[len(body)/2] ^= 1
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if fault == Forget {
		s.serveLocked(httptest.NewRecorder(), r, key, body)
		panic(http.ErrAbortHandler)
	}
	if fault == Opaque && r.Method != http.MethodGet {
		w.Header().Set("ETag", `"opaque"`)
	}
	s.serveLocked(w, r, key, body)
}

func (s *Server) serveLocked(w http.ResponseWriter, r *http.Request, key string, body []byte) {
	q := r.URL.Query()
	switch {
	case q.Has("uploads") || q.Has("uploadId"):
		s.partsLocked(w, r, key, body)
	case r.Method == http.MethodPut:
		s.putLocked(w, r, key, body)
	case r.Method == http.MethodDelete:
		delete(s.objects, key)
		w.WriteHeader(http.StatusNoContent)
	case key == "":
		s.listLocked(w, r)
	default:
		o, ok := s.objects[key]
		if !ok {
			answer(w, http.StatusNotFound, "NoSuchKey")
			return
		}
		tag(w, o.b)
		http.ServeContent(w, r, "", o.at, strings.NewReader(string(o.b)))
	}
}

func etag(b []byte) string { return fmt.Sprintf(`"%x"`, md5.Sum(b)) }

func tag(w http.ResponseWriter, b []byte) {
	if w.Header().Get("ETag") == "" {
		w.Header().Set("ETag", etag(b))
	}
}

func (s *Server) putLocked(w http.ResponseWriter, r *http.Request, key string, body []byte) {
	old, there := s.objects[key]
	match, absent := r.Header.Get("If-Match"), r.Header.Get("If-None-Match") == "*"
	switch {
	case s.Unconditional && (match != "" || absent):
		answer(w, http.StatusNotImplemented, "NotImplemented")
		return
	case absent && there || match != "" && (!there || match != etag(old.b)):
		answer(w, http.StatusPreconditionFailed, "PreconditionFailed")
		return
	}
	s.objects[key] = object{body, time.Now().UTC()}
	tag(w, body)
}

// partsLocked serves uploads in parts.
func (s *Server) partsLocked(w http.ResponseWriter, r *http.Request, key string, body []byte) {
	q := r.URL.Query()
	id := q.Get("uploadId")
	up, ok := s.uploads[id]
	switch {
	case q.Has("uploads"):
		s.begun++
		id = fmt.Sprint(key, "#", s.begun)
		s.uploads[id] = map[int][]byte{}
		fmt.Fprintf(w, "<InitiateMultipartUploadResult><UploadId>%s</UploadId></InitiateMultipartUploadResult>", id)
	case !ok:
		answer(w, http.StatusNotFound, "NoSuchUpload")
	case r.Method == http.MethodPut:
		n, err := strconv.Atoi(q.Get("partNumber"))
		if err != nil || n < 1 {
			answer(w, http.StatusBadRequest, "InvalidArgument")
			return
		}
		up[n] = body
		tag(w, body)
	case r.Method == http.MethodDelete:
		delete(s.uploads, id)
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodPost:
		var whole []byte
		for n := 1; n <= len(up); n++ {
			if !strings.Contains(string(body), fmt.Sprintf("<PartNumber>%d</PartNumber>", n)) {
				answer(w, http.StatusBadRequest, "InvalidPart")
				return
			}
			whole = append(whole, up[n]...)
		}
		delete(s.uploads, id)
		s.objects[key] = object{whole, time.Now().UTC()}
		fmt.Fprintf(w, "<CompleteMultipartUploadResult><ETag>x-%d</ETag></CompleteMultipartUploadResult>", len(up))
	}
}

func answer(w http.ResponseWriter, status int, code string) {
	w.WriteHeader(status)
	fmt.Fprintf(w, "<Error><Code>%s</Code><Message>test</Message></Error>", code)
}

// pageSize is small, so that lists have pages.
const pageSize = 7

func (s *Server) listLocked(w http.ResponseWriter, r *http.Request) {
	type content struct {
		Key          string
		Size         int
		LastModified time.Time
	}
	type common struct{ Prefix string }
	var out struct {
		XMLName               xml.Name `xml:"ListBucketResult"`
		Contents              []content
		CommonPrefixes        []common
		IsTruncated           bool
		NextContinuationToken string
	}
	q := r.URL.Query()
	prefix := q.Get("prefix")
	names := map[string]bool{}
	for k := range s.objects {
		if rest, ok := strings.CutPrefix(k, prefix); ok {
			if i := strings.IndexByte(rest, '/'); i >= 0 && q.Get("delimiter") == "/" {
				rest = rest[:i+1]
			}
			names[rest] = true
		}
	}
	var sorted []string
	for n := range names {
		if !q.Has("continuation-token") || n > q.Get("continuation-token") {
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
			o := s.objects[prefix+n]
			out.Contents = append(out.Contents, content{prefix + n, len(o.b), o.at})
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
