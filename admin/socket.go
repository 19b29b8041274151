package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"posthouse/mail"
)

// SocketName is the name of the admin socket in the data directory.
const SocketName = "admin.sock"

// Bounds of the socket's protocol: one JSON value each way.
const (
	maxRequest  = 4 << 20
	maxResponse = 64 << 20
	socketTime  = 10 * time.Second // to send a request
)

// failure is an error as it crosses the socket.
type failure struct {
	Kind string `json:"kind"`
	Text string `json:"text"`
}

// A Server answers on the admin socket.
type Server struct {
	http *http.Server
	path string
}

// Listen makes the admin socket in dir, mode 0600, in place of one that a killed
// server left behind. The caller must own the store in dir: that is what makes
// sure nobody else serves there.
func Listen(dir string) (net.Listener, error) {
	path, done, err := shortPath(dir)
	if err != nil {
		return nil, err
	}
	defer done()
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false) // its name may be a short one that is gone by then: Close removes it
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// NewServer returns a server of the operations of sys, whose socket stands in
// dir.
func NewServer(sys *System, dir string) *Server {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/{op}", func(w http.ResponseWriter, r *http.Request) { serve(sys, w, r) })
	log := sys.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Server{path: filepath.Join(dir, SocketName), http: &http.Server{
		Handler: mux, ReadHeaderTimeout: socketTime, ReadTimeout: socketTime, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}}
}

// Serve answers until Shutdown.
func (s *Server) Serve(l net.Listener) error {
	err := s.http.Serve(peerListener{l})
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Shutdown lets operations under way finish, within ctx, and removes the socket.
func (s *Server) Shutdown(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, s.http.Close())
	}
	if rerr := os.Remove(s.path); rerr != nil && !errors.Is(rerr, os.ErrNotExist) {
		err = errors.Join(err, rerr)
	}
	return err
}

// peerListener lets in root and the user of this process only. The mode of the
// socket says the same; this holds also where somebody changed it.
type peerListener struct{ net.Listener }

// Accept returns the next connection of a permitted peer.
func (p peerListener) Accept() (net.Conn, error) {
	for {
		c, err := p.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if permitted(c) {
			return c, nil
		}
		_ = c.Close()
	}
}

func serve(sys *System, w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		reply(w, http.StatusBadRequest, failure{mail.TooLarge.String(), "the request is too large or was cut off"})
		return
	}
	// An operation may take long (check): only the request has a time limit.
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	out, err := sys.Run(r.Context(), r.PathValue("op"), raw)
	if err != nil {
		reply(w, http.StatusUnprocessableEntity, failure{mail.KindOf(err).String(), mail.TextOf(err)})
		return
	}
	reply(w, http.StatusOK, out)
}

func reply(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v) // the peer went away: nothing is to be done
}

// sockaddr_un holds 108 bytes, the last of them zero; data directories of tests
// and demos are longer.
const longestSocketPath = 107

// shortPath names the socket in dir with a path that fits, through the open
// directory if need be. Call done when the path was used.
func shortPath(dir string) (path string, done func(), err error) {
	path = filepath.Join(dir, SocketName)
	if len(path) <= longestSocketPath {
		return path, func() {}, nil
	}
	f, err := os.Open(dir)
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", f.Fd(), SocketName), func() { _ = f.Close() }, nil
}
