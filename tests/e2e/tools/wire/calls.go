package main

import (
	"context"
	"fmt"
	"time"

	"github.com/argoproj/argo-cd/v3/cmpserver/apiclient"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/emptypb"

	"tools/internal/caller"
)

// on dials for one call.
func on(call func(context.Context, *grpc.ClientConn) reply) func(context.Context, string) reply {
	return func(ctx context.Context, socket string) reply {
		connection, err := caller.Dial(ctx, socket)
		if err != nil {
			return reply{err: err}
		}
		defer connection.Close()
		return call(ctx, connection)
	}
}

func health(service string) func(context.Context, string) reply {
	return on(func(ctx context.Context, connection *grpc.ClientConn) reply {
		answer, err := grpc_health_v1.NewHealthClient(connection).Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: service})
		return reply{text: answer.GetStatus().String(), err: err}
	})
}

// unknown calls any method with an empty message.
func unknown(method string) func(context.Context, string) reply {
	return on(func(ctx context.Context, connection *grpc.ClientConn) reply {
		return reply{text: "something", err: connection.Invoke(ctx, method, &emptypb.Empty{}, &emptypb.Empty{})}
	})
}

func configuration(ctx context.Context, socket string) reply {
	return on(func(ctx context.Context, connection *grpc.ClientConn) reply {
		answer, err := apiclient.NewConfigManagementPluginServiceClient(connection).CheckPluginConfiguration(ctx, &emptypb.Empty{})
		return reply{text: fmt.Sprintf("isDiscoveryConfigured:%v provideGitCreds:%v", answer.GetIsDiscoveryConfigured(), answer.GetProvideGitCreds()), err: err}
	})(ctx, socket)
}

// stream is one streaming call under way.
type stream struct {
	caller.Sender
	finish func() reply
}

type opener func(context.Context, apiclient.ConfigManagementPluginServiceClient) (stream, error)

func generate(ctx context.Context, client apiclient.ConfigManagementPluginServiceClient) (stream, error) {
	s, err := client.GenerateManifest(ctx)
	return stream{s, func() reply {
		answer, err := s.CloseAndRecv()
		return reply{manifests: append([]string{}, answer.GetManifests()...), err: err}
	}}, err
}

func match(ctx context.Context, client apiclient.ConfigManagementPluginServiceClient) (stream, error) {
	s, err := client.MatchRepository(ctx)
	return stream{s, func() reply {
		answer, err := s.CloseAndRecv()
		return reply{text: fmt.Sprintf("isSupported:%v isDiscoveryEnabled:%v", answer.GetIsSupported(), answer.GetIsDiscoveryEnabled()), err: err}
	}}, err
}

func announce(ctx context.Context, client apiclient.ConfigManagementPluginServiceClient) (stream, error) {
	s, err := client.GetParametersAnnouncement(ctx)
	return stream{s, func() reply {
		answer, err := s.CloseAndRecv()
		return reply{text: fmt.Sprintf("%d announcements", len(answer.GetParameterAnnouncements())), err: err}
	}}, err
}

// request is a streaming call and how it departs from what argocd-repo-server does.
type request struct {
	open    opener
	app     caller.App
	archive *caller.Archive
	chunk   int                                      // default: that of argocd-repo-server
	timeout time.Duration                            // default: none but the program's own
	headers metadata.MD                              // sent besides
	edit    func(*apiclient.ManifestRequestMetadata) // of the first message
	skip    bool                                     // leave the first message out
	twice   bool                                     // send it again after the archive
	cancel  bool                                     // end the call after half of the archive, or where `after` is set
	drop    bool                                     // the same by closing the connection
	after   time.Duration                            // this long after the last chunk
}

// send runs the request as argocd-repo-server does: an error of sending is the end, and what the user sees.
func send(r request) func(context.Context, string) reply {
	return on(func(ctx context.Context, connection *grpc.ClientConn) reply {
		ctx, cancel := context.WithCancel(metadata.NewOutgoingContext(ctx, r.headers))
		defer cancel()
		if r.timeout > 0 {
			ctx, cancel = context.WithTimeout(ctx, r.timeout)
			defer cancel()
		}
		s, err := r.open(ctx, apiclient.NewConfigManagementPluginServiceClient(connection))
		if err != nil {
			return reply{err: err}
		}
		first, err := r.app.Metadata(r.archive)
		if err != nil {
			return reply{err: err}
		}
		if r.edit != nil {
			r.edit(first.GetMetadata())
		}
		if !r.skip {
			if err := s.Send(first); err != nil {
				return reply{err: fmt.Errorf("error sending generate manifest metadata to cmp-server: %w", err)}
			}
		}
		end := func() {}
		if r.cancel {
			end = cancel
		} else if r.drop {
			end = func() { connection.Close() }
		}
		data, chunk := r.archive.Data, r.chunk
		if chunk == 0 {
			chunk = caller.ChunkSize
		}
		half := len(data)
		if r.after == 0 && (r.cancel || r.drop) {
			half /= 2
		}
		if err := caller.SendChunks(s, data[:half], chunk); err != nil {
			return reply{err: err}
		}
		if half < len(data) {
			end()
			return s.finish()
		}
		if r.twice {
			if err := s.Send(first); err != nil {
				return reply{err: fmt.Errorf("error sending stream: %w", err)}
			}
		}
		if r.after > 0 {
			time.AfterFunc(r.after, end)
		}
		return s.finish()
	})
}
