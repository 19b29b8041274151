package web

import (
	"bytes"
	"compress/gzip"
	"embed"
	"encoding/json"
	"html/template"
	"io"
	"io/fs"
	"net/http"
	"path"
	"strings"
)

// dist is what `make ui` built, compressed, or in a checkout where it was not run the
// page that says so (docs/decisions/0170).
//
//go:embed all:ui/dist
var dist embed.FS

// An app is the client as it was built: a page, and files named by their content.
type app struct {
	page   *template.Template // nil: it was not built
	editor []byte
	files  fs.FS
}

func newApp() *app {
	built, err := fs.Sub(dist, "ui/dist/app")
	if err != nil {
		return &app{}
	}
	a := &app{files: built}
	page, err := gunzip(built, "index.html.gz")
	if err != nil {
		return &app{}
	}
	if a.editor, err = gunzip(built, "editor.html.gz"); err != nil {
		return &app{}
	}
	a.page, err = template.New("index.html").Parse(string(page))
	if err != nil {
		return &app{}
	}
	return a
}

// Built reports whether the client is part of this binary.
func Built() bool { return newApp().page != nil }

func gunzip(f fs.FS, name string) ([]byte, error) {
	b, err := fs.ReadFile(f, name)
	if err != nil {
		return nil, err
	}
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

const appPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; frame-src 'self'; worker-src 'self'; " +
	"manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"

// editorPolicy keeps the editor, which holds quoted mail, as far from everything as
// the viewer.
const editorPolicy = "sandbox allow-scripts; default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; " +
	"form-action 'none'; base-uri 'none'; frame-ancestors 'self'"

// shell serves the client's page; it says who has logged in, so that the client can
// begin with its first question.
func (s *Server) shell(w http.ResponseWriter, r *http.Request) {
	if s.app.page == nil {
		s.unbuilt(w)
		return
	}
	var boot struct {
		Shell   bool     `json:"shell,omitempty"` // the page is for the service worker, which shows it to whoever has logged in
		Account string   `json:"account,omitempty"`
		User    string   `json:"user,omitempty"`
		Name    string   `json:"name,omitempty"`
		People  []Person `json:"people,omitempty"`
	}
	if r.URL.Path == "/shell" {
		boot.Shell = true
	} else if who, err := s.opts.User(r); err == nil {
		boot.Account, boot.User, boot.Name = accountName(who.ID), who.Address.String(), who.Name
	}
	boot.People = s.opts.People
	text, err := json.Marshal(boot)
	if err != nil {
		s.refuse(w, err)
		return
	}
	var b bytes.Buffer
	if err := s.app.page.Execute(&b, string(text)); err != nil {
		s.refuse(w, err)
		return
	}
	h := w.Header()
	h.Set("Content-Security-Policy", appPolicy)
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-cache")
	_, _ = w.Write(b.Bytes())
}

// editor serves the page of the editor's frame.
func (s *Server) editor(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", editorPolicy)
	if r.Header.Get("Sec-Fetch-Dest") != "iframe" || r.Header.Get("Sec-Fetch-Site") != "same-origin" || s.app.page == nil {
		http.Error(w, "the editor is part of the mail client", http.StatusForbidden)
		return
	}
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-cache")
	_, _ = w.Write(s.app.editor)
}

var types = map[string]string{".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".webmanifest": "application/manifest+json",
	".png": "image/png", ".svg": "image/svg+xml", ".json": "application/json"}

// asset serves a file of the client in the form that was compressed when it was built.
func (s *Server) asset(w http.ResponseWriter, r *http.Request) {
	name := path.Base(r.URL.Path)
	kind, ok := types[path.Ext(name)]
	if !ok || s.app.page == nil {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	body, err := []byte(nil), fs.ErrNotExist
	for _, c := range []struct{ coding, ext string }{{"br", ".br"}, {"gzip", ".gz"}} {
		if strings.Contains(r.Header.Get("Accept-Encoding"), c.coding) {
			if body, err = fs.ReadFile(s.app.files, name+c.ext); err == nil {
				h.Set("Content-Encoding", c.coding)
				break
			}
		}
	}
	if err != nil {
		body, err = gunzip(s.app.files, name+".gz")
	}
	if err != nil {
		http.NotFound(w, r)
		return
	}
	h.Set("Content-Type", kind)
	h.Add("Vary", "Accept-Encoding")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin") // the editor's frame has no origin
	h.Set("Access-Control-Allow-Origin", "*")             // and it loads modules
	if strings.HasPrefix(r.URL.Path, "/assets/") {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	_, _ = w.Write(body)
}

// worker serves the service worker, which every start looks at anew.
func (s *Server) worker(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Service-Worker-Allowed", "/")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; connect-src 'self'") // what it fetches itself
	s.asset(w, r)
	w.Header().Set("Cache-Control", "no-cache")
}

// unbuilt is what a server shows that was built without the client.
func (s *Server) unbuilt(w http.ResponseWriter) {
	page, err := dist.ReadFile("ui/dist/unbuilt.html")
	if err != nil {
		s.refuse(w, err)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(page)
}
