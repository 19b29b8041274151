package imapurl

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"time"

	"posthouse/mail"
	"posthouse/store"
)

// Internal is the one mechanism, RFC 4467 §2.4.1.
const Internal = "INTERNAL"

// People know whose address is whose; [directory.Directory] does.
type People interface {
	// Identify finds the account of an address; NotFound.
	Identify(ctx context.Context, a mail.Address) (mail.AccountID, error)
}

// A Service signs URLs and reads what they name. Its fields do not change.
type Service struct {
	Store  *store.Store
	People People
	Host   string // the server that URLs without a signature must name
	Now    func() time.Time
}

// A Reader is who comes with a URL: an account, by itself or through submission.
type Reader struct {
	Account    mail.AccountID
	Submission bool
}

// Content is what a URL names. Close it.
type Content struct {
	*io.SectionReader
	io.Closer
}

// ErrForeign is in the chain of an error of Open: the URL names another server.
var ErrForeign = errors.New("the URL names another server")

// The key of a mailbox is a note on it under a user who is nobody, so that no protocol
// that shows people their notes shows or sets it, and it goes with the mailbox.
const (
	keyHolder = ^mail.AccountID(0)
	keyName   = "/urlauth/key"
	keyBytes  = 32
	// tokenForm stands before each token and says how it was made (RFC 4467 §2.4.1).
	tokenForm = "01"
)

// Sign appends to each URL of owner's own messages the proof that it may be used,
// making keys for mailboxes that have none. Invalid if one of them is no URL of a
// message with an access identifier, is not owner's, or has no mailbox here.
func (s *Service) Sign(ctx context.Context, owner mail.AccountID, links []string) ([]string, error) {
	urls := make([]URL, len(links))
	for i, link := range links {
		u, ok := Parse(link)
		switch {
		case !ok || u.Access == AccessNone || u.Mechanism != "":
			return nil, invalid("not the URL of a message with an access identifier")
		case !s.is(ctx, u.User, owner):
			return nil, invalid("the URL does not name you as its user")
		}
		urls[i] = u
	}
	acct, err := s.Store.Account(ctx, owner)
	if err != nil {
		return nil, err
	}
	var out []string
	err = acct.Update(ctx, func(tx *store.Tx) error {
		out = out[:0]
		for i := range urls {
			box, err := find(&tx.View, &urls[i].Piece)
			if err != nil {
				return invalid("there is no such mailbox")
			}
			key, err := tx.Annotation(box.ID, keyHolder, keyName)
			if mail.KindOf(err) == mail.NotFound && err != nil {
				key, err = newKey(), nil
				err = tx.SetAnnotation(box.ID, keyHolder, keyName, key)
			}
			if err != nil {
				return err
			}
			out = append(out, urls[i].Rump+":"+Internal+":"+token(key, urls[i].Rump))
		}
		return nil
	})
	return out, err
}

// Revoke makes a new key for one of owner's mailboxes; NotFound if it is not there.
// All that was signed with the old one is void.
func (s *Service) Revoke(ctx context.Context, owner mail.AccountID, mailbox string) error {
	acct, err := s.Store.Account(ctx, owner)
	if err != nil {
		return err
	}
	return acct.Update(ctx, func(tx *store.Tx) error {
		box, err := find(&tx.View, &Piece{Mailbox: mailbox})
		if err != nil {
			return err
		}
		return tx.SetAnnotation(box.ID, keyHolder, keyName, newKey())
	})
}

// RevokeAll removes the keys of all mailboxes of owner.
func (s *Service) RevokeAll(ctx context.Context, owner mail.AccountID) error {
	acct, err := s.Store.Account(ctx, owner)
	if err != nil {
		return err
	}
	return acct.Update(ctx, func(tx *store.Tx) error {
		for _, box := range tx.Mailboxes() {
			if err := tx.SetAnnotation(box.ID, keyHolder, keyName, nil); err != nil {
				return err
			}
		}
		return nil
	})
}

// Open opens what a URL names. Invalid if it is none; Denied if r may not use it or its
// proof is wrong, with [ErrForeign] if it has no proof and names another server; NotFound
// if there is no such message or part.
func (s *Service) Open(ctx context.Context, link string, r Reader) (*Content, error) {
	u, ok := Parse(link)
	if !ok {
		return nil, invalid("not the URL of a message")
	}
	owner, err := s.admit(ctx, &u, r)
	if err != nil {
		return nil, err
	}
	acct, err := s.Store.Account(ctx, owner)
	if mail.KindOf(err) == mail.NotFound && err != nil {
		return nil, denied()
	}
	if err != nil {
		return nil, err
	}
	var e *store.Email
	err = acct.View(ctx, func(v *store.View) error {
		box, err := find(v, &u.Piece)
		if u.Access != AccessNone && !proven(v, box, &u) {
			return denied()
		}
		if err != nil {
			return err
		}
		snap, err := v.Snapshot(box.ID)
		if err != nil {
			return err
		}
		i, found := snap.Search(u.UID)
		if !found {
			return missing()
		}
		e, err = v.Email(snap.Row(i).Email)
		return err
	})
	if err != nil {
		return nil, err
	}
	cut, ok, err := u.In(e)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, missing()
	}
	body, err := acct.Open(ctx, e)
	if err != nil {
		return nil, err
	}
	return &Content{io.NewSectionReader(body, cut.Start, cut.Len()), body}, nil
}

// admit says whose message a URL is about, if r may use such a URL: its proof is yet to
// be looked at.
func (s *Service) admit(ctx context.Context, u *URL, r Reader) (mail.AccountID, error) {
	if u.Access == AccessNone { // RFC 4468 §3.3: one's own messages, by their plain URL
		switch {
		case !r.Submission:
			return 0, denied()
		case !strings.EqualFold(u.Host, s.Host):
			return 0, &mail.Error{Kind: mail.Denied, Op: "imapurl.Open", Text: ErrForeign.Error(), Err: ErrForeign}
		case u.User != "" && !s.is(ctx, u.User, r.Account):
			return 0, denied()
		}
		return r.Account, nil
	}
	allowed := u.Mechanism != "" && strings.EqualFold(u.Mechanism, Internal) &&
		(u.Expire.IsZero() || !s.Now().After(u.Expire))
	switch u.Access {
	case AccessSubmit: // RFC 4467 §3
		allowed = allowed && r.Submission && s.is(ctx, u.Who, r.Account)
	case AccessUser:
		allowed = allowed && !r.Submission && s.is(ctx, u.Who, r.Account)
	}
	owner, err := s.identify(ctx, u.User)
	if !allowed || mail.KindOf(err) == mail.NotFound && err != nil {
		return 0, denied()
	}
	return owner, err
}

// is reports whether a user of a URL is the account id.
func (s *Service) is(ctx context.Context, user string, id mail.AccountID) bool {
	found, err := s.identify(ctx, user)
	return err == nil && found == id && id != 0
}

func (s *Service) identify(ctx context.Context, user string) (mail.AccountID, error) {
	at := strings.LastIndexByte(user, '@')
	if at <= 0 {
		return 0, missing()
	}
	return s.People.Identify(ctx, mail.Address{Local: user[:at], Domain: mail.Domain(strings.ToLower(user[at+1:]))})
}

// find finds the mailbox of a piece.
func find(v *store.View, p *Piece) (*store.Mailbox, error) {
	box, err := v.Mailbox(p.Mailbox)
	if err != nil {
		return nil, err
	}
	if box.NoSelect || p.Validity != 0 && p.Validity != box.UIDValidity {
		return nil, missing()
	}
	return box, nil
}

// proven reports whether the token of a URL is ours. Without a mailbox or a key it does
// the same work with a key that nobody has (RFC 4467 §6).
func proven(v *store.View, box *store.Mailbox, u *URL) bool {
	var key []byte
	if box != nil {
		key, _ = v.Annotation(box.ID, keyHolder, keyName)
	}
	known := len(key) == keyBytes
	if !known {
		key = newKey()
	}
	return hmac.Equal([]byte(token(key, u.Rump)), []byte(strings.ToLower(u.Token))) && known
}

func token(key []byte, rump string) string {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(rump))
	return tokenForm + hex.EncodeToString(h.Sum(nil))
}

func newKey() []byte {
	key := make([]byte, keyBytes)
	_, _ = rand.Read(key) // never fails
	return key
}

func invalid(text string) error {
	return &mail.Error{Kind: mail.Invalid, Op: "imapurl", Text: text}
}

func denied() error {
	return &mail.Error{Kind: mail.Denied, Op: "imapurl.Open", Text: "the URL is not authorized"}
}

func missing() error {
	return &mail.Error{Kind: mail.NotFound, Op: "imapurl.Open", Text: "there is no such message or part"}
}
