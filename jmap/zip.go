package jmap

import (
	"archive/zip"
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"
	"time"

	"posthouse/mail"
	"posthouse/store"
)

// zipAttachments is GET /jmap/zip/{account}/{email}: all attachments of a message in
// one file, as it is written. They are not compressed: most are already, and it costs
// no more than reading the message.
func (s *Server) zipAttachments(w http.ResponseWriter, r *http.Request, who *principal) {
	missing := &requestError{"", http.StatusNotFound, "there is no such message", ""}
	a, err := s.account(r.Context(), who, r.PathValue("account"))
	id, ok := parseEmailID(r.PathValue("email"))
	if err != nil || !ok {
		missing.write(w)
		return
	}
	c := &call{Server: s, ctx: r.Context(), who: who, acct: a, args: map[string]any{}, req: &request{created: map[string]string{}}}
	var e *email
	err = c.view(func(v *store.View) (err error) {
		e, err = c.loadEmail(&rows{v: v, snaps: map[store.MailboxID]*store.Snapshot{}}, id)
		return err
	})
	if err == nil && e != nil {
		_, err = e.message()
	}
	switch {
	case err != nil && mail.KindOf(err) != mail.NotFound:
		s.failed(r.Context(), "jmap: zip failed", "account", uint64(who.account.ID), "err", err)
		(&requestError{"", http.StatusServiceUnavailable, "try again later", ""}).write(w)
		return
	case err != nil || e == nil:
		missing.write(w)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/zip")
	h.Set("Content-Disposition", "attachment; "+fileNameParam(r.URL.Query().Get("name")+".zip"))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "private, no-store")
	if err := e.writeZip(&stallWriter{w: w, ctl: http.NewResponseController(w)}); err != nil {
		s.log.Debug("jmap: zip cut off", "account", uint64(who.account.ID), "err", err)
	}
}

func (e *email) writeZip(w io.Writer) error {
	z := zip.NewWriter(w)
	names := map[string]bool{}
	for n, i := range listBodies(e.msg).attachments {
		if err := e.zipPart(z, i, n+1, names); err != nil {
			return err
		}
	}
	return z.Close()
}

func (e *email) zipPart(z *zip.Writer, i, n int, names map[string]bool) error {
	p := &e.msg.Parts[i]
	name := p.Filename()
	if name == "" && p.IsMessage() {
		name = fmt.Sprintf("message-%d.eml", n)
	}
	f, err := z.CreateHeader(&zip.FileHeader{Name: zipName(name, n, names), Method: zip.Store, Modified: time.Unix(e.received, 0).UTC()})
	if err != nil {
		return err
	}
	r, closer, err := e.decoded(i)
	if err != nil {
		return err
	}
	defer closer.Close()
	_, err = io.Copy(f, r)
	return err
}

// zipName makes a name that leads to no other directory and that no other file has.
func zipName(name string, n int, names map[string]bool) string {
	name = strings.TrimLeft(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || strings.ContainsRune(`/\:*?"<>|`, r) {
			return '_'
		}
		return r
	}, strings.ToValidUTF8(name, "_")), ". ")
	if len(name) > 200 {
		name = strings.ToValidUTF8(name[:200], "")
	}
	if name == "" {
		name = fmt.Sprintf("attachment-%d", n)
	}
	for base, ext := strings.TrimSuffix(name, path.Ext(name)), path.Ext(name); names[strings.ToLower(name)]; n++ {
		name = fmt.Sprintf("%s (%d)%s", base, n, ext)
	}
	names[strings.ToLower(name)] = true
	return name
}
