package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"mime/quotedprintable"
	"strings"
	"time"
)

// sampleWords are what the text of a large mailbox is made of.
var sampleWords = strings.Fields(`the of and to in a is that for it as was with be by on not he his but at are this have from or had an they which one you were her all
she there would their we him been has when who will more no if out so said what up its about into than them can only other new some could time these two may then do
first any my now such like our over man me even most made after also did many before must through back years where much your way well down should because each just
those people how too little state good very make world still own see men work long get here between both life being under never day same another know while last might
us great old year off come since against go came right used take three harbour minutes agenda invoice budget review contract delivery naïve café Zürich übung señor`)

// A mailboxText makes the messages of a large mailbox: plain, alternative,
// encoded, with attachments; conversations of five; spread over years. Message i
// is always the same.
type mailboxText struct{ block string }

// meanSize is about the mean size of its messages in bytes.
const meanSize = 7200

func newMailboxText() *mailboxText {
	rnd := rand.New(rand.NewPCG(1, 2))
	var b strings.Builder
	for col := 0; b.Len() < 1<<20; {
		w := sampleWords[rnd.IntN(len(sampleWords))]
		if col+len(w) > 70 {
			b.WriteString("\r\n")
			col = 0
		}
		b.WriteString(w)
		b.WriteByte(' ')
		col += len(w) + 1
	}
	return &mailboxText{b.String()}
}

// prose returns about n bytes of text, whole lines.
func (m *mailboxText) prose(rnd *rand.Rand, n int) string {
	at := rnd.IntN(len(m.block) - n - 200)
	text := m.block[at : at+n]
	text = text[strings.IndexByte(text, '\n')+1:]
	text = text[:strings.LastIndexByte(text, '\n')+1]
	if rnd.IntN(100) < 19 {
		text = "The quarterly figures follow.\r\n" + text
	}
	return text
}

// date is that of message i of n.
func messageDate(i, n int) time.Time {
	begin := time.Date(2019, 3, 1, 9, 0, 0, 0, time.UTC)
	return begin.Add(time.Duration(i) * (6 * 365 * 24 * time.Hour / time.Duration(n)))
}

// message returns message i of n.
func (m *mailboxText) message(i, n int) []byte {
	rnd := rand.New(rand.NewPCG(uint64(i), 7))
	var b bytes.Buffer
	root, topic := i-i%5, rand.New(rand.NewPCG(uint64(i/5), 9))
	subject := sampleWords[topic.IntN(100)] + " " + sampleWords[topic.IntN(100)] + " " + sampleWords[topic.IntN(100)]
	if topic.IntN(25) == 0 {
		subject += " meeting"
	}
	if i != root {
		subject = "Re: " + subject
	}
	from := rnd.IntN(500)
	fmt.Fprintf(&b, "Return-Path: <user%03d@example.org>\r\nReceived: from mx.example.org (mx.example.org [192.0.2.%d])\r\n\tby mail.bench.test with ESMTPS id %08x\r\n\tfor <u0000@bench.test>; %s\r\n",
		from, rnd.IntN(250), rnd.Uint32(), messageDate(i, n).Format(time.RFC1123Z))
	fmt.Fprintf(&b, "From: User Number %d <user%03d@example.org>\r\nTo: Ada Lovelace <u0000@bench.test>, team%d@example.net\r\nSubject: %s\r\nDate: %s\r\nMessage-ID: <%d@client.example>\r\n",
		from, from, rnd.IntN(50), subject, messageDate(i, n).Format(time.RFC1123Z), i)
	if i != root {
		fmt.Fprintf(&b, "In-Reply-To: <%d@client.example>\r\nReferences:", i-1)
		for k := root; k < i; k++ {
			fmt.Fprintf(&b, " <%d@client.example>", k)
		}
		b.WriteString("\r\n")
	}
	b.WriteString("MIME-Version: 1.0\r\nUser-Agent: Bench/1.0\r\n")
	m.body(&b, rnd, i)
	return b.Bytes()
}

func (m *mailboxText) body(b *bytes.Buffer, rnd *rand.Rand, i int) {
	size := 600 + int(rnd.ExpFloat64()*2600)
	size = min(size, 60_000)
	boundary := fmt.Sprintf("=_%d", i)
	switch kind := i % 10; {
	case kind < 5:
		b.WriteString("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n")
		b.WriteString(m.prose(rnd, size*2))
	case kind < 8:
		text := m.prose(rnd, size)
		fmt.Fprintf(b, "Content-Type: multipart/alternative; boundary=%q\r\n\r\n", boundary)
		mimePart(b, boundary, "text/plain; charset=utf-8", text)
		mimePart(b, boundary, "text/html; charset=utf-8", "<html><body><div style=\"font-family: sans-serif\"><p>"+strings.ReplaceAll(text, "\r\n", "</p>\r\n<p>")+"</p></div></body></html>\r\n")
		fmt.Fprintf(b, "--%s--\r\n", boundary)
	case kind == 8:
		b.WriteString("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n")
		encode64(b, []byte(m.prose(rnd, size*2)))
	default:
		fmt.Fprintf(b, "Content-Type: multipart/mixed; boundary=%q\r\n\r\n", boundary)
		mimePart(b, boundary, "text/plain; charset=utf-8", m.prose(rnd, size))
		fmt.Fprintf(b, "--%s\r\nContent-Type: application/pdf; name=\"report%d.pdf\"\r\nContent-Disposition: attachment; filename=\"report%d.pdf\"\r\nContent-Transfer-Encoding: base64\r\n\r\n", boundary, i, i)
		data := make([]byte, size*2)
		for k := range data {
			data[k] = byte(rnd.Uint32())
		}
		encode64(b, data)
		fmt.Fprintf(b, "--%s--\r\n", boundary)
	}
}

func mimePart(b *bytes.Buffer, boundary, mediaType, text string) {
	fmt.Fprintf(b, "--%s\r\nContent-Type: %s\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n", boundary, mediaType)
	w := quotedprintable.NewWriter(b)
	w.Write([]byte(text)) // a Buffer takes all
	w.Close()
	b.WriteString("\r\n")
}

func encode64(b *bytes.Buffer, data []byte) {
	for text := base64.StdEncoding.EncodeToString(data); text != ""; {
		n := min(76, len(text))
		b.WriteString(text[:n])
		b.WriteString("\r\n")
		text = text[n:]
	}
}

// loadMailbox fills the INBOX of a user with n messages.
func loadMailbox(ctx context.Context, p *peer, user, n int) error {
	s, err := dialIMAP(p, user, false)
	if err != nil {
		return err
	}
	defer s.close()
	text := newMailboxText()
	command := make([]byte, 0, 1<<20)
	for i := 0; i < n && ctx.Err() == nil; {
		command = append(command[:0], "APPEND INBOX"...)
		for k := 0; k < 50 && i < n; k++ {
			msg := text.message(i, n)
			flags := `(\Seen)`
			if i%10 == 0 {
				flags = "()"
			}
			command = fmt.Appendf(command, " %s \"%s\" {%d+}\r\n", flags, messageDate(i, n).Format("_2-Jan-2006 15:04:05 -0700"), len(msg))
			command = append(command, msg...)
			i++
		}
		if _, err := s.exchange(command, nil); err != nil {
			return err
		}
	}
	return ctx.Err()
}
