package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A usage is what processes have used since they started.
type usage struct {
	cpu     time.Duration
	written int64 // bytes that they caused to be written to storage
}

func (u usage) minus(v usage) usage { return usage{u.cpu - v.cpu, u.written - v.written} }

// tree lists roots and all their descendants.
func tree(roots []int) []int {
	children := map[int][]int{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, f := range stats {
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(f)))
		if st, err := readStat(pid); err == nil {
			children[st.parent] = append(children[st.parent], pid)
		}
	}
	pids := slices.Clone(roots)
	for i := 0; i < len(pids); i++ {
		pids = append(pids, children[pids[i]]...)
	}
	return pids
}

type stat struct {
	parent int
	ticks  int64 // user and system time, of waited-for children too
}

// clockTick is the unit of times in /proc/PID/stat on Linux.
const clockTick = 10 * time.Millisecond

func readStat(pid int) (stat, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, err
	}
	f := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(f) < 15 {
		return stat{}, fmt.Errorf("/proc/%d/stat: %d fields", pid, len(f))
	}
	var st stat
	st.parent, _ = strconv.Atoi(f[1])
	for _, i := range []int{11, 12, 13, 14} {
		n, _ := strconv.ParseInt(f[i], 10, 64)
		st.ticks += n
	}
	return st, nil
}

// readUsage sums over the trees of roots. What processes used that ended in
// between is in their parents' numbers.
func readUsage(roots []int) (usage, error) {
	var u usage
	for _, pid := range tree(roots) {
		st, err := readStat(pid)
		if err != nil {
			if slices.Contains(roots, pid) {
				return u, err
			}
			continue
		}
		u.cpu += time.Duration(st.ticks) * clockTick
		u.written += ioField(pid, "write_bytes") - ioField(pid, "cancelled_write_bytes")
	}
	return u, nil
}

// memoryOf sums the proportional set size of the trees of roots, in bytes.
func memoryOf(roots []int) (n int64, err error) {
	for _, pid := range tree(roots) {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			if slices.Contains(roots, pid) {
				return n, err
			}
			continue
		}
		for line := range strings.Lines(string(text)) {
			if f := strings.Fields(line); len(f) == 3 && f[0] == "Pss:" {
				kb, _ := strconv.ParseInt(f[1], 10, 64)
				n += kb << 10
			}
		}
	}
	return n, nil
}

// ownCPU is the CPU time that this process has used.
func ownCPU() time.Duration {
	var ru syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &ru) != nil {
		return 0
	}
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}

func ioField(pid int, name string) int64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/io", pid))
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, name+": "); ok {
			n, _ := strconv.ParseInt(strings.TrimSpace(rest), 10, 64)
			return n
		}
	}
	return 0
}

// deviceWritten is how many bytes were written to the device that holds dir, by
// anyone; ok is false if there is no such device (tmpfs, overlay).
func deviceWritten(dir string) (n int64, ok bool) {
	var st syscall.Stat_t
	if syscall.Stat(dir, &st) != nil {
		return 0, false
	}
	major, minor := strconv.FormatUint(st.Dev>>8&0xfff, 10), strconv.FormatUint(st.Dev&0xff|st.Dev>>12&^0xff, 10)
	text, _ := os.ReadFile("/proc/diskstats")
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) > 9 && f[0] == major && f[1] == minor {
			sectors, err := strconv.ParseInt(f[9], 10, 64)
			return sectors * 512, err == nil
		}
	}
	return 0, false
}

// describeMachine says in one line on what the numbers were taken.
func describeMachine(dir string) string {
	var un syscall.Utsname
	syscall.Uname(&un)
	var release []byte
	for _, c := range un.Release {
		if c == 0 {
			break
		}
		release = append(release, byte(c))
	}
	cpus, model := 0, "unknown CPU"
	info, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(info)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == "model name" {
			cpus, model = cpus+1, strings.TrimSpace(v)
		}
	}
	var si syscall.Sysinfo_t
	syscall.Sysinfo(&si)
	load, _, _ := strings.Cut(readText("/proc/loadavg"), " ")
	return fmt.Sprintf("%d × %s, %d GiB, Linux %s, %s, load average %s from other work", cpus, model, si.Totalram*uint64(si.Unit)>>30, release, fileSystem(dir), load)
}

func readText(file string) string {
	text, _ := os.ReadFile(file)
	return string(text)
}

func fileSystem(dir string) string {
	var fs syscall.Statfs_t
	if syscall.Statfs(dir, &fs) != nil {
		return "unknown file system"
	}
	switch fs.Type {
	case 0xef53:
		return "ext4"
	case 0x01021994:
		return "tmpfs (nothing here is durable!)"
	case 0x794c7630:
		return "overlayfs"
	case 0x58465342:
		return "xfs"
	case 0x9123683e:
		return "btrfs"
	}
	return fmt.Sprintf("file system %#x", fs.Type)
}
