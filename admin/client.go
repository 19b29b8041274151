package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"

	"posthouse/mail"
)

// ErrNotRunning is returned by Dial when no server answers in a directory.
var ErrNotRunning = errors.New("no server is running there")

// A Client calls the operations of a running server.
type Client struct{ http http.Client }

// Dial returns a client of the server whose data directory is dir. It fails with
// ErrNotRunning if there is none, and with Denied if it is another user's.
func Dial(ctx context.Context, dir string) (*Client, error) {
	conn, err := dial(ctx, dir)
	switch {
	case errors.Is(err, os.ErrPermission):
		return nil, refuse(mail.Denied, "admin.Dial", "the server in %s belongs to another user: run this as that user or as root", dir)
	case errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOTDIR):
		return nil, ErrNotRunning
	case err != nil:
		return nil, fmt.Errorf("cannot reach the server in %s: %w", dir, err)
	}
	_ = conn.Close()
	c := &Client{}
	c.http.Transport = &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return dial(ctx, dir)
	}}
	return c, nil
}

func dial(ctx context.Context, dir string) (net.Conn, error) {
	path, done, err := shortPath(dir)
	if err != nil {
		return nil, err
	}
	defer done()
	var d net.Dialer
	return d.DialContext(ctx, "unix", path)
}

// Call runs one operation on the server. Errors have the Kind and Text that the
// operation gave them; Unavailable if the server went away.
func (c *Client) Call(ctx context.Context, name string, in, out any) error {
	raw, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://posthouse/v1/"+name, bytes.NewReader(raw))
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return &mail.Error{Kind: mail.Unavailable, Op: name, Text: "the server did not answer", Err: err}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxResponse+1))
	if len(body) > maxResponse {
		return refuse(mail.TooLarge, name, "the answer is larger than %d MB: ask for less, as with --domain or --limit", maxResponse>>20)
	}
	if err != nil {
		return &mail.Error{Kind: mail.Unavailable, Op: name, Text: "the server went away", Err: err}
	}
	if resp.StatusCode == http.StatusOK {
		return json.Unmarshal(body, out)
	}
	var f failure
	if err := json.Unmarshal(body, &f); err != nil {
		return &mail.Error{Kind: mail.Internal, Op: name, Text: fmt.Sprintf("the server answered %s", resp.Status), Err: err}
	}
	return &mail.Error{Kind: kindNamed(f.Kind), Op: name, Text: f.Text}
}

func kindNamed(s string) mail.Kind {
	for k := mail.Internal; k <= mail.Corrupt; k++ {
		if k.String() == s {
			return k
		}
	}
	return mail.Internal
}
