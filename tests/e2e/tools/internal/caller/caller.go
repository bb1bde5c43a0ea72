// Package caller calls plugin servers on their unix sockets as argocd-repo-server does: its own client dials the absolute path of the
// socket, asks CheckPluginConfiguration, and streams the repository as a gzipped tar in chunks.
package caller

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/argoproj/argo-cd/v3/cmpserver/apiclient"
	"github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	"github.com/argoproj/argo-cd/v3/util/cmp"
	"github.com/argoproj/argo-cd/v3/util/tgzstream"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
)

// ChunkSize is what argocd-repo-server takes by default.
const ChunkSize = 1024

// Archive is a gzipped tar and its SHA-256 as the metadata carries it.
type Archive struct {
	Data     []byte
	Checksum string
}

// NewArchive is for bytes that did not come from a folder.
func NewArchive(data []byte) *Archive {
	sum := sha256.Sum256(data)
	return &Archive{data, hex.EncodeToString(sum[:])}
}

// Pack makes the archive of a folder with argocd's own code. The globs are those of --plugin-tar-exclude.
func Pack(root string, excluded ...string) (*Archive, error) {
	file, _, checksum, err := tgzstream.CompressFiles(root, nil, excluded)
	if err != nil {
		return nil, err
	}
	defer tgzstream.CloseAndDelete(file)
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(file)
	return &Archive{data, checksum}, err
}

// App is one application at one commit.
type App struct {
	Name, Namespace, Project  string
	RepoURL, Revision, Path   string
	KubeVersion, APIVersions  string
	Parameters                v1alpha1.ApplicationSourcePluginParameters
	Extra                     []string // NAME=VALUE
	RelPath, AppName, Checked string   // set: sent in place of what follows from Path and the archive
}

// Environ is what argocd-repo-server sends as the request's environment.
func (a App) Environ() ([]string, error) {
	short := func(n int) string { return a.Revision[:min(n, len(a.Revision))] }
	env := []string{
		"ARGOCD_APP_NAME=" + a.Name, "ARGOCD_APP_NAMESPACE=" + a.Namespace, "ARGOCD_APP_PROJECT_NAME=" + a.Project,
		"ARGOCD_APP_REVISION=" + a.Revision, "ARGOCD_APP_REVISION_SHORT=" + short(7), "ARGOCD_APP_REVISION_SHORT_8=" + short(8),
		"ARGOCD_APP_SOURCE_REPO_URL=" + a.RepoURL, "ARGOCD_APP_SOURCE_PATH=" + a.Path, "ARGOCD_APP_SOURCE_TARGET_REVISION=main",
		"KUBE_VERSION=" + a.KubeVersion, "KUBE_API_VERSIONS=" + a.APIVersions,
	}
	parameters, err := a.Parameters.Environ()
	return append(append(env, parameters...), a.Extra...), err
}

// Metadata is the first message of a stream.
func (a App) Metadata(archive *Archive) (*apiclient.AppStreamRequest, error) {
	env, err := a.Environ()
	if err != nil {
		return nil, err
	}
	metadata := &apiclient.ManifestRequestMetadata{
		AppName: path.Base(a.Path), AppRelPath: a.Path, Checksum: archive.Checksum, Size_: int64(len(archive.Data)),
	}
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		metadata.Env = append(metadata.Env, &apiclient.EnvEntry{Name: name, Value: value})
	}
	if a.RelPath != "" {
		metadata.AppRelPath = a.RelPath
	}
	if a.AppName != "" {
		metadata.AppName = a.AppName
	}
	if a.Checked != "" {
		metadata.Checksum = a.Checked
	}
	return &apiclient.AppStreamRequest{Request: &apiclient.AppStreamRequest_Metadata{Metadata: metadata}}, nil
}

// Dial connects as argocd-repo-server does, once per request, but not longer than ctx allows: its own dial waits without end.
func Dial(ctx context.Context, socket string) (*grpc.ClientConn, error) {
	type dialled struct {
		connection *grpc.ClientConn
		err        error
	}
	done := make(chan dialled, 1)
	go func() {
		connection, err := apiclient.NewConnection(socket)
		done <- dialled{connection, err}
	}()
	select {
	case d := <-done:
		return d.connection, d.err
	case <-ctx.Done():
		go func() {
			if d := <-done; d.err == nil {
				d.connection.Close()
			}
		}()
		return nil, fmt.Errorf("no HTTP/2 settings from %s: %w", socket, ctx.Err())
	}
}

// Sender is the half that the three streaming calls share.
type Sender interface {
	Send(*apiclient.AppStreamRequest) error
}

// SendChunks sends an archive. An error is what the user of argocd would see in place of the server's answer.
func SendChunks(to Sender, data []byte, chunk int) error {
	for part := range slices.Chunk(data, chunk) {
		if err := to.Send(cmp.AppFileRequest(part)); err != nil {
			return fmt.Errorf("error sending tgz file to cmp-server: error sending stream: %w", err)
		}
	}
	return nil
}

// Answer is one call's result.
type Answer struct {
	Manifests []string
	// Wall runs from dialling to the answer, After from the last chunk's sending.
	Wall, After time.Duration
}

// Generate makes one whole request: dial, CheckPluginConfiguration, GenerateManifest.
func Generate(ctx context.Context, socket string, app App, archive *Archive, chunk int) (*Answer, error) {
	metadata, err := app.Metadata(archive)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	connection, err := Dial(ctx, socket)
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	client := apiclient.NewConfigManagementPluginServiceClient(connection)
	if _, err := client.CheckPluginConfiguration(ctx, &emptypb.Empty{}); err != nil {
		return nil, err
	}
	stream, err := client.GenerateManifest(ctx)
	if err != nil {
		return nil, err
	}
	if err := stream.Send(metadata); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if err := SendChunks(stream, archive.Data, chunk); err != nil {
		return nil, err
	}
	sent := time.Now()
	response, err := stream.CloseAndRecv()
	if err != nil {
		return nil, err
	}
	return &Answer{response.GetManifests(), time.Since(start), time.Since(sent)}, nil
}
