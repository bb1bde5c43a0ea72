package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"

	"tools/internal/caller"
	"tools/internal/repos"
)

// repository is one git repository and what its applications must render to.
type repository struct {
	name, dir string
	charts    int
	expected  []string // the objects of each application with change 0, as one text

	mutex     sync.Mutex
	changes   int
	snapshots []*snapshot // the last few commits, newest first
}

// snapshot is one commit: what is sent, and which change each chart has.
type snapshot struct {
	revision string
	plain    *caller.Archive   // without .git
	touched  []*caller.Archive // with .git, different each
	change   map[int]int
}

const (
	keptCommits = 3
	kube        = "1.37.0"
	apis        = "v1,apps/v1"
)

// newRepository makes one and renders every application with the bare helm, from plaintext.
func newRepository(root, name, helm string, spec repos.Spec) (*repository, error) {
	dir := filepath.Join(root, name)
	if err := repos.Make(dir, spec); err != nil {
		return nil, err
	}
	r := &repository{name: name, dir: filepath.Join(dir, "repository"), charts: spec.Charts}
	for n := range spec.Charts {
		path := repos.AppPath(n)
		out, err := exec.Command(helm, "template", filepath.Base(path), filepath.Join(r.dir, path), "--namespace", "demo", "--include-crds",
			"--kube-version", kube, "--api-versions", apis, "-f", filepath.Join(r.dir, path, "values.yaml"),
			"-f", filepath.Join(dir, "plain", path, "secrets.yaml")).Output()
		if err != nil {
			return nil, fmt.Errorf("helm: %w", err)
		}
		objects, err := caller.Objects(strings.Split(string(out), "\n---\n"))
		if err != nil {
			return nil, err
		}
		text := strings.Join(objects, "\n")
		if !strings.Contains(text, `"change":"0"`) {
			return nil, fmt.Errorf("%s: the expected objects name no change", path)
		}
		r.expected = append(r.expected, text)
	}
	return r, r.commit()
}

// commit changes one chart, and packs the new state.
func (r *repository) commit() error {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	s := &snapshot{change: map[int]int{}}
	if len(r.snapshots) > 0 {
		r.changes++
		for n, change := range r.snapshots[0].change {
			s.change[n] = change
		}
		n := r.changes % r.charts
		s.change[n] = r.changes
		if err := repos.Change(r.dir, n, r.changes); err != nil {
			return err
		}
	}
	var err error
	if s.revision, err = repos.Head(r.dir); err != nil {
		return err
	}
	if s.plain, err = caller.Pack(r.dir, ".git"); err != nil {
		return err
	}
	for n := range 3 {
		if err := repos.Touch(r.dir, 10*r.changes+n); err != nil {
			return err
		}
		archive, err := caller.Pack(r.dir)
		if err != nil {
			return err
		}
		s.touched = append(s.touched, archive)
	}
	r.snapshots = append([]*snapshot{s}, r.snapshots[:min(len(r.snapshots), keptCommits-1)]...)
	return nil
}

// pick chooses a commit, mostly the newest.
func (r *repository) pick(random func(int) int) *snapshot {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if random(4) > 0 {
		return r.snapshots[0]
	}
	return r.snapshots[random(len(r.snapshots))]
}

func (r *repository) app(s *snapshot, n int) caller.App {
	path := repos.AppPath(n)
	return caller.App{
		Name: filepath.Base(path), Namespace: "demo", Project: "default", Path: path,
		RepoURL: "https://git.example.com/" + r.name + ".git", Revision: s.revision,
		KubeVersion: kube, APIVersions: apis,
		Parameters: v1alpha1.ApplicationSourcePluginParameters{{
			Name: "valueFiles", OptionalArray: &v1alpha1.OptionalArray{Array: []string{"values.yaml", "secrets.yaml"}},
		}},
	}
}

// right says whether these are the objects of application n at that commit.
func (r *repository) right(s *snapshot, n int, manifests []string) error {
	objects, err := caller.Objects(manifests)
	if err != nil {
		return err
	}
	wanted := strings.Replace(r.expected[n], `"change":"0"`, fmt.Sprintf(`"change":"%d"`, s.change[n]), 1)
	return caller.Same(strings.Split(wanted, "\n"), objects)
}

// keepCommitting makes a commit in a repository now and then.
func keepCommitting(ctx context.Context, all []*repository, pause func(context.Context) bool) {
	for n := 0; pause(ctx); n++ {
		if err := all[n%len(all)].commit(); err != nil {
			log.Fatalf("soak: commit: %v", err)
		}
	}
}

// fill writes a file until the disk is full; the returned function removes it.
func fill(dir string) func() {
	path := filepath.Join(dir, "filler")
	file, err := os.Create(path)
	if err == nil {
		block := make([]byte, 1<<20)
		for err == nil {
			_, err = file.Write(block)
		}
		// The last bytes too.
		for size := 1 << 12; err != nil && size > 0; size /= 2 {
			_, err = file.Write(block[:size])
		}
		file.Close()
	}
	return func() { os.Remove(path) }
}
