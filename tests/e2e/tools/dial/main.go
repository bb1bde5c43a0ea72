// Command dial calls a plugin's socket exactly as argocd-repo-server does: its own client set, which dials the socket itself and names
// its path as the target, so that grpc-go sends `:authority: home%2Fargocd%2F...`. An absolute path shows what a Rust server makes of it.
//
//	dial [-calls 3] [-chunks 53000] [-size 1024] SOCKET
//	dial -record FILE [-calls 2] [-chunks 8] SOCKET
//
// It asks for the configuration -calls times over one connection, then, with -chunks, sends that many chunks to GenerateManifest, and
// prints the answers. With -record it is its own server at SOCKET, and keeps in FILE what the client sent.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"time"

	"github.com/argoproj/argo-cd/v3/cmpserver/apiclient"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("dial: ")
	calls := flag.Int("calls", 2, "questions for the configuration")
	chunks := flag.Int("chunks", 0, "chunks to send to GenerateManifest; 0: no such call")
	size := flag.Int("size", 1024, "bytes in a chunk")
	record := flag.String("record", "", "serve SOCKET here, and write what the client sends to `FILE`")
	timeout := flag.Duration("timeout", time.Minute, "deadline of all calls")
	flag.Parse()
	if flag.NArg() != 1 {
		log.Fatal("which socket?")
	}
	socket := flag.Arg(0)
	if *record != "" {
		file, err := os.Create(*record)
		check(err)
		serve(socket, file)
	}

	ctx, cancel := context.WithTimeout(context.Background(), *timeout)
	defer cancel()
	connection, client, err := apiclient.NewConfigManagementPluginClientSet(socket).NewConfigManagementPluginClient()
	check(err)
	for range *calls {
		answer, err := client.CheckPluginConfiguration(ctx, &emptypb.Empty{})
		check(err)
		fmt.Println("configuration:", answer)
	}
	if *chunks > 0 {
		start := time.Now()
		stream, err := client.GenerateManifest(ctx)
		check(err)
		err = stream.Send(&apiclient.AppStreamRequest{Request: &apiclient.AppStreamRequest_Metadata{
			Metadata: &apiclient.ManifestRequestMetadata{AppName: "app", AppRelPath: "app", Size_: int64(*chunks * *size)},
		}})
		check(err)
		chunk := &apiclient.AppStreamRequest{Request: &apiclient.AppStreamRequest_File{
			File: &apiclient.File{Chunk: make([]byte, *size)},
		}}
		// EOF: the server has answered already, and its answer says why.
		for i := 0; i < *chunks && err == nil; i++ {
			err = stream.Send(chunk)
		}
		if err != nil && !errors.Is(err, io.EOF) {
			check(err)
		}
		answer, err := stream.CloseAndRecv()
		check(err)
		fmt.Printf("manifests: %d in %d ms\n", len(answer.Manifests), time.Since(start).Milliseconds())
	}
	check(connection.Close())
	if *record != "" {
		check(os.Remove(socket))
	}
}

// serve answers at the socket as plainly as can be, and copies what it reads.
func serve(socket string, to io.Writer) {
	listener, err := net.Listen("unix", socket)
	check(err)
	server := grpc.NewServer()
	apiclient.RegisterConfigManagementPluginServiceServer(server, plain{&apiclient.UnimplementedConfigManagementPluginServiceServer{}})
	go func() { check(server.Serve(tee{listener, to})) }()
}

type plain struct {
	*apiclient.UnimplementedConfigManagementPluginServiceServer
}

func (plain) CheckPluginConfiguration(context.Context, *emptypb.Empty) (*apiclient.CheckPluginConfigurationResponse, error) {
	return &apiclient.CheckPluginConfigurationResponse{}, nil
}

func (plain) GenerateManifest(stream apiclient.ConfigManagementPluginService_GenerateManifestServer) error {
	for {
		_, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return stream.SendAndClose(&apiclient.ManifestResponse{})
		}
		if err != nil {
			return err
		}
	}
}

type tee struct {
	net.Listener
	to io.Writer
}

func (t tee) Accept() (net.Conn, error) {
	connection, err := t.Listener.Accept()
	return teed{connection, t.to}, err
}

type teed struct {
	net.Conn
	to io.Writer
}

func (t teed) Read(bytes []byte) (int, error) {
	n, err := t.Conn.Read(bytes)
	if n > 0 {
		_, failed := t.to.Write(bytes[:n])
		check(failed)
	}
	return n, err
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
