// Package proc is what the kernel says of the process that listens on a socket, and of its children.
package proc

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Process is one look at a process.
type Process struct {
	// CPU is the process's own; Children what the children used that it has waited for.
	CPU, Children time.Duration
	// Memory in KiB; Anon is RSS less mapped files, such as the binary.
	RSS, Anon, Peak int
	Threads, Files  int
}

// Listener is the process that listens on a unix socket.
func Listener(socket string) (int, error) {
	connection, err := net.Dial("unix", socket)
	if err != nil {
		return 0, err
	}
	defer connection.Close()
	raw, err := connection.(*net.UnixConn).SyscallConn()
	if err != nil {
		return 0, err
	}
	var peer *syscall.Ucred
	var peerErr error
	err = raw.Control(func(fd uintptr) {
		peer, peerErr = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if err != nil {
		return 0, err
	}
	if peerErr != nil {
		return 0, peerErr
	}
	return int(peer.Pid), nil
}

// Look reads /proc/PID.
func Look(pid int) (p Process, err error) {
	folder := fmt.Sprintf("/proc/%d/", pid)
	status, err := os.ReadFile(folder + "status")
	if err != nil {
		return p, err
	}
	for line := range strings.Lines(string(status)) {
		switch f := strings.Fields(line); f[0] {
		case "VmRSS:":
			p.RSS, _ = strconv.Atoi(f[1])
		case "RssAnon:":
			p.Anon, _ = strconv.Atoi(f[1])
		case "VmHWM:":
			p.Peak, _ = strconv.Atoi(f[1])
		case "Threads:":
			p.Threads, _ = strconv.Atoi(f[1])
		}
	}
	fields, err := stat(pid)
	if err != nil {
		return p, err
	}
	const hertz = 100
	ticks := func(texts []string) (sum time.Duration) {
		for _, t := range texts {
			n, _ := strconv.Atoi(t)
			sum += time.Duration(n) * time.Second / hertz
		}
		return sum
	}
	p.CPU, p.Children = ticks(fields[11:13]), ticks(fields[13:15])
	files, err := os.ReadDir(folder + "fd")
	p.Files = len(files)
	return p, err
}

// Descendants are the children of a process and theirs, zombies too.
func Descendants(pid int) []int {
	parents := map[int][]int{}
	folders, _ := filepath.Glob("/proc/[0-9]*")
	for _, folder := range folders {
		child, _ := strconv.Atoi(filepath.Base(folder))
		fields, err := stat(child)
		if err != nil {
			continue // gone
		}
		parent, _ := strconv.Atoi(fields[1])
		parents[parent] = append(parents[parent], child)
	}
	var all []int
	for open := []int{pid}; len(open) > 0; {
		children := parents[open[0]]
		all = append(all, children...)
		open = append(open[1:], children...)
	}
	return all
}

// Name is the command's name, at most 15 bytes.
func Name(pid int) string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	return strings.TrimSpace(string(text))
}

// stat gives the fields after the command's name in brackets: state, parent, ...
func stat(pid int) ([]string, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil, err
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < 15 {
		return nil, fmt.Errorf("process %d: odd stat line", pid)
	}
	return fields, nil
}
