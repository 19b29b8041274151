package jmap

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"posthouse/jmap/wire"
	"posthouse/mail"
	"posthouse/message"
	"posthouse/store"
)

// Blobs are bytes that a client names: "B" and the number of a message is that
// message, with "-" and a number one of its parts, decoded; "U" is an upload.

// A blob is the bytes of one.
type blob struct {
	mediaType string
	size      int64 // -1: not known before it is read
	reader    func() (io.Reader, io.Closer, error)
	at        func() (store.Body, error) // of blobs that can be read anywhere
	email     store.EmailID              // whose it is; 0: of an upload
}

// uploadRecord is kept of an upload.
type uploadRecord struct {
	Type string `json:"type"`
	Size int64  `json:"size"`
	Time int64  `json:"time"`
}

// isUpload reports whether s is the id of an upload, as newUpload makes it.
func isUpload(s string) bool { return len(s) > 1 && s[0] == 'U' }

// blob finds a blob; nil if there is none.
func (c *call) blob(v *store.View, id string) (*blob, error) {
	if isUpload(id) && c.acct.shared {
		own, err := c.uploads(c.ctx, c.who, c.acct)
		if err != nil {
			return nil, err
		}
		var b *blob
		err = own.View(c.ctx, func(v *store.View) (err error) {
			b, err = c.uploaded(own, v, id)
			return err
		})
		return b, err
	}
	if isUpload(id) {
		return c.uploaded(c.acct.Account, v, id)
	}
	num, part, isPart := strings.Cut(id, "-")
	n, ok := number(num, 'B')
	if !ok {
		return nil, nil
	}
	r := rows{v: v, snaps: map[store.MailboxID]*store.Snapshot{}}
	e, err := c.loadEmail(&r, store.EmailID(n))
	if err != nil || e == nil {
		return nil, err
	}
	if !isPart {
		return wholeBlob(e), nil
	}
	m, err := e.message()
	if err != nil {
		return nil, err
	}
	i, err := strconv.Atoi(part)
	if err != nil || i < 1 || i > len(m.Parts) || part != strconv.Itoa(i) || m.Parts[i-1].IsMultipart() {
		return nil, nil
	}
	p := &m.Parts[i-1]
	b := &blob{mediaType: p.Type + "/" + p.Subtype, size: -1, email: e.id}
	b.reader = func() (io.Reader, io.Closer, error) { return e.decoded(i - 1) }
	return b, nil
}

func wholeBlob(e *email) *blob {
	b := &blob{mediaType: "message/rfc822", size: e.size, at: e.open, email: e.id}
	b.reader = fromBody(e.open)
	return b
}

func fromBody(open func() (store.Body, error)) func() (io.Reader, io.Closer, error) {
	return func() (io.Reader, io.Closer, error) {
		b, err := open()
		if err != nil {
			return nil, nil, err
		}
		return io.NewSectionReader(b, 0, b.Size()), b, nil
	}
}

// uploads is the account that keeps what somebody uploads for an account: the user's
// own, also for those of others, who should neither pay for it nor read it.
func (s *Server) uploads(ctx context.Context, who *principal, a *account) (*store.Account, error) {
	if !a.shared {
		return a.Account, nil
	}
	return s.opts.Store.Account(ctx, who.account.ID)
}

func (c *call) uploaded(a *store.Account, v *store.View, id string) (*blob, error) {
	o, err := v.Object(store.ObjectUpload, id)
	if mail.KindOf(err) == mail.NotFound && err != nil {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var rec uploadRecord
	if err := json.Unmarshal(o.Value, &rec); err != nil {
		return nil, err
	}
	b := &blob{mediaType: rec.Type, size: rec.Size}
	b.at = func() (store.Body, error) { return a.OpenObject(c.ctx, &o) }
	b.reader = fromBody(b.at)
	return b, nil
}

// read returns the bytes of a blob, TooLarge if they are more than most.
func (b *blob) read(most int64) ([]byte, error) {
	r, closer, err := b.reader()
	if err != nil {
		return nil, err
	}
	defer closer.Close()
	data, err := io.ReadAll(io.LimitReader(r, most+1))
	if err == nil && int64(len(data)) > most {
		err = &mail.Error{Kind: mail.TooLarge, Op: "jmap.blob", Text: "too large"}
	}
	return data, err
}

// newUpload keeps what was staged, and drops what is too old or too much.
func (s *Server) newUpload(ctx context.Context, a *store.Account, m *store.Staged, mediaType string) (string, error) {
	var random [12]byte
	if _, err := io.ReadFull(s.opts.Rand, random[:]); err != nil {
		return "", err
	}
	id := "U" + hex.EncodeToString(random[:])
	val, err := json.Marshal(uploadRecord{Type: cut(mediaType, 255), Size: m.Size(), Time: s.opts.Now().Unix()})
	if err != nil {
		return "", err
	}
	err = a.Update(ctx, func(tx *store.Tx) error {
		if err := s.trimUploads(tx, m.Size()); err != nil {
			return err
		}
		return tx.PutObject(store.ObjectUpload, id, val, m)
	})
	return id, err
}

// trimUploads makes room for n bytes: what is over its time goes, and then the oldest.
func (s *Server) trimUploads(tx *store.Tx, n int64) error {
	type upload struct {
		id string
		uploadRecord
	}
	var all []upload
	if err := tx.Objects(store.ObjectUpload, func(o store.Object) bool {
		u := upload{id: o.ID}
		if json.Unmarshal(o.Value, &u.uploadRecord) != nil {
			u.Time = 0
		}
		all = append(all, u)
		n += u.Size
		return true
	}); err != nil {
		return err
	}
	slices.SortFunc(all, func(a, b upload) int { return int(a.Time - b.Time) })
	for _, u := range all {
		if s.opts.Now().Sub(time.Unix(u.Time, 0)) < s.limits.UnusedTime && n <= s.limits.UnusedBytes && len(all) <= maxUploads {
			break
		}
		if err := tx.DeleteObject(store.ObjectUpload, u.id); err != nil {
			return err
		}
		n -= u.Size
		all = all[1:]
	}
	return nil
}

// maxUploads is how many uploads of an account are kept.
const maxUploads = 1000

// upload is POST /jmap/upload/{account}/, RFC 8620 §6.1.
func (s *Server) upload(w http.ResponseWriter, r *http.Request, who *principal) {
	a, err := s.account(r.Context(), who, r.PathValue("account"))
	if err != nil {
		(&requestError{"", http.StatusNotFound, "there is no such account", ""}).write(w)
		return
	}
	leave, refusal := s.enterUpload(who)
	if refusal != nil {
		refusal.write(w)
		return
	}
	defer leave()
	if r.ContentLength > s.limits.UploadBytes {
		overLimit("maxSizeUpload", "the upload is too large").write(w)
		return
	}
	mediaType := r.Header.Get("Content-Type")
	if mediaType == "" {
		mediaType = "application/octet-stream"
	}
	id, size, err := s.takeUpload(r.Context(), who, a, io.LimitReader(s.paced(w, r.Body), s.limits.UploadBytes+1), mediaType)
	var me *mail.Error
	switch {
	case mail.KindOf(err) == mail.TooLarge:
		overLimit("maxSizeUpload", "the upload is too large").write(w)
		return
	case err != nil && !errors.As(err, &me):
		(&requestError{"", http.StatusBadRequest, "the upload was cut off", ""}).write(w)
		return
	case err != nil:
		s.failed(r.Context(), "jmap: upload failed", "account", uint64(who.account.ID), "err", err)
		(&requestError{"", http.StatusServiceUnavailable, mail.TextOf(err), ""}).write(w)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	_, _ = w.Write(wire.Append(nil, wire.Object{{Name: "accountId", Value: a.id}, {Name: "blobId", Value: id}, {Name: "type", Value: mediaType}, {Name: "size", Value: size}}))
}

func (s *Server) takeUpload(ctx context.Context, who *principal, a *account, r io.Reader, mediaType string) (id string, size int64, err error) {
	keeper, err := s.uploads(ctx, who, a)
	if err != nil {
		return "", 0, err
	}
	m, err := s.opts.Store.Stage(ctx)
	if err != nil {
		return "", 0, err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	if _, err := io.Copy(m, r); err != nil {
		return "", 0, err
	}
	if m.Size() > s.limits.UploadBytes {
		return "", 0, &mail.Error{Kind: mail.TooLarge, Op: "jmap.upload"}
	}
	if err := m.Finish(); err != nil {
		return "", 0, err
	}
	id, err = s.newUpload(ctx, keeper, m, mediaType)
	return id, m.Size(), err
}

// safeTypes are shown by a browser; everything else is for saving, since it could run
// or pretend to be us. They are shown in a sandbox without scripts all the same.
var safeTypes = []string{"image/png", "image/jpeg", "image/gif", "image/webp", "image/avif", "image/bmp", "text/plain", "application/pdf", "audio/", "video/"}

// download is GET /jmap/download/{account}/{blob}/{name}, RFC 8620 §6.2.
func (s *Server) download(w http.ResponseWriter, r *http.Request, who *principal) {
	missing := &requestError{"", http.StatusNotFound, "there is no such blob", ""}
	a, err := s.account(r.Context(), who, r.PathValue("account"))
	if err != nil {
		missing.write(w)
		return
	}
	c := &call{Server: s, ctx: r.Context(), who: who, acct: a}
	var b *blob
	err = c.view(func(v *store.View) (err error) {
		b, err = c.blob(v, r.PathValue("blob"))
		return err
	})
	if err != nil {
		s.failed(r.Context(), "jmap: download failed", "account", uint64(who.account.ID), "err", err)
		(&requestError{"", http.StatusServiceUnavailable, "try again later", ""}).write(w)
		return
	}
	if b == nil {
		missing.write(w)
		return
	}
	mediaType := r.URL.Query().Get("type")
	if mediaType == "" {
		mediaType = b.mediaType
	}
	setDownloadHeaders(w.Header(), mediaType, r.PathValue("name"))
	if err := s.send(w, r, b); err != nil {
		s.log.Debug("jmap: download cut off", "account", uint64(who.account.ID), "err", err)
	}
}

// setDownloadHeaders makes a file safe in a browser, whatever it holds.
func setDownloadHeaders(h http.Header, mediaType, name string) {
	show := "attachment"
	base, _, _ := strings.Cut(strings.ToLower(mediaType), ";")
	for _, t := range safeTypes {
		if base == t || strings.HasSuffix(t, "/") && strings.HasPrefix(base, t) {
			show = "inline"
		}
	}
	if strings.ContainsFunc(mediaType, func(r rune) bool { return r < ' ' || r > '~' }) || len(mediaType) > 255 || !strings.Contains(mediaType, "/") {
		mediaType = "application/octet-stream"
	}
	h.Set("Content-Type", mediaType)
	h.Set("Content-Disposition", show+"; "+fileNameParam(name))
	h.Set("Content-Security-Policy", "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src 'self'; frame-ancestors 'self'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "private, immutable, max-age=31536000")
}

// fileNameParam spells a file name for Content-Disposition, RFC 6266 §4.3: plain for
// old programs, and with all its characters.
func fileNameParam(name string) string {
	if name = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '/' || r == '\\' {
			return '_'
		}
		return r
	}, strings.ToValidUTF8(name, "_")); name == "" {
		name = "download"
	}
	plain := true
	ascii := strings.Map(func(r rune) rune {
		if r > '~' || r == '"' || r == '%' {
			plain = false
			return '_'
		}
		return r
	}, name)
	if plain {
		return `filename="` + ascii + `"`
	}
	var b strings.Builder
	for i := range len(name) {
		c := name[i]
		if c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || strings.IndexByte("!#$&+-.^_`|~", c) >= 0 {
			b.WriteByte(c)
		} else {
			b.WriteString("%" + strings.ToUpper(hex.EncodeToString([]byte{c})))
		}
	}
	return `filename="` + ascii + `"; filename*=UTF-8''` + b.String()
}

// send writes a blob, with ranges where it can be read anywhere.
func (s *Server) send(w http.ResponseWriter, r *http.Request, b *blob) error {
	out := &stallWriter{w: w, ctl: http.NewResponseController(w)}
	if b.at != nil {
		body, err := b.at()
		if err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			return err
		}
		defer body.Close()
		http.ServeContent(out, r, "", time.Time{}, io.NewSectionReader(body, 0, body.Size()))
		return nil
	}
	in, closer, err := b.reader()
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		return err
	}
	defer closer.Close()
	_, err = io.Copy(out, in)
	return err
}

// A stallWriter gives each write a minute.
type stallWriter struct {
	w   http.ResponseWriter
	ctl *http.ResponseController
}

func (s *stallWriter) Header() http.Header  { return s.w.Header() }
func (s *stallWriter) WriteHeader(code int) { s.w.WriteHeader(code) }

func (s *stallWriter) Write(b []byte) (int, error) {
	_ = s.ctl.SetWriteDeadline(time.Now().Add(time.Minute)) // not over a test's recorder
	return s.w.Write(b)
}

// parsed reads a message that a blob holds.
func (c *call) parsed(id string, b *blob) (*email, error) {
	data, err := b.read(c.opts.Store.Limits().MessageBytes)
	if err != nil {
		return nil, err
	}
	p := message.NewParser(c.opts.Message)
	_, _ = p.Write(data) // never fails
	e := &email{blob: id, size: int64(len(data)), msg: p.Close(), keywords: map[string]bool{}}
	e.open = func() (store.Body, error) { return memoryBody(data), nil }
	return e, nil
}

// A memoryBody is a body in memory.
type memoryBody []byte

func (m memoryBody) Size() int64  { return int64(len(m)) }
func (m memoryBody) Close() error { return nil }

func (m memoryBody) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= int64(len(m)) {
		return 0, io.EOF
	}
	n := copy(p, m[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}
