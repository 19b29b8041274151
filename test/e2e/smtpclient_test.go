package e2e

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"fmt"
	"net"
	"strings"
	"time"
)

// smtpConn is a client that says exactly what a test wants to say.
type smtpConn struct {
	net.Conn
	r *bufio.Reader
}

func dialSMTP(addr string) (*smtpConn, error) {
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return nil, err
	}
	c := &smtpConn{conn, bufio.NewReader(conn)}
	conn.SetDeadline(time.Now().Add(patience))
	if _, err := c.reply("220"); err != nil {
		conn.Close()
		return nil, err
	}
	if _, err := c.cmd("250", "EHLO client.test"); err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

// cmd sends one line and wants a reply that begins with code.
func (c *smtpConn) cmd(code, format string, args ...any) (string, error) {
	c.SetDeadline(time.Now().Add(patience))
	if _, err := fmt.Fprintf(c, format+"\r\n", args...); err != nil {
		return "", err
	}
	return c.reply(code)
}

func (c *smtpConn) reply(code string) (string, error) {
	var all strings.Builder
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			return "", err
		}
		all.WriteString(line)
		if len(line) < 4 || line[3] != '-' {
			break
		}
	}
	if s := all.String(); strings.HasPrefix(s, code) {
		return s, nil
	}
	return "", refusal(strings.TrimSpace(all.String()))
}

// send transfers one message as one transaction. Lines of msg end in CRLF.
func (c *smtpConn) send(from, to string, msg []byte) error {
	for _, s := range []string{"MAIL FROM:<" + from + ">", "RCPT TO:<" + to + ">"} {
		if _, err := c.cmd("250", "%s", s); err != nil {
			return err
		}
	}
	if _, err := c.cmd("354", "DATA"); err != nil {
		return err
	}
	msg = bytes.ReplaceAll(msg, []byte("\r\n."), []byte("\r\n.."))
	_, err := c.cmd("250", "%s.", msg)
	return err
}

// sendChunk transfers one message by BDAT, any bytes as they are (RFC 3030 §2).
func (c *smtpConn) sendChunk(from, to string, msg []byte) error {
	if _, err := c.cmd("250", "MAIL FROM:<%s> BODY=BINARYMIME", from); err != nil {
		return err
	}
	if _, err := c.cmd("250", "RCPT TO:<%s>", to); err != nil {
		return err
	}
	c.SetDeadline(time.Now().Add(patience))
	if _, err := fmt.Fprintf(c, "BDAT %d LAST\r\n%s", len(msg), msg); err != nil {
		return err
	}
	_, err := c.reply("250")
	return err
}

func (c *smtpConn) authPlain(user, password string) error {
	token := base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00" + password))
	_, err := c.cmd("235", "AUTH PLAIN %s", token)
	return err
}
