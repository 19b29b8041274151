package render

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// image writes an image, a place for one that is blocked, or nothing for one that
// only reports.
func (s *sanitizer) image(a *attrs) {
	src := cleanURL(a.raw["src"])
	if isRemote(src) {
		if t, ok := tracker(src, a); ok {
			s.track(t)
			return
		}
	}
	to := s.fetched(src)
	if to == "" {
		if src != "" && isRemote(src) {
			a.set("data-blocked", "1")
			a.set("src", nothing) // keeps its place
		}
		if a.keep["alt"] == "" && !isRemote(src) {
			return
		}
	} else {
		a.set("src", to)
		a.set("loading", "lazy")
		a.set("decoding", "async")
	}
	s.write("img", a)
}

// nothing is a picture of one transparent point.
const nothing = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="

func isRemote(u string) bool {
	l := strings.ToLower(u[:min(len(u), 8)])
	return strings.HasPrefix(l, "http:") || strings.HasPrefix(l, "https:") || strings.HasPrefix(l, "//")
}

// fetched returns the address that a browser may fetch instead of u; "" if none.
func (s *sanitizer) fetched(u string) string {
	u = cleanURL(u)
	scheme, rest, _ := strings.Cut(u, ":")
	switch strings.ToLower(scheme) {
	case "cid":
		if s.opts.Part == nil {
			return ""
		}
		if id, err := url.PathUnescape(rest); err == nil {
			rest = id
		}
		return s.opts.Part(rest)
	case "data":
		if isRaster(rest) {
			return u
		}
		return ""
	}
	if strings.HasPrefix(u, "//") {
		u = "https:" + u
	}
	if !isRemote(u) {
		return ""
	}
	p, err := url.Parse(u)
	if err != nil || p.Host == "" || len(u) > maxImageURL {
		return ""
	}
	p.User, p.Fragment = nil, ""
	to := ""
	if s.opts.Image != nil {
		to = s.opts.Image(p.String())
	}
	if to == "" {
		s.res.Blocked++
	} else {
		s.res.Proxied++
	}
	return to
}

// maxImageURL bounds an address of an image: it travels inside of another.
const maxImageURL = 2048

// maxInline bounds an image that is inside the HTML.
const maxInline = 1 << 20

// isRaster reports whether the rest of a data: address is a picture in base64.
func isRaster(s string) bool {
	kind, data, ok := strings.Cut(s, ",")
	if !ok || len(data) > maxInline {
		return false
	}
	kind, coding, _ := strings.Cut(strings.ToLower(kind), ";")
	if coding != "base64" || !slices.Contains([]string{"image/png", "image/gif", "image/jpeg", "image/jpg", "image/webp", "image/bmp"}, strings.TrimSpace(kind)) {
		return false
	}
	return strings.IndexFunc(data, func(r rune) bool {
		return !(r == '+' || r == '/' || r == '=' || r == '%' || '0' <= r && r <= '9' || 'a' <= r|0x20 && r|0x20 <= 'z')
	}) < 0
}

// tracker tells whether an image is there to be seen, or to report.
func tracker(src string, a *attrs) (Tracker, bool) {
	u, err := url.Parse(src)
	if err != nil {
		return Tracker{}, false
	}
	host := strings.ToLower(u.Hostname())
	name, known := host, false
	for _, t := range trackerHosts {
		if host == t.suffix || strings.HasSuffix(host, "."+t.suffix) {
			name, known = t.name, true
			break
		}
	}
	w, h := pixels(a.raw["width"]), pixels(a.raw["height"])
	style := strings.ToLower(strings.ReplaceAll(a.raw["style"], " ", ""))
	tiny := w >= 0 && w <= 2 && h <= 2 || h >= 0 && h <= 2 && w <= 2
	hidden := strings.Contains(style, "display:none") || strings.Contains(style, "visibility:hidden") || strings.Contains(style, "opacity:0;") ||
		strings.HasSuffix(style, "opacity:0") || strings.Contains(style, "width:1px") && strings.Contains(style, "height:1px") || strings.Contains(style, "width:0") && strings.Contains(style, "height:0")
	path := strings.ToLower(u.Path)
	speaks := known && (strings.Contains(path, "/open") || strings.Contains(path, "/wf/open") || strings.Contains(path, "track"))
	return Tracker{name, host}, tiny || hidden || speaks
}

// pixels reads a width or height; -1 if it is none.
func pixels(s string) int {
	s = strings.TrimSuffix(strings.TrimSpace(strings.ToLower(s)), "px")
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return -1
	}
	return n
}

func (s *sanitizer) track(t Tracker) {
	if len(s.res.Trackers) < 20 && !slices.Contains(s.res.Trackers, t) {
		s.res.Trackers = append(s.res.Trackers, t)
	}
}
