package local

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"posthouse/internal/s3"
)

// TestRealBucket ships to, takes over from and backs up to a real S3 server, where
// there is one: versitygw, whose objects are files.
func TestRealBucket(t *testing.T) {
	program, err := exec.LookPath("versitygw")
	if err != nil {
		t.Skip("versitygw is not installed")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "root", "mail"), 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "--access", "AKIDTEST", "--secret", "secret/key", "--region", "test-1", "--port", addr, "posix", filepath.Join(dir, "root"))
	cmd.Env = append(os.Environ(), "HOME="+dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	client := &s3.Client{Endpoint: "http://" + addr, Region: "test-1", Bucket: "mail", Key: "AKIDTEST", Secret: "secret/key", PartSize: 5 << 20, Stall: 20 * time.Second}
	await(t, "an S3 server", func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	place := func(name string) Place { return Place{S3(context.Background(), client), "/" + name} }
	t.Run("synchronous", func(t *testing.T) { takeOver(t, newDisk(t), place("sync"), true) })
	t.Run("asynchronous", func(t *testing.T) { takeOver(t, newDisk(t), place("async"), false) })
	t.Run("moments", func(t *testing.T) { restoreMoments(t, newDisk(t), place("moments")) })
	t.Run("shrinks", func(t *testing.T) { standbyShrinks(t, newDisk(t), place("shrinks"), false) })
	t.Run("large", func(t *testing.T) {
		disk := newDisk(t)
		opt := shipOptions(disk)
		opt.ShipFS, opt.Ship = place("large").FS, "/large"
		s := newSpaceTest(t, opt, 10)
		s.put(1, "large", modelBlob(1, 1, 12<<20)) // in parts
		await(t, "all shipped", func() bool { return s.e.ship.reaches(s.e.end.Load().lsn, nil) })
		if err := s.e.Close(); err != nil {
			t.Fatal(err)
		}
		opt.Dir, _ = promoteHere(t, disk, Place{opt.ShipFS, "/large"})
		opt.Ship, opt.ShipFS = "", nil
		s.e = mustOpen(t, opt)
		s.verify()
	})
}
