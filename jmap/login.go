package jmap

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"time"

	"posthouse/jmap/wire"
	"posthouse/mail"
	"posthouse/store"
)

// A session of a browser is a durable record of its account. Its token, which only
// the client has, is the account, the session's id and a secret; the record keeps
// the secret's hash. What is not there any more is not a login any more.
type sessionRecord struct {
	Hash    string `json:"hash"` // SHA-256 of the secret, hex
	Created int64  `json:"created"`
	Used    int64  `json:"used"` // to the hour
	Address string `json:"address"`
	Agent   string `json:"agent"`
}

const (
	sessionIDBytes     = 9
	sessionSecretBytes = 32
	sessionTokenBytes  = 8 + sessionIDBytes + sessionSecretBytes
	// sessionUse is how exact the time of the last use is.
	sessionUse = time.Hour
	// maxSessions of an account: the one that was not used for longest goes.
	maxSessions = 100
	// sessionEnd is when a session ends although it is in use.
	sessionEnd = 90 * 24 * time.Hour
)

// cookieName is the cookie of a session: over TLS one that no other host or path can
// set.
func cookieName(secure bool) string {
	if secure {
		return "__Host-posthouse"
	}
	return "posthouse"
}

func (s *Server) cookie(r *http.Request, token string, age time.Duration) *http.Cookie {
	secure := s.isSecure(r)
	return &http.Cookie{Name: cookieName(secure), Value: token, Path: "/", MaxAge: int(age / time.Second),
		Secure: secure, HttpOnly: true, SameSite: http.SameSiteStrictMode}
}

// login is POST /jmap/login: {"username", "password", "token"?}. It answers with the
// account and sets the cookie; with "token": true it gives the token instead, for
// use as Bearer.
func (s *Server) login(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" || r.Header.Get(csrfHeader) == "" {
		(&requestError{"", http.StatusBadRequest, "send JSON and the header " + csrfHeader, ""}).write(w)
		return
	}
	body, refusal := s.readBody(w, r, 16<<10)
	if refusal != nil {
		refusal.write(w)
		return
	}
	v, err := wire.Parse(body, wire.Limits{Depth: 4, Values: 32})
	o, _ := v.(map[string]any)
	name, _ := o["username"].(string)
	password, isText := o["password"].(string)
	if err != nil || name == "" || !isText {
		(&requestError{"", http.StatusBadRequest, "username and password are missing", ""}).write(w)
		return
	}
	who, err := s.byPassword(r, name, password)
	if err != nil {
		s.log.Info("login refused", "from", client(r).String(), "by", "web", "why", mail.KindOf(err).String())
		s.refuseLogin(w, r, err)
		return
	}
	token, err := s.newSession(r.Context(), who.account.ID, client(r).String(), r.UserAgent())
	if err != nil {
		s.refuseLogin(w, r, err)
		return
	}
	s.log.Info("login", "account", uint64(who.account.ID), "from", client(r).String(), "by", "web")
	out := wire.Object{{Name: "username", Value: who.account.Address.String()}, {Name: "accountId", Value: accountID(who.account.ID)}}
	if box := s.inbox(r.Context(), who.account.ID); box != "" {
		out = out.With("inbox", box)
	}
	if _, owners, err := s.owners(r.Context(), who); err == nil {
		out = out.With("hasShared", len(owners) > 0)
	}
	if asked, _ := o["token"].(bool); asked {
		out = out.With("token", token)
	} else {
		http.SetCookie(w, s.cookie(r, token, s.limits.SessionLifetime))
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(wire.Append(nil, out))
}

// inbox is the id of an account's inbox, so that a client can ask for what is in it with its first request; empty if
// it cannot be told.
func (s *Server) inbox(ctx context.Context, id mail.AccountID) (box string) {
	a, err := s.opts.Store.Account(ctx, id)
	if err != nil {
		return ""
	}
	_ = a.View(ctx, func(v *store.View) error {
		m, err := v.Mailbox(inboxPath)
		if err == nil {
			box = mailboxID(m)
		}
		return nil
	})
	return box
}

// logout is POST /jmap/logout: the session that authorized the request is gone.
func (s *Server) logout(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get(csrfHeader) == "" && r.Header.Get("Authorization") == "" {
		(&requestError{"", http.StatusForbidden, "send the header " + csrfHeader, ""}).write(w)
		return
	}
	http.SetCookie(w, s.cookie(r, "", -time.Second))
	if who, err := s.authenticate(r); err == nil && who.session != "" {
		if err := s.endSession(r.Context(), who.account.ID, who.session); err != nil && mail.KindOf(err) != mail.NotFound {
			s.refuseLogin(w, r, err)
			return
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

// newSession makes a session and returns its token.
func (s *Server) newSession(ctx context.Context, id mail.AccountID, from, agent string) (string, error) {
	token := make([]byte, sessionTokenBytes)
	binary.BigEndian.PutUint64(token, uint64(id))
	if _, err := io.ReadFull(s.opts.Rand, token[8:]); err != nil {
		return "", err
	}
	hash := sha256.Sum256(token[8+sessionIDBytes:])
	now := s.opts.Now().Unix()
	rec := sessionRecord{Hash: hex.EncodeToString(hash[:]), Created: now, Used: now, Address: from, Agent: cut(agent, 300)}
	val, err := json.Marshal(rec)
	if err != nil {
		return "", err
	}
	a, err := s.opts.Store.Account(ctx, id)
	if err != nil {
		return "", err
	}
	err = a.Update(ctx, func(tx *store.Tx) error {
		if err := s.trimSessions(tx); err != nil {
			return err
		}
		return tx.PutObject(store.ObjectSession, sessionName(token), val, nil)
	})
	return base64.RawURLEncoding.EncodeToString(token), err
}

func sessionName(token []byte) string {
	return "S" + hex.EncodeToString(token[8:8+sessionIDBytes])
}

// trimSessions removes what has ended, and the oldest of too many.
func (s *Server) trimSessions(tx *store.Tx) error {
	var gone []string
	oldest, used, n := "", int64(1<<62), 0
	err := tx.Objects(store.ObjectSession, func(o store.Object) bool {
		var rec sessionRecord
		if json.Unmarshal(o.Value, &rec) != nil || s.sessionOver(&rec) {
			gone = append(gone, o.ID)
			return true
		}
		if n++; rec.Used < used {
			oldest, used = o.ID, rec.Used
		}
		return true
	})
	if err != nil {
		return err
	}
	if n >= maxSessions {
		gone = append(gone, oldest)
	}
	for _, id := range gone {
		if err := tx.DeleteObject(store.ObjectSession, id); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) sessionOver(rec *sessionRecord) bool {
	now := s.opts.Now()
	return now.Sub(time.Unix(rec.Used, 0)) > s.limits.SessionLifetime+sessionUse || now.Sub(time.Unix(rec.Created, 0)) > sessionEnd
}

// checkSession returns the session and account of a token, errNoLogin for one that
// is none.
func (s *Server) checkSession(ctx context.Context, text string) (id string, account mail.AccountID, err error) {
	token, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(token) != sessionTokenBytes {
		return "", 0, errNoLogin
	}
	account = mail.AccountID(binary.BigEndian.Uint64(token))
	a, err := s.opts.Store.Account(ctx, account)
	if mail.KindOf(err) == mail.NotFound || account == 0 {
		return "", 0, errNoLogin
	}
	if err != nil {
		return "", 0, err
	}
	id = sessionName(token)
	var rec sessionRecord
	err = a.View(ctx, func(v *store.View) error {
		o, err := v.Object(store.ObjectSession, id)
		if err != nil {
			return err
		}
		return json.Unmarshal(o.Value, &rec)
	})
	if mail.KindOf(err) == mail.NotFound {
		return "", 0, errNoLogin
	}
	if err != nil {
		return "", 0, err
	}
	hash := sha256.Sum256(token[8+sessionIDBytes:])
	if subtle.ConstantTimeCompare([]byte(rec.Hash), []byte(hex.EncodeToString(hash[:]))) != 1 || s.sessionOver(&rec) {
		return "", 0, errNoLogin
	}
	if now := s.opts.Now(); now.Sub(time.Unix(rec.Used, 0)) > sessionUse {
		s.usedSession(ctx, a, id, now)
	}
	return id, account, nil
}

// usedSession notes that a session is in use; that it fails loses nothing.
func (s *Server) usedSession(ctx context.Context, a *store.Account, id string, now time.Time) {
	err := a.Update(ctx, func(tx *store.Tx) error {
		o, err := tx.Object(store.ObjectSession, id)
		if err != nil {
			return err
		}
		var rec sessionRecord
		if err := json.Unmarshal(o.Value, &rec); err != nil {
			return err
		}
		rec.Used = now.Unix()
		val, err := json.Marshal(rec)
		if err != nil {
			return err
		}
		return tx.PutObject(store.ObjectSession, id, val, nil)
	})
	if err != nil {
		s.log.Warn("jmap: use of a session not noted", "account", uint64(a.ID()), "err", err)
	}
}

func (s *Server) endSession(ctx context.Context, account mail.AccountID, id string) error {
	a, err := s.opts.Store.Account(ctx, account)
	if err != nil {
		return err
	}
	return a.Update(ctx, func(tx *store.Tx) error {
		if err := tx.DeleteObject(store.ObjectSession, id); err != nil {
			return err
		}
		return s.dropSubscriptions(tx)
	})
}

// Drop ends all sessions of an account: its password changed, or it may not log in
// any more. What was pushed with it ends too.
func (s *Server) Drop(id mail.AccountID) {
	ctx, cancel := context.WithTimeout(s.life, 30*time.Second)
	defer cancel()
	a, err := s.opts.Store.Account(ctx, id)
	if err == nil {
		err = a.Update(ctx, func(tx *store.Tx) error {
			for _, kind := range []store.ObjectKind{store.ObjectSession, store.ObjectSubscription} {
				var all []string
				if err := tx.Objects(kind, func(o store.Object) bool {
					all = append(all, o.ID)
					return true
				}); err != nil {
					return err
				}
				for _, name := range all {
					if err := tx.DeleteObject(kind, name); err != nil {
						return err
					}
				}
			}
			return nil
		})
	}
	if err != nil && mail.KindOf(err) != mail.NotFound {
		s.log.Error("jmap: sessions not ended", "account", uint64(id), "err", err)
	}
	s.users.drop(id)
}

// cut shortens s to at most n bytes, at the end of a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xc0 == 0x80 {
		n--
	}
	return s[:n]
}
