// Command parity renders applications twice through a running argocd-repo-server, natively from plain values files and by the
// plugin from encrypted ones, and demands the same objects, byte for byte as repo-server gives them as JSON. With -binary it also
// renders both Applications with `argocd-sops generate APP.yaml` from a check-out and demands the same again.
//
//	parity -addr 127.0.0.1:8081 -repo file:///repository -checkout DIR -binary argocd-sops CASE.yaml...
//
// The repository has two branches with the same file names: in `plain` the values files are plain, in `encrypted` they are not.
// Differences are reported by the name of the object and the path in it, never by value.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	"github.com/argoproj/argo-cd/v3/reposerver/apiclient"
	"github.com/argoproj/argo-cd/v3/util/tls"
	"sigs.k8s.io/yaml"
)

// Case is one file: an application, and its source on either side.
type Case struct {
	// About says in one line what is compared.
	About string `json:"about"`
	// Instance is ARGOCD_APP_NAME: the name, or namespace_name outside the control plane's namespace.
	Instance string `json:"instance"`
	// Namespace is the destination's.
	Namespace string `json:"namespace"`
	// KubeVersion and APIVersions are the destination cluster's.
	KubeVersion string   `json:"kubeVersion"`
	APIVersions []string `json:"apiVersions"`
	// ManifestGeneratePaths is the annotation that lets repo-server send a part of the tree.
	ManifestGeneratePaths string `json:"manifestGeneratePaths"`
	// Path is where the application lies, on both branches.
	Path   string                                     `json:"path"`
	Helm   *v1alpha1.ApplicationSourceHelm            `json:"helm"`
	Plugin v1alpha1.ApplicationSourcePluginParameters `json:"plugin"`
	// Refused: both sides must fail (or only the plugin, where there is no `helm`), and the plugin's text must hold all of Says.
	Refused bool     `json:"refused"`
	Says    []string `json:"says"`
	// Never stands in no answer and no error.
	Never []string `json:"never"`
	// Terminal says which sources `generate APP.yaml` renders too; default both.
	Terminal *[]string `json:"terminal"`
}

var (
	addr     = flag.String("addr", "127.0.0.1:8081", "repo-server's address")
	repo     = flag.String("repo", "", "git URL of the repository")
	checkout = flag.String("checkout", "", "a check-out of its `encrypted` branch, for -binary")
	binary   = flag.String("binary", "", "argocd-sops; without it the terminal is not compared")
	native   = flag.Bool("native-only", false, "render only natively, to try the cases themselves")
	rounds   = flag.Int("rounds", 1, "how often each case is tried")
	timeout  = flag.Duration("timeout", 60*time.Second, "deadline of a call")
)

func main() {
	flag.Parse()
	connection, client, err := apiclient.NewRepoServerClientset(*addr, int(timeout.Seconds()),
		tls.Configuration{DisableTLS: true}).NewRepoServerClient()
	if err != nil {
		fatal(err)
	}
	defer connection.Close()

	failed, refused, objects, started := 0, 0, 0, time.Now()
	for _, file := range flag.Args() {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		c, err := read(file)
		if err != nil {
			fatal(fmt.Errorf("%s: %w", file, err))
		}
		outcome, n, err := c.run(client)
		for range *rounds - 1 {
			if err == nil {
				_, _, err = c.run(client)
			}
		}
		objects += n
		if err != nil {
			failed++
			fmt.Printf("%-28s DIFFERENT  %s\n%s\n", name, c.About, indent(err.Error()))
			continue
		}
		if c.Refused {
			refused++
		}
		fmt.Printf("%-28s %s  %s\n", name, outcome, c.About)
	}
	fmt.Printf("parity: %d cases, %d equal (%d objects), %d refused as they must be, %d different, %.1f s\n",
		flag.NArg(), flag.NArg()-failed-refused, objects, refused, failed, time.Since(started).Seconds())
	if failed > 0 || flag.NArg() == 0 {
		os.Exit(1)
	}
}

func read(file string) (*Case, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	c := &Case{
		Instance: "demo", Namespace: "demo", KubeVersion: "1.37.0",
		APIVersions: []string{"v1", "apps/v1", "batch/v1", "networking.k8s.io/v1", "rbac.authorization.k8s.io/v1"},
	}
	if err := yaml.UnmarshalStrict(text, c); err != nil {
		return nil, err
	}
	if c.Path == "" || c.About == "" || (c.Refused && len(c.Says) == 0) {
		return nil, fmt.Errorf("a case needs `path` and `about`, and a refused one `says`")
	}
	return c, nil
}

// run renders all sides; the outcome is one cell of the table.
func (c *Case) run(client apiclient.RepoServerServiceClient) (string, int, error) {
	wanted, nativeErr := c.generate(client, c.nativeSource())
	if *native {
		if nativeErr != nil && !c.Refused {
			return "", 0, nativeErr
		}
		return fmt.Sprintf("native (%2d objects)", len(wanted)), len(wanted), nil
	}
	got, pluginErr := c.generate(client, c.pluginSource())
	if c.Refused {
		return c.refusal(nativeErr, pluginErr)
	}
	if nativeErr != nil {
		return "", 0, fmt.Errorf("natively: %w", nativeErr)
	}
	if pluginErr != nil {
		return "", 0, fmt.Errorf("by the plugin: %w", pluginErr)
	}
	if len(wanted) == 0 {
		return "", 0, fmt.Errorf("no objects: nothing is compared")
	}
	if err := compare("plugin", wanted, got); err != nil {
		return "", 0, err
	}
	sides, err := c.terminal(wanted)
	if err != nil {
		return "", 0, err
	}
	return fmt.Sprintf("equal (%2d objects; plugin%s)", len(wanted), sides), len(wanted), nil
}

// refusal checks that both sides fail, and what the user reads of ours.
func (c *Case) refusal(nativeErr, pluginErr error) (string, int, error) {
	if c.Helm != nil && nativeErr == nil {
		return "", 0, fmt.Errorf("native Helm renders it")
	}
	if pluginErr == nil {
		return "", 0, fmt.Errorf("the plugin renders it")
	}
	text := pluginErr.Error()
	for _, s := range c.Says {
		if !strings.Contains(text, s) {
			return "", 0, fmt.Errorf("the error does not say %q: %s", s, text)
		}
	}
	for _, s := range c.Never {
		if strings.Contains(text, s) {
			return "", 0, fmt.Errorf("the error holds a secret") // and is not shown
		}
	}
	return "refused:\n" + indent(text) + "\n" + strings.Repeat(" ", 28), 0, nil
}

func (c *Case) nativeSource() *v1alpha1.ApplicationSource {
	helm := c.Helm
	if helm == nil {
		helm = &v1alpha1.ApplicationSourceHelm{}
	}
	return &v1alpha1.ApplicationSource{RepoURL: *repo, Path: c.Path, TargetRevision: "plain", Helm: helm}
}

func (c *Case) pluginSource() *v1alpha1.ApplicationSource {
	return &v1alpha1.ApplicationSource{
		RepoURL: *repo, Path: c.Path, TargetRevision: "encrypted",
		Plugin: &v1alpha1.ApplicationSourcePlugin{Name: "sops", Parameters: c.Plugin},
	}
}

func (c *Case) generate(client apiclient.RepoServerServiceClient, source *v1alpha1.ApplicationSource) ([]string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), *timeout)
	defer cancel()
	answer, err := client.GenerateManifest(ctx, &apiclient.ManifestRequest{
		Repo:                            &v1alpha1.Repository{Repo: *repo},
		Revision:                        source.TargetRevision,
		AppName:                         c.Instance,
		Namespace:                       c.Namespace,
		ApplicationSource:               source,
		KubeVersion:                     c.KubeVersion,
		ApiVersions:                     c.APIVersions,
		NoCache:                         true,
		NoRevisionCache:                 true,
		AnnotationManifestGeneratePaths: c.ManifestGeneratePaths,
		ProjectName:                     "default",
		// Nothing of the tree may come from the network.
		ProjectSourceRepos: []string{"*"},
	})
	if err != nil {
		return nil, err
	}
	return answer.Manifests, nil
}

func indent(text string) string {
	return "    " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n    ")
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, "parity:", err)
	os.Exit(2)
}
