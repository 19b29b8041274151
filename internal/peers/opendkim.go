package peers

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// An OpenDKIM is a running opendkim that signs, as a milter, mail from a domain for
// who connects from loopback.
type OpenDKIM struct {
	Milter string // address, "127.0.0.1:port"

	cmd *exec.Cmd
}

const openDKIMBinary = "/usr/sbin/opendkim"

// HasOpenDKIM says why an opendkim cannot be started, or nil.
func HasOpenDKIM() error {
	_, err := os.Stat(openDKIMBinary)
	return err
}

// LaunchOpenDKIM starts an opendkim in dir, with an RSA key of 2048 bits of its own,
// and returns when it listens.
func LaunchOpenDKIM(dir, domain string) (*OpenDKIM, error) {
	ports, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	file, conf := filepath.Join(dir, "dkim.pem"), filepath.Join(dir, "opendkim.conf")
	text := fmt.Sprintf("Syslog no\nMode s\nSocket inet:%d@127.0.0.1\nDomain %s\nSelector r\nKeyFile %s\nInternalHosts 127.0.0.1\n"+
		"Canonicalization relaxed/relaxed\nRequireSafeKeys no\n", ports[0], domain, file)
	private := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	if err := errors.Join(os.WriteFile(file, private, 0o600), os.WriteFile(conf, []byte(text), 0o600)); err != nil {
		return nil, err
	}
	d := &OpenDKIM{Milter: fmt.Sprintf("127.0.0.1:%d", ports[0]), cmd: exec.Command(openDKIMBinary, "-f", "-x", conf)}
	d.cmd.Stderr = os.Stderr
	if err := d.cmd.Start(); err != nil {
		return nil, err
	}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) { // polling, bounded
		c, err := net.Dial("tcp", d.Milter) // it waits for the client to speak
		if err == nil {
			return d, c.Close()
		}
		if time.Now().After(end) {
			return nil, errors.Join(fmt.Errorf("opendkim does not listen: %w", err), d.Stop())
		}
	}
}

// PID is of its process.
func (d *OpenDKIM) PID() int { return d.cmd.Process.Pid }

// Stop ends it.
func (d *OpenDKIM) Stop() error {
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return waitOrKill(d.cmd, 10*time.Second)
}
