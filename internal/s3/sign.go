package s3

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	algorithm = "AWS4-HMAC-SHA256"
	stampForm = "20060102T150405Z"
)

// sign adds a version 4 signature. It covers the headers host, range and those
// that begin with x-amz-; sum is the SHA-256 of the body, in hex.
func (c *Client) sign(r *http.Request, sum string, now time.Time) {
	now = now.UTC()
	r.Header.Set("X-Amz-Date", now.Format(stampForm))
	r.Header.Set("X-Amz-Content-Sha256", sum)
	names := []string{"host"}
	for n := range r.Header {
		if n = strings.ToLower(n); n == "range" || strings.HasPrefix(n, "x-amz-") {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	var headers strings.Builder
	for _, n := range names {
		v := r.Header.Get(n)
		if n == "host" {
			v = r.URL.Host
		}
		headers.WriteString(n + ":" + strings.TrimSpace(v) + "\n")
	}
	signed := strings.Join(names, ";")
	request := strings.Join([]string{r.Method, r.URL.EscapedPath(), r.URL.RawQuery, headers.String(), signed, sum}, "\n")
	scope := now.Format("20060102") + "/" + c.Region + "/s3/aws4_request"
	text := strings.Join([]string{algorithm, now.Format(stampForm), scope, hexSum([]byte(request))}, "\n")
	key := []byte("AWS4" + c.Secret)
	for _, part := range strings.Split(scope, "/") {
		key = mac(key, part)
	}
	r.Header.Set("Authorization", algorithm+" Credential="+c.Key+"/"+scope+", SignedHeaders="+signed+", Signature="+hex.EncodeToString(mac(key, text)))
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func hexSum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// escape encodes a path or the parts of a query as signatures want it: all bytes
// but letters, digits and -._~, and slash in a path.
func escape(s string, path bool) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0 || path && c == '/' {
			b.WriteByte(c)
			continue
		}
		const hexDigits = "0123456789ABCDEF"
		b.Write([]byte{'%', hexDigits[c>>4], hexDigits[c&15]})
	}
	return b.String()
}
