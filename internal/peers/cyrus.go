package peers

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"text/template"
	"time"
)

// CyrusPassword is the password of every user of a Cyrus.
const CyrusPassword = "test"

// A Cyrus is a running Cyrus IMAP server of its own: configuration, mail and
// state in one directory, on loopback. Its master must be started by root.
type Cyrus struct {
	IMAP, IMAPS, LMTP string // addresses, "127.0.0.1:port"
	Version           string
	dir               string
	cmd               *exec.Cmd
}

const (
	cyrusMaster = "/usr/sbin/cyrmaster"
	// cyrusBin is where bench/install.sh puts what Debian keeps from being installed
	// beside a Dovecot.
	cyrusBin = "/usr/local/lib/cyrus/bin"
)

// HasCyrus says why a Cyrus cannot be started, or nil.
func HasCyrus() error {
	for _, f := range []string{cyrusMaster, cyrusBin + "/imapd", "/usr/sbin/saslpasswd2"} {
		if _, err := os.Stat(f); err != nil {
			return errors.New("cyrus is not installed, see bench/install.sh")
		}
	}
	if os.Getuid() != 0 {
		return errors.New("only root can start a cyrus")
	}
	return nil
}

// As far as it goes the defaults of Debian's package.
var cyrusImapd = template.Must(template.New("imapd.conf").Parse(`configdirectory: {{.Dir}}/lib
proc_path: {{.Dir}}/proc
mboxname_lockpath: {{.Dir}}/lock
defaultpartition: default
partition-default: {{.Dir}}/mail
servername: bench.test
altnamespace: no
unixhierarchysep: no
hashimapspool: true
fulldirhash: yes
autocreate_quota: 0
umask: 077
allowplaintext: yes
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
sasl_sasldb_path: {{.Dir}}/sasldb
sasl_mech_list: PLAIN LOGIN
sasl_auto_transition: no
lmtpsocket: {{.Dir}}/lmtp
lmtp_downcase_rcpt: yes
idlesocket: {{.Dir}}/idle
notifysocket: {{.Dir}}/notify
tls_server_cert: {{.Dir}}/cert.pem
tls_server_key: {{.Dir}}/cert.pem
maxlogins_per_host: 0
maxlogins_per_user: 0
`))

var cyrusServices = template.Must(template.New("cyrus.conf").Parse(`START {
  recover cmd="/usr/sbin/cyrus ctl_cyrusdb -C {{.Dir}}/imapd.conf -r"
}
SERVICES {
  imap cmd="{{.Bin}}/imapd -C {{.Dir}}/imapd.conf" listen="{{.IMAP}}" prefork=0 maxchild=2000
  imaps cmd="{{.Bin}}/imapd -s -C {{.Dir}}/imapd.conf" listen="{{.IMAPS}}" prefork=0 maxchild=2000
  lmtp cmd="lmtpd -a -C {{.Dir}}/imapd.conf" listen="{{.LMTP}}" prefork=0 maxchild=200
}
DAEMON {
  idled cmd="{{.Bin}}/idled -C {{.Dir}}/imapd.conf"
}
`))

// LaunchCyrus starts a Cyrus in dir, whose path must be short, for the users
// given, and returns when it answers.
func LaunchCyrus(dir string, users []string) (*Cyrus, error) {
	if err := HasCyrus(); err != nil {
		return nil, err
	}
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	at := func(i int) string { return fmt.Sprintf("127.0.0.1:%d", ports[i]) }
	c := &Cyrus{IMAP: at(0), IMAPS: at(1), LMTP: at(2), dir: dir}
	if err := c.configure(users); err != nil {
		return nil, err
	}
	version, _ := exec.Command("dpkg-query", "-W", "-f", "${Version}", "cyrus-common").Output()
	c.Version, _, _ = strings.Cut(string(version), "+")
	return c, c.Start()
}

// configure writes all files and makes the users.
func (c *Cyrus) configure(users []string) error {
	owner, err := user.Lookup("cyrus")
	if err != nil {
		return err
	}
	uid, err := strconv.Atoi(owner.Uid)
	if err != nil {
		return err
	}
	if err := os.Chmod(c.dir, 0o755); err != nil {
		return err
	}
	cert, err := selfSigned("bench.test")
	if err != nil {
		return err
	}
	var imapd, services bytes.Buffer
	v := map[string]string{"Bin": cyrusBin, "Dir": c.dir, "IMAP": c.IMAP, "IMAPS": c.IMAPS, "LMTP": c.LMTP}
	if err := errors.Join(cyrusImapd.Execute(&imapd, v), cyrusServices.Execute(&services, v)); err != nil {
		return err
	}
	for name, b := range map[string][]byte{"imapd.conf": imapd.Bytes(), "cyrus.conf": services.Bytes(), "cert.pem": cert} {
		if err := os.WriteFile(filepath.Join(c.dir, name), b, 0o644); err != nil {
			return err
		}
	}
	for _, u := range users {
		cmd := exec.Command("/usr/sbin/saslpasswd2", "-p", "-c", "-f", c.dir+"/sasldb", "-u", "bench.test", u)
		cmd.Stdin = strings.NewReader(CyrusPassword)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("saslpasswd2 %s: %w\n%s", u, err, out)
		}
	}
	return chownAll(c.dir, uid, []string{"lib", "lib/proc", "lib/db", "lib/socket", "proc", "lock", "mail"})
}

// chownAll makes directories in dir, and gives dir and all in it to uid.
func chownAll(dir string, uid int, names []string) error {
	for _, name := range names {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			return err
		}
	}
	out, err := exec.Command("chown", "-R", fmt.Sprint(uid), dir).CombinedOutput()
	if err != nil {
		return fmt.Errorf("chown %s: %w\n%s", dir, err, out)
	}
	return nil
}

// Start starts it, also again after Stop, and returns when it answers.
func (c *Cyrus) Start() error {
	c.cmd = exec.Command(cyrusMaster, "-C", c.dir+"/imapd.conf", "-M", c.dir+"/cyrus.conf", "-p", c.dir+"/pid", "-D")
	var said bytes.Buffer
	c.cmd.Stdout, c.cmd.Stderr = &said, &said
	if err := c.cmd.Start(); err != nil {
		return err
	}
	for _, addr := range []string{c.IMAP, c.LMTP} {
		if err := answers(addr, 20*time.Second); err != nil {
			return errors.Join(fmt.Errorf("cyrus does not answer: %w\n%s", err, said.Bytes()), c.Stop())
		}
	}
	return nil
}

// PID is the master process, whose children do the work.
func (c *Cyrus) PID() int { return c.cmd.Process.Pid }

// Stop ends all processes and waits for them.
func (c *Cyrus) Stop() error {
	c.cmd.Process.Signal(syscall.SIGQUIT) // ends its children, too
	return waitOrKill(c.cmd, 10*time.Second)
}

// Usage is what the stopped server used in all; nil before Stop.
func (c *Cyrus) Usage() *syscall.Rusage {
	if c.cmd.ProcessState == nil {
		return nil
	}
	ru, _ := c.cmd.ProcessState.SysUsage().(*syscall.Rusage)
	return ru
}
