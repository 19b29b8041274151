package main

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"net"
	"strings"

	msgauth "github.com/emersion/go-msgauth/dkim"
	"golang.org/x/net/dns/dnsmessage"

	"posthouse/mailauth/dkim"
)

// senderDomain is whose mail comes in: it has SPF, a key and a DMARC policy.
const senderDomain = "client.example"

// senderKey signs the mail of senderDomain: RSA of 2048 bits, as most of the world.
func senderKey() (dkim.SigningKey, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	return dkim.SigningKey{Domain: senderDomain, Selector: "bench", Key: key}, err
}

// A nameServer answers for senderDomain over UDP, and denies all other names.
type nameServer struct {
	conn net.PacketConn
	text map[string]string // TXT records, by name with the dot
}

// startNames serves the records that receivers of the domain's mail look for.
func startNames(key dkim.SigningKey) (*nameServer, error) {
	record, err := key.Record()
	if err != nil {
		return nil, err
	}
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &nameServer{conn: conn, text: map[string]string{
		senderDomain + ".":             "v=spf1 ip4:127.0.0.0/8 -all",
		"_dmarc." + senderDomain + ".": "v=DMARC1; p=reject",
		key.Name() + ".":               record,
	}}
	go s.serve()
	return s, nil
}

func (s *nameServer) serve() {
	b := make([]byte, 1500)
	for {
		n, from, err := s.conn.ReadFrom(b)
		if err != nil {
			return // closed
		}
		var m dnsmessage.Message
		if m.Unpack(b[:n]) != nil || len(m.Questions) != 1 {
			continue
		}
		if out, err := s.answer(m); err == nil {
			_, _ = s.conn.WriteTo(out, from) // who asked asks again
		}
	}
}

func (s *nameServer) answer(m dnsmessage.Message) ([]byte, error) {
	q := m.Questions[0]
	name := strings.ToLower(q.Name.String())
	h := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 3600}
	out := dnsmessage.Message{Header: dnsmessage.Header{ID: m.ID, Response: true, RecursionDesired: true, RecursionAvailable: true}, Questions: m.Questions}
	add := func(body dnsmessage.ResourceBody) {
		out.Answers = append(out.Answers, dnsmessage.Resource{Header: h, Body: body})
	}
	text, there := s.text[name]
	switch {
	case there && q.Type == dnsmessage.TypeTXT:
		var parts []string
		for ; len(text) > 255; text = text[255:] {
			parts = append(parts, text[:255])
		}
		add(&dnsmessage.TXTResource{TXT: append(parts, text)})
	case name == senderDomain+"." && q.Type == dnsmessage.TypeMX:
		add(&dnsmessage.MXResource{Pref: 10, MX: q.Name})
	case name == senderDomain+"." && q.Type == dnsmessage.TypeA:
		add(&dnsmessage.AResource{A: [4]byte{192, 0, 2, 7}})
	default:
		if name != senderDomain+"." && !there {
			out.RCode = dnsmessage.RCodeNameError
		}
		h.Type = dnsmessage.TypeSOA
		out.Authorities = []dnsmessage.Resource{{Header: h, Body: &dnsmessage.SOAResource{NS: q.Name, MBox: q.Name, MinTTL: 3600}}}
	}
	return out.Pack()
}

func (s *nameServer) close() error { return s.conn.Close() }

// signedFields are what a signature of a row covers: not the Message-ID, so that the
// text is signed once and its serials change.
var signedFields = []string{"From", "To", "Subject", "Date", "MIME-Version", "Content-Type"}

// signed puts a signature above a message.
func signed(text []byte, key dkim.SigningKey) ([]byte, error) {
	var b bytes.Buffer
	err := msgauth.Sign(&b, bytes.NewReader(text), &msgauth.SignOptions{Domain: key.Domain, Selector: key.Selector, Signer: key.Key, HeaderKeys: signedFields,
		HeaderCanonicalization: msgauth.CanonicalizationRelaxed, BodyCanonicalization: msgauth.CanonicalizationRelaxed})
	return b.Bytes(), err
}
