package web

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"posthouse/mail"
	"posthouse/store"
	"posthouse/store/engine/mem"
	"posthouse/web/proxy"
)

const hello = "From: Grace <grace@okafor.example>\r\nTo: ada@demo.test\r\nSubject: x\r\nMIME-Version: 1.0\r\nContent-Type: multipart/related; boundary=b\r\n\r\n" +
	"--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<script>alert(1)</script><p onclick=x>Hello</p><img src=\"cid:pic\"><img src=\"http://img.example/a.png\"><img src=\"http://img.example/t.gif\" width=1 height=1>\r\n" +
	"--b\r\nContent-Type: image/png\r\nContent-ID: <pic>\r\nContent-Transfer-Encoding: base64\r\n\r\niVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==\r\n" +
	"--b\r\nContent-Type: image/png\r\nContent-ID: <svg>\r\n\r\n<svg onload=alert(1)>\r\n--b--\r\n"

// viewer is a server with one account that has one message.
func viewer(t *testing.T) (*Server, *time.Time, string) {
	t.Helper()
	ctx := context.Background()
	st, err := store.Open(ctx, mem.New(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	err = st.Update(ctx, []mail.AccountID{7}, nil, func(txs []*store.Tx) error {
		return txs[0].CreateAccount([]store.NewMailbox{{Path: "INBOX", Subscribe: true}})
	})
	if err != nil {
		t.Fatal(err)
	}
	acct, err := st.Account(ctx, 7)
	if err != nil {
		t.Fatal(err)
	}
	var id store.EmailID
	staged, err := st.Stage(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer staged.Close()
	if _, err := io.WriteString(staged, hello); err != nil {
		t.Fatal(err)
	}
	if err := staged.Finish(); err != nil {
		t.Fatal(err)
	}
	err = acct.Update(ctx, func(tx *store.Tx) error {
		box, err := tx.Mailbox("INBOX")
		if err != nil {
			return err
		}
		row, err := tx.Append(box.ID, staged, store.AppendOptions{})
		id = row.Email
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_000_000, 0)
	s := New(Options{Store: st, Now: func() time.Time { return now }, Proxy: proxy.New(proxy.Options{Allow: func(netip.AddrPort) bool { return false }}),
		User: func(r *http.Request) (User, error) {
			if r.Header.Get("Cookie") != "ada" {
				return User{}, errors.New("nobody")
			}
			return User{ID: 7, Address: mail.Address{Local: "ada", Domain: "demo.test"}}, nil
		}})
	return s, &now, "/r/A7/M" + strconv.FormatUint(uint64(id), 10)
}

func ask(s *Server, path string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.http.Handler.ServeHTTP(w, r)
	return w
}

var framed = []string{"Cookie", "ada", "Sec-Fetch-Dest", "iframe", "Sec-Fetch-Site", "same-origin"}

// A message is given to the client's frame only, and under a policy that lets nothing
// in or out.
func TestView(t *testing.T) {
	s, _, path := viewer(t)
	w := ask(s, path, framed...)
	body, policy := w.Body.String(), w.Header().Get("Content-Security-Policy")
	if w.Code != 200 || !strings.Contains(body, "<p>Hello</p>") || strings.Contains(body, "alert(1)") || strings.Contains(body, "onclick") || strings.Contains(body, "img.example/a.png") {
		t.Errorf("%d %s", w.Code, body)
	}
	for _, want := range []string{"sandbox allow-scripts allow-popups allow-popups-to-escape-sandbox;", "default-src 'none'", "script-src '" + s.frameHash + "'", "form-action 'none'", "base-uri 'none'", "frame-ancestors 'self'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("no %q in %q", want, policy)
		}
	}
	if strings.Contains(policy, "allow-same-origin") || strings.Contains(policy, "connect-src") {
		t.Error(policy)
	}
	if !strings.Contains(body, "<script>"+frameJS+"</script>") {
		t.Error("the script is not as its hash says")
	}
	if !strings.Contains(body, "&#34;blocked&#34;:1") || !strings.Contains(body, "&#34;trackers&#34;:[&#34;img.example&#34;]") {
		t.Errorf("what was found: %.300s", body)
	}
	for name, h := range map[string][]string{"in a window": {"Cookie", "ada", "Sec-Fetch-Dest", "document", "Sec-Fetch-Site", "none"}, "by another site": {"Cookie", "ada", "Sec-Fetch-Dest", "iframe", "Sec-Fetch-Site", "cross-site"},
		"by an old browser": {"Cookie", "ada"}, "as an image": {"Cookie", "ada", "Sec-Fetch-Dest", "image", "Sec-Fetch-Site", "same-origin"}} {
		if w := ask(s, path, h...); w.Code != http.StatusForbidden || strings.Contains(w.Body.String(), "Hello") {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
	if w := ask(s, path, "Sec-Fetch-Dest", "iframe", "Sec-Fetch-Site", "same-origin"); w.Code != http.StatusUnauthorized {
		t.Errorf("without login: %d", w.Code)
	}
	for _, other := range []string{"/r/A8/M1", "/r/A7/M999999", "/r/A7/x"} {
		if w := ask(s, other, framed...); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", other, w.Code)
		}
	}
}

// An image's address works without a cookie, for a while, and for that image only.
func TestSignedImages(t *testing.T) {
	s, now, path := viewer(t)
	body := ask(s, path+"?images=1", framed...).Body.String()
	all := regexp.MustCompile(`src="(/i/[\w-]+)"`).FindAllStringSubmatch(body, -1)
	if len(all) != 2 {
		t.Fatalf("%v in %s", all, body)
	}
	w := ask(s, all[0][1])
	if w.Code != 200 || w.Header().Get("Content-Type") != "image/png" || !strings.HasPrefix(w.Header().Get("Content-Security-Policy"), "sandbox") {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	if w := ask(s, all[1][1]); w.Code != http.StatusBadGateway && w.Code != http.StatusUnprocessableEntity {
		t.Errorf("an image elsewhere: %d", w.Code)
	}
	forged := []byte(all[0][1])
	forged[len(forged)-3] ^= 1
	if w := ask(s, string(forged)); w.Code != http.StatusForbidden {
		t.Errorf("forged: %d", w.Code)
	}
	if w := ask(s, s.sign(signed{account: 7, email: 1, part: 3})); w.Code != http.StatusNotFound {
		t.Errorf("a part that is no picture: %d", w.Code)
	}
	*now = now.Add(time.Hour)
	if w := ask(s, all[0][1]); w.Code != http.StatusForbidden {
		t.Errorf("late: %d", w.Code)
	}
}

// A message of a shared mailbox is shown to who may read it, and to nobody else.
func TestSharedView(t *testing.T) {
	s, _, path := viewer(t)
	s.opts.User = func(*http.Request) (User, error) {
		return User{ID: 8, Address: mail.Address{Local: "ben", Domain: "demo.test"}}, nil
	}
	own, err := s.opts.Store.Account(t.Context(), 7)
	if err != nil {
		t.Fatal(err)
	}
	s.opts.Account = func(_ context.Context, user mail.AccountID, account string) (*store.Account, error) {
		if account != "A7" || user != 8 {
			return nil, &mail.Error{Kind: mail.NotFound}
		}
		return own.As(store.Principal{Account: user}), nil
	}
	if w := ask(s, path, framed...); w.Code != http.StatusNotFound {
		t.Errorf("without rights: %d", w.Code)
	}
	if err := own.Update(t.Context(), func(tx *store.Tx) error {
		box, err := tx.Mailbox("INBOX")
		if err != nil {
			return err
		}
		return tx.SetACL(box.ID, store.Grant{Who: 8, Rights: store.RightLookup | store.RightRead})
	}); err != nil {
		t.Fatal(err)
	}
	w := ask(s, path, framed...)
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "<p>Hello</p>") {
		t.Errorf("with rights: %d %s", w.Code, w.Body)
	}
	image := regexp.MustCompile(`src="(/i/[\w-]+)"`).FindStringSubmatch(w.Body.String())
	if image == nil || ask(s, image[1]).Code != http.StatusOK {
		t.Error("its picture is not shown")
	}
	if w := ask(s, strings.Replace(path, "A7", "A9", 1), framed...); w.Code != http.StatusNotFound {
		t.Errorf("another account: %d", w.Code)
	}
}

// FuzzSigned: nothing that we did not sign is taken, and what we signed is read again.
func FuzzSigned(f *testing.F) {
	now := time.Unix(1_000_000, 0)
	s := New(Options{Now: func() time.Time { return now }})
	whole := strings.TrimPrefix(s.sign(signed{account: 7, email: 1, part: 2, url: "https://img.example/a.png"}), "/i/")
	for _, token := range []string{whole, whole[:len(whole)-2], "", "AAAA", strings.Repeat("A", 60), whole + "AA"} {
		f.Add(token, uint64(7), uint64(1), uint32(2), "https://x")
	}
	f.Fuzz(func(t *testing.T, token string, account, email uint64, part uint32, url string) {
		g := signed{account: mail.AccountID(account), email: store.EmailID(email), part: int(part), url: url}
		mine := strings.TrimPrefix(s.sign(g), "/i/")
		if again, ok := s.verify(mine); !ok || again != g {
			t.Errorf("%+v: %+v", g, again)
		}
		if got, ok := s.verify(token); ok && strings.TrimPrefix(s.sign(got), "/i/") != token {
			t.Errorf("%q is taken as %+v", token, got)
		}
	})
}
