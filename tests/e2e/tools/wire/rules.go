package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"tools/internal/caller"
)

// reply is what a server made of one request, as argocd-repo-server would see it.
type reply struct {
	manifests []string
	text      string // of an answer that is no manifests
	err       error
	took      time.Duration
}

func (r reply) String() string {
	took := r.took.Round(time.Millisecond)
	if r.err != nil {
		return fmt.Sprintf("%v in %v: %s", code(r.err), took, cut(message(r.err)))
	}
	if r.manifests != nil {
		size := 0
		for _, m := range r.manifests {
			size += len(m)
		}
		return fmt.Sprintf("OK in %v: %d manifests, %d bytes", took, len(r.manifests), size)
	}
	return fmt.Sprintf("OK in %v: %s", took, cut(r.text))
}

func code(err error) codes.Code { return status.Code(err) }

func message(err error) string {
	if s, ok := status.FromError(err); ok {
		return s.Message()
	}
	return err.Error()
}

// A rule says of two replies what their relation is, or what is wrong.
type rule func(stock, ours reply) (string, error)

// same: both succeed, with equal objects or equal text.
func same(stock, ours reply) (string, error) {
	if stock.err != nil || ours.err != nil {
		return "", errors.New("both should succeed")
	}
	if stock.text != ours.text {
		return "", errors.New("the answers differ")
	}
	a, err := caller.Objects(stock.manifests)
	if err != nil {
		return "", err
	}
	b, err := caller.Objects(ours.manifests)
	if err != nil {
		return "", err
	}
	if stock.manifests != nil && len(a) == 0 {
		return "", errors.New("no objects: nothing is compared")
	}
	return "same answer", caller.Same(a, b)
}

// sameCode: both fail with one gRPC code, which is all that the caller looks at.
func sameCode(stock, ours reply) (string, error) {
	if stock.err == nil || ours.err == nil || code(stock.err) != code(ours.err) {
		return "", errors.New("both should fail with the same code")
	}
	return "same code", nil
}

// refused: both fail, and ours says why: its text holds one of the words. Stock may hide its error, ours may not.
func refused(words ...string) rule {
	return func(stock, ours reply) (string, error) {
		if stock.err == nil {
			return "", errors.New("stock does not refuse it: the case is wrong")
		}
		if err := told(ours, words); err != nil {
			return "", err
		}
		if hidden(stock.err) {
			return "both refuse; only ours says why", nil
		}
		return "both refuse and say why", nil
	}
}

// stricter: stock lets it pass; we refuse it on purpose, and say why.
func stricter(why string, words ...string) rule {
	return func(stock, ours reply) (string, error) {
		if stock.err != nil {
			return "", errors.New("stock refuses it too: the case is wrong")
		}
		return "refused on purpose: " + why, told(ours, words)
	}
}

// better: stock fails, ours succeeds.
func better(why string) rule {
	return func(stock, ours reply) (string, error) {
		if stock.err == nil {
			return "", errors.New("stock does it too: the case is wrong")
		}
		if ours.err != nil {
			return "", errors.New("ours should succeed")
		}
		return "only ours succeeds: " + why, nil
	}
}

// succeeds: ours succeeds, whatever stock does.
func succeeds(why string) rule {
	return func(_, ours reply) (string, error) {
		if ours.err != nil {
			return "", errors.New("ours should succeed")
		}
		return why, nil
	}
}

// mayBeMissing: nobody in Argo CD calls it; ours answers or says that it has no such thing.
func mayBeMissing(_, ours reply) (string, error) {
	if ours.err != nil && code(ours.err) != codes.Unimplemented {
		return "", errors.New("ours should answer, or say that it is not implemented")
	}
	return "may be missing: Argo CD does not call it", nil
}

// ended: the caller went away on both; that the server goes on is checked after every case.
func ended(stock, ours reply) (string, error) {
	if stock.err == nil || ours.err == nil {
		return "", errors.New("the call was not ended")
	}
	return "ended; the server goes on", nil
}

// told: the reply is an error that reached the caller and says one of the words.
func told(r reply, words []string) error {
	switch {
	case r.err == nil:
		return errors.New("ours should refuse it")
	case hidden(r.err):
		return errors.New("ours hides its error")
	case len(message(r.err)) > 16<<10:
		return errors.New("the error is too long to arrive everywhere")
	}
	for _, w := range words {
		if strings.Contains(strings.ToLower(message(r.err)), w) {
			return nil
		}
	}
	return fmt.Errorf("the error says none of %q", words)
}

// hidden: what the user reads comes from the connection or from the caller, not from the server.
func hidden(err error) bool {
	if errors.Is(err, io.EOF) || message(err) == "" {
		return true
	}
	for _, sign := range []string{"error sending stream", "RST_STREAM", "stream terminated", "PROTOCOL_ERROR", "COMPRESSION_ERROR",
		"context deadline exceeded", "Timeout expired", "transport", "connection"} {
		if strings.Contains(message(err), sign) {
			return true
		}
	}
	return code(err) == codes.Canceled
}
