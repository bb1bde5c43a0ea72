// Package repos makes git repositories of charts with encrypted values files, and of other files around them.
package repos

import (
	"bytes"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// Spec says what a repository holds.
type Spec struct {
	// Charts is how many there are, apps/app-000 and so on; Files how many files in all, of Bytes bytes each beside the charts.
	Charts, Files, Bytes int
	// Sops is the program, Recipient the age key that the secrets are encrypted to.
	Sops, Recipient string
}

// PerChart is how many files a chart has.
const PerChart = 8

// AppPath is where an application's chart lies.
func AppPath(n int) string { return fmt.Sprintf("apps/app-%03d", n) }

// Make writes dir/repository, committed, and dir/plain: what the secrets.yaml of each chart holds before encryption.
func Make(dir string, spec Spec) error {
	repository, plain := filepath.Join(dir, "repository"), filepath.Join(dir, "plain")
	if spec.Files < spec.Charts*PerChart {
		return fmt.Errorf("%d charts have %d files, more than the %d asked for", spec.Charts, spec.Charts*PerChart, spec.Files)
	}
	if err := filler(repository, spec.Files-spec.Charts*PerChart, spec.Bytes); err != nil {
		return err
	}
	for n := range spec.Charts {
		if err := write(filepath.Join(repository, AppPath(n)), chart(n)); err != nil {
			return err
		}
		secret := map[string]string{"secrets.yaml": secrets(n)}
		for _, root := range []string{repository, plain} {
			if err := write(filepath.Join(root, AppPath(n)), secret); err != nil {
				return err
			}
		}
	}
	if err := encrypt(repository, spec); err != nil {
		return err
	}
	for _, arguments := range [][]string{{"init", "-q", "-b", "main"}, {"add", "-A"}, {"commit", "-qm", "all"}, {"gc", "-q"}} {
		if err := Git(repository, arguments...); err != nil {
			return err
		}
	}
	return nil
}

// filler is text of which half does not compress, 50 files to a folder.
func filler(root string, files, size int) error {
	random := rand.New(rand.NewSource(7))
	for i := range files {
		var text bytes.Buffer
		for text.Len() < size {
			fmt.Fprintf(&text, "key%d: %016x%016x\n", random.Intn(1000), random.Uint64(), random.Uint64())
		}
		name := fmt.Sprintf("f%05d.yaml", i)
		if err := write(filepath.Join(root, fmt.Sprintf("d%04d", i/50)), map[string]string{name: text.String()[:size]}); err != nil {
			return err
		}
	}
	return nil
}

func encrypt(repository string, spec Spec) error {
	var group sync.WaitGroup
	failed := make(chan error, spec.Charts)
	slots := make(chan struct{}, 4)
	for n := range spec.Charts {
		group.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			file := filepath.Join(repository, AppPath(n), "secrets.yaml")
			out, err := exec.Command(spec.Sops, "encrypt", "--age", spec.Recipient, "--in-place", file).CombinedOutput()
			if err != nil {
				failed <- fmt.Errorf("sops encrypt: %w: %s", err, out)
			}
		})
	}
	group.Wait()
	close(failed)
	return <-failed
}

// Git runs git with none of the user's settings.
func Git(dir string, arguments ...string) error {
	command := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=e2e", "-c", "user.email=e2e@example.invalid", "-c", "gc.auto=0"},
		arguments...)...)
	command.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null")
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("git %s: %w: %s", arguments[0], err, out)
	}
	return nil
}

// Head is the full id of the commit that is checked out.
func Head(dir string) (string, error) {
	out, err := exec.Command("git", "-C", dir, "rev-parse", "HEAD").Output()
	return strings.TrimSpace(string(out)), err
}

// Change commits a new line in a template of one chart; its ConfigMap then says which change it was.
func Change(repository string, n, change int) error {
	text := map[string]string{"configmap.yaml": configMap(change)}
	if err := write(filepath.Join(repository, AppPath(n), "templates"), text); err != nil {
		return err
	}
	return Git(repository, "commit", "-qam", fmt.Sprintf("%s, change %d", AppPath(n), change))
}

// Touch rewrites a file in `.git`, as git itself does when argocd-repo-server checks out.
func Touch(repository string, n int) error {
	return os.WriteFile(filepath.Join(repository, ".git", "touched"), fmt.Appendf(nil, "%d\n", n), 0o644)
}

func write(dir string, texts map[string]string) error {
	for name, text := range texts {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}
