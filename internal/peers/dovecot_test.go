package peers

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

// What goes in by LMTP comes out by IMAP.
func TestDovecot(t *testing.T) {
	d := StartDovecot(t)
	talk(t, d.LMTP, "220 ", "LHLO x\r\n", "250 ", "MAIL FROM:<a@x.test>\r\nRCPT TO:<ada@x.test>\r\nDATA\r\n", "354 ",
		"Subject: hello\r\n\r\nbody\r\n.\r\n", "250 2.0.0 <ada@x.test>")
	talk(t, d.IMAP, "* OK", "a LOGIN ada@x.test "+DovecotPassword+"\r\n", "a OK", "b STATUS INBOX (MESSAGES)\r\n", "* STATUS INBOX (MESSAGES 1)")
}

// talk reads up to a line with each odd step's prefix and sends the even ones.
func talk(t *testing.T, addr string, steps ...string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	r := bufio.NewReader(c)
	for i, s := range steps {
		if i%2 == 1 {
			fmt.Fprint(c, s)
			continue
		}
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				t.Fatalf("waiting for %q: %v", s, err)
			}
			if strings.HasPrefix(line, s) {
				break
			}
		}
	}
}
