package corpus

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// Random returns n well-made messages with a mean length of meanSize bytes: text
// in two of three, text with HTML or with an attachment in the others. The
// lengths spread from a third to two times the mean, as in real mailboxes.
func Random(seed uint64, n, meanSize int) [][]byte {
	r := rand.New(rand.NewPCG(seed, 1))
	out := make([][]byte, n)
	for i := range out {
		size := int(float64(meanSize) * (0.35 + r.Float64()*r.Float64()*2.6))
		out[i] = randomMessage(r, i, max(size, 0))
	}
	return out
}

var randomWords = strings.Fields("the quarterly invoice meeting store journal segment commit of and to a in that is was for on " +
	"mailbox message delivery schedule printer garden tomorrow please review attached numbers before after window train ticket " +
	"because nobody everybody always perhaps little large green river stone paper coffee")

func randomMessage(r *rand.Rand, i, size int) []byte {
	b := make([]byte, 0, size+256)
	date := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(i) * 17 * time.Minute)
	b = fmt.Appendf(b, "Return-Path: <u%d@sender.example>\r\nReceived: from mail.sender.example (mail.sender.example [192.0.2.%d])\r\n\tby mx.demo.test with ESMTPS id %08x;\r\n\t%s\r\n",
		i%97, i%250, r.Uint32(), date.Format(time.RFC1123Z))
	b = fmt.Appendf(b, "Received: from [10.0.0.%d] by mail.sender.example with ESMTPSA id %08x; %s\r\n", i%250, r.Uint32(), date.Format(time.RFC1123Z))
	b = fmt.Appendf(b, "From: User %d <u%d@sender.example>\r\nTo: Ada Ibarra <%s>\r\nSubject: %s\r\nDate: %s\r\nMessage-ID: <%d.%08x@sender.example>\r\n",
		i%97, i%97, Ada, words(r, 6), date.Format(time.RFC1123Z), i, r.Uint32())
	b = append(b, "MIME-Version: 1.0\r\nX-Mailer: corpus 1.0\r\n"...)
	switch r.IntN(6) {
	case 0:
		b = append(b, "Content-Type: multipart/alternative; boundary=\"=_alt\"\r\n\r\n--=_alt\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"...)
		b = appendText(b, r, len(b)+(size-len(b))/3)
		b = append(b, "\r\n--=_alt\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<html><body><p>"...)
		b = appendText(b, r, size-40)
		b = append(b, "</p></body></html>\r\n--=_alt--\r\n"...)
	case 1:
		b = append(b, "Content-Type: multipart/mixed; boundary=\"=_mix\"\r\n\r\n--=_mix\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n"...)
		b = appendText(b, r, len(b)+min(1500, (size-len(b))/2))
		b = append(b, "\r\n--=_mix\r\nContent-Type: application/pdf; name=\"a.pdf\"\r\nContent-Disposition: attachment; filename=\"a.pdf\"\r\nContent-Transfer-Encoding: base64\r\n\r\n"...)
		b = appendBase64(b, r, size-16)
		b = append(b, "--=_mix--\r\n"...)
	default:
		b = append(b, "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\n\r\n"...)
		b = appendText(b, r, size)
	}
	return b
}

func words(r *rand.Rand, n int) string {
	w := make([]string, n)
	for i := range w {
		w[i] = randomWords[r.IntN(len(randomWords))]
	}
	return strings.Join(w, " ")
}

// appendText appends lines of words until b is size bytes long.
func appendText(b []byte, r *rand.Rand, size int) []byte {
	col := 0
	for len(b) < size {
		w := randomWords[r.IntN(len(randomWords))]
		if col += len(w) + 1; col > 72 {
			b, col = append(b, '\r', '\n'), len(w)+1
		}
		b = append(append(b, w...), ' ')
	}
	return append(b, '\r', '\n')
}

// appendBase64 appends random base64 lines until b is size bytes long.
func appendBase64(b []byte, r *rand.Rand, size int) []byte {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	for len(b) < size {
		for range 76 {
			b = append(b, digits[r.IntN(64)])
		}
		b = append(b, '\r', '\n')
	}
	return b
}
