package server

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/user"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"

	"posthouse/config"
)

// raiseLimits raises what the system allows this process, and tells the runtime
// how much memory it should be content with.
func (s *Server) raiseLimits(context.Context) error {
	if want := s.cfg.Limits.Descriptors.Int(); want > 0 {
		s.raiseDescriptors(uint64(want))
	}
	if os.Getenv("GOMEMLIMIT") == "" { // who sets that knows better
		debug.SetMemoryLimit(memoryLimit(s.cfg))
	}
	return nil
}

func (s *Server) raiseDescriptors(want uint64) {
	var lim syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim); err != nil || lim.Cur >= want {
		return
	}
	raised := syscall.Rlimit{Cur: want, Max: max(lim.Max, want)}
	if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &raised) == nil {
		return
	}
	raised = syscall.Rlimit{Cur: min(want, lim.Max), Max: lim.Max} // only root may raise the hard limit
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &raised); err != nil || raised.Cur < want {
		s.log.Info("fewer descriptors than configured", "want", want, "have", raised.Cur)
	}
}

// memoryLimit is how much memory the process should use at most: what is
// configured, or three quarters of what there is.
func memoryLimit(c config.Config) int64 {
	if n := c.Limits.Memory.Int64(); n > 0 {
		return n
	}
	have := int64(math.MaxInt64)
	if n, ok := fieldOf("/proc/meminfo", "MemTotal:"); ok {
		have = min(have, n<<10)
	}
	if b, err := os.ReadFile("/sys/fs/cgroup/memory.max"); err == nil {
		if n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); err == nil {
			have = min(have, n)
		}
	}
	if have == math.MaxInt64 {
		return 4 << 30
	}
	return have / 4 * 3
}

// fieldOf reads the number after name in a file like /proc/meminfo.
func fieldOf(path, name string) (int64, bool) {
	f, err := os.Open(path)
	if err != nil {
		return 0, false
	}
	defer f.Close()
	for sc := bufio.NewScanner(f); sc.Scan(); {
		fields := strings.Fields(sc.Text())
		if len(fields) >= 2 && fields[0] == name {
			n, err := strconv.ParseInt(fields[1], 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}

// dropPrivileges becomes the user of [run] for good, after the ports are bound
// and the data directory is there.
func (s *Server) dropPrivileges(context.Context) error {
	if s.cfg.Run.User == "" {
		if os.Geteuid() == 0 && !s.opts.demo {
			s.log.Warn("running as root: set run.user to a user of its own")
		}
		return nil
	}
	who, err := lookUp(s.cfg.Run)
	if err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		if os.Geteuid() == who.uid {
			return nil
		}
		return fmt.Errorf("run.user is %s, but only root can become somebody else: start as root or as %s", s.cfg.Run.User, s.cfg.Run.User)
	}
	if err := who.own(s.cfg.Data); err != nil {
		return err
	}
	for _, b := range s.bound {
		if b.Addr().Network() == "unix" {
			if err := os.Chown(b.Addr().String(), who.uid, who.gid); err != nil {
				return err
			}
		}
	}
	return who.become()
}

// An identity is a user and groups of the system.
type identity struct {
	uid, gid int
	groups   []int
}

func lookUp(r config.Run) (identity, error) {
	u, err := user.Lookup(r.User)
	if err != nil {
		return identity{}, fmt.Errorf("run.user: %w", err)
	}
	var who identity
	if who.uid, err = strconv.Atoi(u.Uid); err != nil {
		return who, err
	}
	gid := u.Gid
	if r.Group != "" {
		g, err := user.LookupGroup(r.Group)
		if err != nil {
			return who, fmt.Errorf("run.group: %w", err)
		}
		gid = g.Gid
	}
	if who.gid, err = strconv.Atoi(gid); err != nil {
		return who, err
	}
	ids, err := u.GroupIds()
	if err != nil {
		ids = nil // its own group is enough
	}
	for _, id := range ids {
		if n, err := strconv.Atoi(id); err == nil {
			who.groups = append(who.groups, n)
		}
	}
	return who, nil
}

// own makes who the owner of a directory that was made just now; one that others
// own is left alone and will fail with a clear error.
func (who identity) own(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) > 0 {
		return err
	}
	return os.Chown(dir, who.uid, who.gid)
}

// become takes on the identity, for all threads, and makes sure that there is no
// way back.
func (who identity) become() error {
	groups := who.groups
	if len(groups) == 0 {
		groups = []int{who.gid}
	}
	if err := syscall.Setgroups(groups); err != nil {
		return fmt.Errorf("setgroups: %w", err)
	}
	if err := syscall.Setgid(who.gid); err != nil {
		return fmt.Errorf("setgid: %w", err)
	}
	if err := syscall.Setuid(who.uid); err != nil {
		return fmt.Errorf("setuid: %w", err)
	}
	if who.uid != 0 && syscall.Setuid(0) == nil {
		return errors.New("privileges were not dropped for good")
	}
	return nil
}

// becomeOwner makes a command that root runs on a stopped server act as the owner
// of the data.
func becomeOwner(c config.Config) error {
	if os.Geteuid() != 0 {
		return nil
	}
	info, err := os.Stat(c.Data)
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	if st.Uid != 0 {
		return identity{uid: int(st.Uid), gid: int(st.Gid)}.become()
	}
	if c.Run.User == "" {
		return nil
	}
	who, err := lookUp(c.Run)
	if err != nil {
		return err
	}
	if err := who.own(c.Data); err != nil {
		return err
	}
	return who.become()
}
