package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/argoproj/argo-cd/v3/cmpserver/apiclient"
	"github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	"google.golang.org/grpc/metadata"

	"tools/internal/caller"
)

// wireCase is one request and the rule that judges the two replies.
type wireCase struct {
	name string
	rule rule
	call func(context.Context, string) reply
}

// ofArchive: each archive is a commit of its own. Two archives of one commit are the same tree to our server, which does not unpack the second.
const ofArchive = "of the archive"

// limit is what both servers send at most, and what argocd-repo-server reads at most: 100 MiB.
const limit = 100 << 20

func cases(entries []caller.Entry) []wireCase {
	small := caller.Tgz(slices.Concat(entries, extraCharts())...)
	// 54 MB that do not shrink: sending takes longer than any server needs to see what is wrong.
	noise := make([]byte, 54<<20)
	_, _ = rand.Read(noise)
	big := caller.Tgz(slices.Concat(entries, []caller.Entry{{Name: "noise", Text: noise}})...)

	good := request{open: generate, app: application("apps/app-000", "values.yaml", "secrets.yaml"), archive: small}
	with := func(r request, change func(*request)) func(context.Context, string) reply {
		change(&r)
		if r.app.Revision == ofArchive {
			r.app.Revision = r.archive.Checksum[:40]
		}
		return send(r)
	}
	unchanged := func(*request) {}
	path := func(p string) func(context.Context, string) reply {
		return with(good, func(r *request) { r.app.RelPath, r.app.Path = p, p })
	}
	raw := func(data []byte) func(context.Context, string) reply {
		return with(good, func(r *request) { r.archive = caller.NewArchive(data) })
	}
	hostile := func(entry caller.Entry) func(context.Context, string) reply {
		return with(good, func(r *request) { r.archive = caller.Tgz(append(slices.Clone(entries), entry)...) })
	}
	wrong := func(r *request) {
		r.app.Parameters = append(slices.Clone(r.app.Parameters), v1alpha1.ApplicationSourcePluginParameter{Name: "valuesFiles"})
	}

	return []wireCase{
		{"good", same, with(good, unchanged)},
		{"good, again", same, with(good, unchanged)},
		{"good, 54 MB", same, with(good, func(r *request) { r.archive = big })},
		{"good, 54 MB, chunks of 1 MiB", same, with(good, func(r *request) { r.archive, r.chunk = big, 1<<20 })},
		{"good, 54 MB in one message", same, with(good, func(r *request) { r.archive, r.chunk = big, 64<<20 })},
		{"good, chunks of 1 byte", same, with(good, func(r *request) { r.chunk = 1 })},
		{"good, size 0 announced", same, with(good, func(r *request) { r.edit = func(m *apiclient.ManifestRequestMetadata) { m.Size_ = 0 } })},
		{"good, other base name", same, with(good, func(r *request) { r.app.AppName = "other" })},
		{"good, revision `streamed`", same, with(good, func(r *request) { r.app.Revision = "streamed" })},
		{"good, no revision", same, with(good, func(r *request) { r.app.Revision = "" })},
		{"good, headers of 20 KB and a trace", same, with(good, func(r *request) {
			r.headers = metadata.Pairs("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "x-long", strings.Repeat("x", 20<<10))
		})},
		{"good, 300 KB in one variable", better("stock hands it to a process, which the kernel refuses"), with(good, func(r *request) {
			r.app.Extra = []string{"ARGOCD_ENV_LONG=" + strings.Repeat("x", 300<<10)}
		})},

		{"checksum of another archive", refused("checksum"), with(good, func(r *request) { r.app.Checked = big.Checksum })},
		{"checksum of another archive, 54 MB", refused("checksum"), with(good, func(r *request) { r.archive, r.app.Checked = big, small.Checksum })},
		{"checksum that is none", refused("checksum"), with(good, func(r *request) { r.app.Checked = "none" })},
		{"no message at all", refused("metadata", "header"), with(good, func(r *request) { r.skip, r.archive = true, caller.NewArchive(nil) })},
		{"archive before metadata", refused("metadata"), with(good, func(r *request) { r.skip = true })},
		{"archive before metadata, 54 MB", refused("metadata"), with(good, func(r *request) { r.skip, r.archive = true, big })},
		{"metadata twice", refused("metadata", "file is nil"), with(good, func(r *request) { r.twice = true })},
		{"early close after metadata", refused("checksum"), with(good, func(r *request) {
			r.app.Checked, r.archive = small.Checksum, caller.NewArchive(nil)
		})},
		{"another archive of the same commit", succeeds("it is drained unread: the tree is the commit's"), with(good, func(r *request) {
			r.app.Revision, r.archive = small.Checksum[:40], caller.NewArchive([]byte("no archive"))
		})},
		{"early close, checksum of nothing", refused("archive", "tgz"), raw(nil)},

		{"gzip cut off", refused("archive", "tgz"), raw(small.Data[:len(small.Data)/2])},
		{"gzip cut off, 54 MB", refused("archive", "tgz"), raw(big.Data[:len(big.Data)-1000])},
		{"not gzip", refused("archive", "tgz"), raw([]byte(strings.Repeat("no gzip at all. ", 100)))},
		{"no members", refused("app-000", "archive", "tgz"), with(good, func(r *request) { r.archive = caller.Tgz() })},
		{"member outside", refused("archive", "outside", "escape", "path"), hostile(caller.Entry{Name: "../outside", Text: []byte("x")})},
		{"link outside", refused("archive", "outside", "link"), hostile(caller.Entry{Name: "apps/app-000/out", Link: "../../../out"})},
		{"link to an absolute path", refused("archive", "outside", "link"), hostile(caller.Entry{Name: "apps/app-000/out", Link: "/etc"})},
		{"link to the root of the archive", succeeds("such links are legal in Argo CD"), hostile(caller.Entry{Name: "d0000/root", Link: ".."})},

		{"path ..", refused("path", "out of"), path("..")},
		{"path that leaves and comes back", refused("path", "out of"), path("../x/apps/app-000")},
		{"absolute path", refused("path", "exist", "absolute"), path("/etc")},
		{"path that is missing", refused("exist", "missing", "no such", "not a"), path("apps/missing")},
		{"path that is a file", refused("folder", "directory", "not a"), path("apps/app-000/values.yaml")},

		{"unknown parameter", refused("valuesfiles"), with(good, wrong)},
		{"unknown parameter, 54 MB", refused("valuesfiles"), with(good, func(r *request) { wrong(r); r.archive = big })},
		{"missing values file, 54 MB", refused("missing.yaml"), with(good, func(r *request) {
			r.app, r.archive = application("apps/app-000", "missing.yaml"), big
		})},
		{"helm fails", refused("secrets.yaml is missing"), with(good, func(r *request) { r.app = application("apps/app-000", "values.yaml") })},

		{"reply just below 100 MiB", same, with(good, func(r *request) { r.app = sized(limit - 16<<10) })},
		{"reply just above 100 MiB", refused("more than", "larger", "limit"), with(good, func(r *request) { r.app = sized(limit + 16<<10) })},
		{"too little time", refused("time", "deadline"), with(good, func(r *request) {
			r.app, r.timeout = application("apps/slow", "values.yaml"), 1500*time.Millisecond
		})},
		{"cancelled in the middle of 54 MB", ended, with(good, func(r *request) { r.archive, r.cancel = big, true })},
		{"connection dropped in the middle of 54 MB", ended, with(good, func(r *request) { r.archive, r.drop = big, true })},
		{"cancelled while helm runs", ended, with(good, func(r *request) {
			r.app, r.cancel, r.after = application("apps/slow", "values.yaml"), true, 300*time.Millisecond
		})},
		{"connection dropped while helm runs", ended, with(good, func(r *request) {
			r.app, r.drop, r.after = application("apps/slow", "values.yaml"), true, 300*time.Millisecond
		})},
		{"good, afterwards", same, with(good, unchanged)},

		{"CheckPluginConfiguration", same, configuration},
		{"MatchRepository", same, with(good, func(r *request) { r.open = match })},
		{"MatchRepository, 54 MB", same, with(good, func(r *request) { r.open, r.archive = match, big })},
		{"MatchRepository, garbage", succeeds("a no needs no archive"), with(good, func(r *request) {
			r.open, r.archive = match, caller.NewArchive([]byte("garbage"))
		})},
		{"GetParametersAnnouncement", succeeds("stock is not configured to announce any"), with(good, func(r *request) { r.open = announce })},
		{"GetParametersAnnouncement, 54 MB", succeeds("stock is not configured to announce any"), with(good, func(r *request) {
			r.open, r.archive = announce, big
		})},
		{"GetParametersAnnouncement, garbage", succeeds("the tab in the UI never fails"), with(good, func(r *request) {
			r.open, r.archive = announce, caller.NewArchive([]byte("garbage"))
		})},
		{"GetParametersAnnouncement, missing path", succeeds("the tab in the UI never fails"), with(good, func(r *request) {
			r.open, r.app = announce, application("apps/missing")
		})},
		{"health", same, health("")},
		{"health of a service that is not there", sameCode, health("nobody")},
		{"a method that is not there", sameCode, unknown("/plugin.ConfigManagementPluginService/Nothing")},
		{"a service that is not there", sameCode, unknown("/nobody.Service/Nothing")},
		{"version service", mayBeMissing, unknown("/version.VersionService/Version")},
	}
}

func application(path string, files ...string) caller.App {
	return caller.App{
		Name: "demo", Namespace: "demo", Project: "default", Path: path,
		RepoURL: "https://git.example.com/wire.git", Revision: ofArchive,
		KubeVersion: "1.37.0", APIVersions: "v1,apps/v1",
		Parameters: v1alpha1.ApplicationSourcePluginParameters{{
			Name: "valueFiles", OptionalArray: &v1alpha1.OptionalArray{Array: files},
		}},
	}
}

// sized is an application whose reply has so many bytes, give or take what YAML and JSON differ in.
func sized(bytes int) caller.App {
	app := application("apps/large", "values.yaml")
	const documents = 100
	app.Parameters = append(app.Parameters, v1alpha1.ApplicationSourcePluginParameter{
		Name: "parameters", OptionalMap: &v1alpha1.OptionalMap{Map: map[string]string{"length": fmt.Sprint(bytes/documents - 90)}},
	})
	return app
}

// extraCharts: one whose output has the size that is asked for, and one that takes helm many seconds.
func extraCharts() []caller.Entry {
	file := func(name, text string) caller.Entry { return caller.Entry{Name: name, Text: []byte(text)} }
	return []caller.Entry{
		{Name: "apps/large/"}, {Name: "apps/large/templates/"}, {Name: "apps/slow/"}, {Name: "apps/slow/templates/"},
		file("apps/large/Chart.yaml", "apiVersion: v2\nname: large\nversion: 1.0.0\n"),
		file("apps/large/values.yaml", "length: 10\n"),
		file("apps/large/templates/all.yaml", `{{ $text := repeat (int .Values.length) "x" }}{{ range $n := until 100 }}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: large-{{ printf "%03d" $n }}}
data: {text: {{ $text }}}
{{ end }}`),
		file("apps/slow/Chart.yaml", "apiVersion: v2\nname: slow\nversion: 1.0.0\n"),
		file("apps/slow/values.yaml", "rounds: 20000\n"),
		file("apps/slow/templates/all.yaml", `{{ range until (int .Values.rounds) }}{{ range until 20000 }}{{ end }}{{ end }}
apiVersion: v1
kind: ConfigMap
metadata: {name: slow}
`),
	}
}
