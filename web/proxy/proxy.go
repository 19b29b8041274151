// Package proxy fetches the images of other hosts that a message shows, so that
// those hosts see this server instead of the reader.
//
// Guarantees: it connects to global unicast addresses only, whatever a name resolves
// to and wherever a redirect leads; to ports 80 and 443; it says nothing of the
// reader (no cookie, no referrer, one User-Agent for all); what it gives is a raster
// image, known by its first bytes, of a bounded size, within a bounded time. It is kept
// for a while, so that opening a message again tells its sender nothing.
package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"posthouse/internal/outward"
	"posthouse/mail"
)

// Options of New. Zero values take the defaults.
type Options struct {
	Bytes int64         // of one image; 8 MB
	Time  time.Duration // for one image, redirects included; 10 s
	// CacheBytes of images are kept in memory for CacheTime; 32 MB, 24 h. Negative: none.
	CacheBytes int64
	CacheTime  time.Duration
	Now        func() time.Time
	// Allow decides which addresses may be connected to; nil: global unicast ones,
	// on ports 80 and 443. For tests.
	Allow func(netip.AddrPort) bool
}

// A Proxy fetches images; it may be used by several goroutines.
type Proxy struct {
	opts   Options
	client *http.Client
	cache  *cache
}

// An Image is what was fetched.
type Image struct {
	Type string // image/png and the like, by its bytes
	Data []byte
}

const redirects = 5

// agent is what all hosts see: a common word, so that it tells nothing.
const agent = "Mozilla/5.0 (compatible; ImageProxy)"

// New returns a Proxy.
func New(o Options) *Proxy {
	if o.Bytes <= 0 {
		o.Bytes = 8 << 20
	}
	if o.Time <= 0 {
		o.Time = 10 * time.Second
	}
	if o.Allow == nil {
		o.Allow = outward.IsPublic
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = 32 << 20
	}
	if o.CacheTime <= 0 {
		o.CacheTime = 24 * time.Hour
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Proxy{opts: o, cache: newCache(o.CacheBytes, o.CacheTime, o.Now), client: &http.Client{
		Timeout:   o.Time,
		Transport: outward.Transport(o.Allow, o.Time),
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if len(via) >= redirects {
				return errors.New("too many redirects")
			}
			r.Header.Del("Referer")
			return checkURL(r.URL)
		},
	}}
}

func checkURL(u *url.URL) error {
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
		return errors.New("not an address of the web")
	}
	return nil
}

// Fetch gets an image, from the cache if it is there. Errors are mail.Invalid for what is no image or may not be
// fetched, mail.TooLarge, and mail.Unavailable where the host fails.
func (p *Proxy) Fetch(ctx context.Context, address string) (Image, error) {
	u, err := url.Parse(address)
	if err == nil {
		err = checkURL(u)
	}
	if err != nil {
		return Image{}, failed(mail.Invalid, "this address cannot be fetched", err)
	}
	return p.cache.get(ctx, u.String(), func(ctx context.Context) (Image, error) { return p.fetch(ctx, u) })
}

// fetch asks the image's host.
func (p *Proxy) fetch(ctx context.Context, u *url.URL) (Image, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return Image{}, failed(mail.Invalid, "this address cannot be fetched", err)
	}
	r.Header.Set("User-Agent", agent)
	r.Header.Set("Accept", "image/webp,image/png,image/jpeg,image/gif")
	resp, err := p.client.Do(r)
	if errors.Is(err, outward.ErrForbidden) {
		return Image{}, failed(mail.Invalid, "this address is not public", err)
	}
	if err != nil {
		return Image{}, failed(mail.Unavailable, "the image's server does not answer", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return Image{}, failed(mail.Unavailable, "the image is not there", fmt.Errorf("status %d", resp.StatusCode))
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, p.opts.Bytes+1))
	if err != nil {
		return Image{}, failed(mail.Unavailable, "the image's server does not answer", err)
	}
	if int64(len(data)) > p.opts.Bytes {
		return Image{}, failed(mail.TooLarge, "the image is too large", nil)
	}
	kind := Raster(data)
	if kind == "" {
		return Image{}, failed(mail.Invalid, "this is no image", nil)
	}
	return Image{kind, data}, nil
}

func failed(k mail.Kind, text string, err error) error {
	return &mail.Error{Kind: k, Op: "proxy.Fetch", Text: text, Err: err}
}

// Raster tells the type of a picture by its first bytes: "" for anything that is not
// made of pixels only. What the sender called it plays no part.
func Raster(b []byte) string {
	switch {
	case len(b) > 11 && string(b[4:8]) == "ftyp" && (string(b[8:12]) == "avif" || string(b[8:12]) == "avis"):
		return "image/avif"
	default:
		switch t := http.DetectContentType(b); t {
		case "image/png", "image/gif", "image/jpeg", "image/webp", "image/bmp":
			return t
		case "image/x-icon", "image/vnd.microsoft.icon":
			return strings.TrimSpace(t)
		}
	}
	return ""
}
