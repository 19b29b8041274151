package web

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"time"

	"posthouse/mail"
	"posthouse/store"
)

// signedFor is how long the address of an image works. The frame of a message loads
// its images at once.
const signedFor = 15 * time.Minute

// A signed names one image of one message: a part, or an address elsewhere. The
// frame of a message has no origin and so no cookie: the signature is its right.
type signed struct {
	account mail.AccountID
	email   store.EmailID
	part    int    // index of the part
	url     string // "": the part

	as   *store.Account // as the user may see it; nil: the account itself
	user mail.AccountID // who asks; with as
}

const macBytes = 16

func (s *Server) mac(payload []byte) []byte {
	h := hmac.New(sha256.New, s.key)
	h.Write(payload)
	return h.Sum(nil)[:macBytes]
}

// sign returns the address of an image.
func (s *Server) sign(g signed) string {
	// To the quarter of an hour, so that the same image keeps its address for a while.
	until := s.opts.Now().Truncate(signedFor).Add(2 * signedFor)
	b := make([]byte, macBytes, macBytes+30+len(g.url))
	b = binary.BigEndian.AppendUint64(b, uint64(until.Unix()))
	b = binary.BigEndian.AppendUint64(b, uint64(g.account))
	b = binary.BigEndian.AppendUint64(b, uint64(g.email))
	b = binary.BigEndian.AppendUint32(b, uint32(g.part))
	b = append(b, g.url...)
	copy(b, s.mac(b[macBytes:]))
	return "/i/" + base64.RawURLEncoding.EncodeToString(b)
}

// verify reads what sign made; ok is false for anything else, or too late.
func (s *Server) verify(token string) (g signed, ok bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(b) < macBytes+28 || !hmac.Equal(b[:macBytes], s.mac(b[macBytes:])) {
		return signed{}, false
	}
	b = b[macBytes:]
	if s.opts.Now().Unix() > int64(binary.BigEndian.Uint64(b)) {
		return signed{}, false
	}
	return signed{account: mail.AccountID(binary.BigEndian.Uint64(b[8:])), email: store.EmailID(binary.BigEndian.Uint64(b[16:])),
		part: int(binary.BigEndian.Uint32(b[24:])), url: string(b[28:])}, true
}
