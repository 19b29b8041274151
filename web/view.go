package web

import (
	"bytes"
	"context"
	"encoding/json"
	"html/template"
	"net/http"
	"strconv"
	"strings"

	"posthouse/mail"
	"posthouse/store"
	"posthouse/trust"
	"posthouse/web/render"
)

// A User is who a request comes from.
type User struct {
	ID      mail.AccountID
	Address mail.Address
	Name    string
}

// Bytes of the body that a frame shows at first, and when all is asked for.
const (
	firstBytes = 200 << 10
	allBytes   = 8 << 20
)

// viewAs is how a reader wants to see a message.
type viewAs struct {
	images bool  // of other hosts, through the proxy
	plain  bool  // the plain text, where there is both
	limit  int64 // bytes of each part
}

// A frame is what frame.html shows.
type frame struct {
	Kind   string // plain, html
	Meta   string
	Style  template.CSS
	Body   template.HTML // of package render
	Script template.JS
}

// A viewMeta is what the app learns about a message from its frame.
type viewMeta struct {
	Blocked  int              `json:"blocked"`
	Proxied  int              `json:"proxied"`
	Trackers []string         `json:"trackers,omitempty"`
	Reasons  []trust.Reason   `json:"reasons,omitempty"`
	Verified string           `json:"verified,omitempty"` // the domain that stands behind the message
	Failed   bool             `json:"failed,omitempty"`   // it should have, and did not
	Cut      int64            `json:"cut,omitempty"`      // size of the whole, where not all is shown
	HTML     bool             `json:"html"`               // there is HTML
	Plain    bool             `json:"plain"`              // there is plain text
	Findings []findingOfCheck `json:"findings,omitempty"`
}

type findingOfCheck struct {
	Check  string `json:"check"`
	Result string `json:"result"`
	Text   string `json:"text,omitempty"`
}

// viewPolicy keeps a message in its frame, and harmless when opened by itself.
func (s *Server) viewPolicy() string {
	return "sandbox allow-scripts allow-popups allow-popups-to-escape-sandbox; default-src 'none'; script-src '" + s.frameHash +
		"'; style-src 'unsafe-inline'; img-src 'self' data:; font-src 'none'; form-action 'none'; base-uri 'none'; frame-ancestors 'self'"
}

// view serves /r/{account}/{email}: the body of a message for the app's frame.
func (s *Server) view(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", s.viewPolicy())
	h.Set("Cache-Control", "private, no-store")
	// The client fetches what it keeps for when the server is away.
	kept := r.Header.Get("Sec-Fetch-Dest") == "empty" && r.Header.Get("X-Posthouse-Client") != ""
	if r.Header.Get("Sec-Fetch-Dest") != "iframe" && !kept || r.Header.Get("Sec-Fetch-Site") != "same-origin" {
		http.Error(w, "messages are shown inside of the mail client only", http.StatusForbidden)
		return
	}
	g, err := s.viewed(r)
	if err != nil {
		s.refuse(w, err)
		return
	}
	q := r.URL.Query()
	how := viewAs{images: q.Get("images") == "1", plain: q.Get("plain") == "1", limit: firstBytes}
	if q.Get("all") == "1" {
		how.limit = allBytes
	}
	f, err := s.frame(r.Context(), g, how)
	if err != nil {
		s.refuse(w, err)
		return
	}
	var b bytes.Buffer
	if err := framePage.Execute(&b, f); err != nil {
		s.refuse(w, err)
		return
	}
	h.Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(b.Bytes())
}

// quote serves /r/{account}/{email}/quote: the body as the editor takes it.
func (s *Server) quote(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "private, no-store")
	if d := r.Header.Get("Sec-Fetch-Dest"); d != "empty" || r.Header.Get("Sec-Fetch-Site") != "same-origin" {
		http.Error(w, "for the mail client only", http.StatusForbidden)
		return
	}
	g, err := s.viewed(r)
	if err != nil {
		s.refuse(w, err)
		return
	}
	body, err := s.open(r.Context(), g)
	if err != nil {
		s.refuse(w, err)
		return
	}
	defer body.Close()
	res, _, _ := body.render(s, g, viewAs{limit: allBytes})
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write(res.HTML)
}

// viewed finds out which message a request is about, and that its sender may see it.
func (s *Server) viewed(r *http.Request) (signed, error) {
	if s.opts.User == nil {
		return signed{}, &mail.Error{Kind: mail.NotFound, Op: "web.view", Text: "there is no mail here"}
	}
	who, err := s.opts.User(r)
	if err != nil {
		return signed{}, &mail.Error{Kind: mail.Denied, Op: "web.view", Text: "log in first", Err: err}
	}
	id, err := strconv.ParseUint(strings.TrimPrefix(r.PathValue("email"), "M"), 10, 64)
	none := &mail.Error{Kind: mail.NotFound, Op: "web.view", Text: "there is no such message"}
	if err != nil {
		return signed{}, none
	}
	g := signed{account: who.ID, email: store.EmailID(id), user: who.ID}
	if account := r.PathValue("account"); account != accountName(who.ID) {
		if s.opts.Account == nil {
			return signed{}, none
		}
		if g.as, err = s.opts.Account(r.Context(), who.ID, account); err != nil {
			if mail.KindOf(err) == mail.NotFound {
				err = none
			}
			return signed{}, err
		}
		g.account = g.as.ID()
	}
	return g, nil
}

// frame makes the page of a message.
func (s *Server) frame(ctx context.Context, g signed, how viewAs) (frame, error) {
	body, err := s.open(ctx, g)
	if err != nil {
		return frame{}, err
	}
	defer body.Close()
	res, kind, size := body.render(s, g, how)
	m := viewMeta{Blocked: res.Blocked, Proxied: res.Proxied, HTML: body.has("html"), Plain: body.has("plain")}
	if res.Cut {
		m.Cut = size
	}
	for _, t := range res.Trackers {
		m.Trackers = append(m.Trackers, t.Name)
	}
	for _, f := range body.email.Findings() {
		m.Findings = append(m.Findings, findingOfCheck{f.Check, f.Result, f.Text})
	}
	if err := s.judge(ctx, g, &m, &res); err != nil {
		return frame{}, err
	}
	meta, err := json.Marshal(m)
	if err != nil {
		return frame{}, err
	}
	return frame{Kind: kind, Meta: string(meta), Style: template.CSS(frameCSS), Body: template.HTML(res.HTML), Script: template.JS(frameJS)}, nil
}

// judge adds what the reader should know of a message's sender and of what it shows.
func (s *Server) judge(ctx context.Context, g signed, m *viewMeta, res *render.Result) error {
	var besides []trust.Reason // says little alone, and something beside others
	if s.opts.Verdict != nil {
		v, err := s.opts.Verdict(ctx, g.user, accountName(g.account), g.email)
		if err != nil {
			return err
		}
		for _, r := range v.Reasons {
			switch {
			case r.Code == trust.ReasonVerified:
				m.Verified = r.Real
			case r.Code == trust.ReasonUnverified:
				m.Failed = true
			case r.Level == trust.Warning:
				m.Reasons = append(m.Reasons, r)
			case r.Code == trust.ReasonReplyTo:
				besides = append(besides, r)
			}
		}
	}
	links := make([]trust.Link, len(res.Links))
	for i, l := range res.Links {
		links[i] = trust.Link(l)
	}
	if m.Reasons = append(m.Reasons, trust.Body(links, res.Forms)...); len(m.Reasons) > 0 {
		m.Reasons = append(m.Reasons, besides...)
	}
	return nil
}

// image serves /i/{token}: a part of a message, or an image from elsewhere.
func (s *Server) image(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", "sandbox; default-src 'none'")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin") // the frame that asks has no origin
	h.Set("Cache-Control", "no-store")
	g, ok := s.verify(r.PathValue("token"))
	if !ok || s.opts.Store == nil {
		http.Error(w, "this address is no longer good: open the message again", http.StatusForbidden)
		return
	}
	kind, data := "", []byte(nil)
	if g.url != "" {
		img, err := s.proxy.Fetch(r.Context(), g.url)
		if err != nil {
			s.refuse(w, err)
			return
		}
		kind, data = img.Type, img.Data
	} else {
		var err error
		if kind, data, err = s.inline(r.Context(), g); err != nil {
			s.refuse(w, err)
			return
		}
	}
	h.Set("Content-Type", kind)
	h.Set("Content-Disposition", "inline")
	h.Set("Cache-Control", "private, max-age=900")
	_, _ = w.Write(data)
}

// refuse answers with what is safe to say of an error.
func (s *Server) refuse(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	switch mail.KindOf(err) {
	case mail.NotFound:
		status = http.StatusNotFound
	case mail.Denied:
		status = http.StatusUnauthorized
	case mail.Invalid, mail.TooLarge:
		status = http.StatusUnprocessableEntity
	case mail.Unavailable:
		status = http.StatusBadGateway
	default:
		s.opts.Logger.Error("web: a request failed", "err", err)
	}
	text := mail.TextOf(err)
	if text == "" {
		text = "try again later"
	}
	http.Error(w, text, status)
}

// accountName is the JMAP id of an account.
func accountName(id mail.AccountID) string { return "A" + strconv.FormatUint(uint64(id), 10) }
