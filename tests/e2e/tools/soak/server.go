package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"tools/internal/proc"
)

// server is the process under test.
type server struct {
	arguments      []string
	socket, folder string
	metrics        string // URL, or ''
	command        *exec.Cmd
	ended          chan error
	fresh          state // as it was before the first call
}

// start runs it and waits for its socket. Its log goes to our standard error.
func (s *server) start() error {
	s.command = exec.Command(s.arguments[0], s.arguments[1:]...)
	s.command.Stdout, s.command.Stderr = os.Stderr, os.Stderr
	if err := s.command.Start(); err != nil {
		return err
	}
	s.ended = make(chan error, 1)
	go func(command *exec.Cmd, ended chan error) { ended <- command.Wait() }(s.command, s.ended)
	for range 200 {
		if _, err := proc.Listener(s.socket); err == nil {
			return nil
		}
		select {
		case err := <-s.ended:
			return fmt.Errorf("the server ended at its start: %v", err)
		case <-time.After(50 * time.Millisecond):
		}
	}
	return errors.New("the server made no socket in 10 s")
}

// terminate asks it to end, and says how it did.
func (s *server) terminate(patience time.Duration) error {
	if err := s.command.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case err := <-s.ended:
		if err != nil {
			return fmt.Errorf("on SIGTERM the server ended with %v", err)
		}
	case <-time.After(patience):
		_ = s.command.Process.Kill()
		<-s.ended
		return fmt.Errorf("the server lived on for %v after SIGTERM", patience)
	}
	if _, err := os.Stat(s.socket); !errors.Is(err, fs.ErrNotExist) {
		return errors.New("the socket is still there after SIGTERM")
	}
	return nil
}

// kill ends it where it still runs.
func (s *server) kill() { _ = s.command.Process.Kill() }

// killChild kills one of the server's children, helm or what is about to become it.
func (s *server) killChild(random func(int) int) bool {
	children := proc.Descendants(s.command.Process.Pid)
	if len(children) == 0 {
		return false
	}
	return syscall.Kill(children[random(len(children))], syscall.SIGKILL) == nil
}

// state is what may leak.
type state struct {
	proc.Process
	children, folders, files int
	bytes                    int64
}

func (s *server) look() (state, error) {
	p, err := proc.Look(s.command.Process.Pid)
	if err != nil {
		return state{}, fmt.Errorf("the server is gone: %w", err)
	}
	now := state{Process: p, children: len(proc.Descendants(s.command.Process.Pid))}
	// Entries vanish while we walk.
	_ = filepath.WalkDir(s.folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		if d.IsDir() {
			now.folders++
			return nil
		}
		now.files++
		if info, err := d.Info(); err == nil {
			now.bytes += info.Size()
		}
		return nil
	})
	return now, nil
}

func (s state) String() string {
	return fmt.Sprintf("RSS %d MiB (anonymous %d, peak %d), %d threads, %d descriptors, %d children, work folder: %d folders, %d files, %d MiB",
		s.RSS>>10, s.Anon>>10, s.Peak>>10, s.Threads, s.Files, s.children, s.folders, s.files, s.bytes>>20)
}

var histogram = regexp.MustCompile(`^[a-z_]+_(bucket|sum|count)\b|^argocd_sops_application_|^process_`)

// scrape reads the metrics and gives those that are plain numbers other than 0, but not what is kept by application or phase.
func (s *server) scrape() (string, error) {
	if s.metrics == "" {
		return "", nil
	}
	client := http.Client{Timeout: 5 * time.Second}
	answer, err := client.Get(s.metrics)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		return "", fmt.Errorf("metrics: %s, %v", answer.Status, err)
	}
	var chosen []string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "#") && !strings.HasSuffix(line, " 0") && !histogram.MatchString(line) {
			chosen = append(chosen, strings.TrimPrefix(line, "argocd_sops_"))
		}
	}
	return strings.Join(chosen, ", "), nil
}
