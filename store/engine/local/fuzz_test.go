package local

import (
	"bufio"
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"posthouse/mail"
	"posthouse/store/engine"
)

// FuzzBase reads a copy of the index that says anything: it is whole, or found
// damaged, and never believed in part.
func FuzzBase(f *testing.F) {
	b, err := os.ReadFile(filepath.Join(fixtures, "format1", "store", baseName))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(b[:len(b)/2])
	f.Add(append(baseHead(1, 2), baseEnd(2, 0)...))
	format, err := os.ReadFile(filepath.Join(fixtures, "format1", "store", "FORMAT"))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e := &Engine{log: slog.New(slog.DiscardHandler)}
		if err := e.parseFormat(string(format)); err != nil {
			t.Fatal(err)
		}
		defer e.keeper.codecs.close()
		l := &baseLoader{e: e, r: bufio.NewReader(bytes.NewReader(b)), dry: true}
		if err := l.load(); err != nil && !errors.Is(err, engine.ErrCorrupt) {
			t.Errorf("%v", err)
		}
	})
}

// FuzzFormat reads a FORMAT that says anything.
func FuzzFormat(f *testing.F) {
	f.Add("posthouse store 1\nid 0123456789abcdef\n")
	f.Add("posthouse store 99\nid 1\n")
	f.Fuzz(func(t *testing.T, text string) {
		e := &Engine{fs: orDisk(nil), dir: "/nowhere"}
		if err := e.parseFormat(text); err != nil && mail.KindOf(err) != mail.Corrupt && mail.KindOf(err) != mail.Invalid {
			t.Errorf("%v", err)
		}
	})
}

// FuzzClaim reads a claim that says anything: what is believed is what was written.
func FuzzClaim(f *testing.F) {
	f.Add(claimText(7, "0123456789abcdef0123456789abcdef"))
	f.Add(claimText(1<<63, claimPromoted))
	f.Add([]byte(claimFirst + "epoch 1\nowner \n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if epoch, owner, err := parseClaim(b); err == nil && !bytes.Equal(claimText(epoch, owner), b) {
			t.Errorf("%q was read as claim %d of %q", b, epoch, owner)
		}
	})
}
