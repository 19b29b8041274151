package jmap

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"time"

	"posthouse/mail"
	"posthouse/store"
)

// exportMailbox is GET /jmap/export/{account}/{mailbox}: the messages of a mailbox, oldest
// first, as one file of the form mboxrd, as it is written. Each message is read when
// it is its turn; one that is gone by then is left out.
func (s *Server) exportMailbox(w http.ResponseWriter, r *http.Request, who *principal) {
	missing := &requestError{"", http.StatusNotFound, "there is no such mailbox", ""}
	a, err := s.account(r.Context(), who, r.PathValue("account"))
	if err != nil {
		missing.write(w)
		return
	}
	c := &call{Server: s, ctx: r.Context(), who: who, acct: a, req: &request{created: map[string]string{}},
		args: map[string]any{"filter": map[string]any{"inMailbox": r.PathValue("mailbox")}, "sort": []any{map[string]any{"property": "receivedAt", "isAscending": true}}}}
	var ids []store.EmailID
	known := false
	err = c.view(func(v *store.View) error {
		boxes, err := c.types["Mailbox"].load(c, v, []string{r.PathValue("mailbox")})
		if known = len(boxes) == 1; err != nil || !known {
			return err
		}
		q, err := c.types["Email"].asked(c)
		if err != nil {
			return err
		}
		res, err := queryEmails(c, v, q)
		if err == nil {
			ids = append(ids, res.(*emailResults).ids...)
		}
		return err
	})
	switch {
	case err != nil && mail.KindOf(err) != mail.NotFound:
		s.failed(r.Context(), "jmap: export failed", "account", uint64(who.account.ID), "err", err)
		(&requestError{"", http.StatusServiceUnavailable, "try again later", ""}).write(w)
		return
	case err != nil || !known:
		missing.write(w)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/mbox")
	h.Set("Content-Disposition", "attachment; "+fileNameParam(r.URL.Query().Get("name")+".mbox"))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "private, no-store")
	if err := c.writeMbox(&stallWriter{w: w, ctl: http.NewResponseController(w)}, ids); err != nil {
		s.log.Debug("jmap: export cut off", "account", uint64(who.account.ID), "err", err)
	}
}

func (c *call) writeMbox(w io.Writer, ids []store.EmailID) error {
	out := bufio.NewWriterSize(w, 64<<10)
	for _, id := range ids {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		var e *email
		err := c.view(func(v *store.View) (err error) {
			e, err = c.loadEmail(&rows{v: v, snaps: map[store.MailboxID]*store.Snapshot{}}, id)
			return err
		})
		if err != nil && mail.KindOf(err) != mail.NotFound {
			return err
		}
		if err != nil || e == nil {
			continue
		}
		if err := writeMboxMessage(out, e); err != nil {
			return err
		}
	}
	return out.Flush()
}

func writeMboxMessage(out *bufio.Writer, e *email) error {
	in, closer, err := wholeBlob(e).reader()
	if mail.KindOf(err) == mail.NotFound && err != nil {
		return nil
	}
	if err != nil {
		return err
	}
	defer closer.Close()
	_, _ = out.WriteString("From MAILER-DAEMON " + time.Unix(e.received, 0).UTC().Format(time.ANSIC) + "\n") // errors come with Flush
	begins, last := true, byte('\n')
	for lines := bufio.NewReaderSize(in, 16<<10); ; {
		line, err := lines.ReadSlice('\n') // of a longer line, as much as fits
		if begins && bytes.HasPrefix(bytes.TrimLeft(line, ">"), []byte("From ")) {
			_ = out.WriteByte('>')
		}
		if begins = bytes.HasSuffix(line, []byte("\n")); begins && bytes.HasSuffix(line, []byte("\r\n")) {
			line = append(line[:len(line)-2], '\n')
		}
		if len(line) > 0 {
			last = line[len(line)-1]
		}
		if _, werr := out.Write(line); werr != nil {
			return werr
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			if last != '\n' {
				_ = out.WriteByte('\n')
			}
			_ = out.WriteByte('\n')
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
	}
}
