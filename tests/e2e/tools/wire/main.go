// Command wire sends the same good and bad requests to the stock plugin server and to ours, as argocd-repo-server sends them, and
// judges each pair of replies by a rule that is written beside the case (cases.go). The stock server runs our `generate` command.
//
//	wire -dir REPOSITORY -stock SOCKET -ours SOCKET [CASE...]
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"slices"
	"strings"
	"time"

	"tools/internal/caller"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("wire: ")
	dir := flag.String("dir", ".", "a repository of mkrepo")
	stock := flag.String("stock", "", "socket of argocd-cmp-server with `argocd-sops generate`")
	ours := flag.String("ours", "", "socket of `argocd-sops serve`")
	flag.Parse()
	entries, err := caller.Entries(*dir)
	if err != nil {
		log.Fatal(err)
	}
	failed, tried, started := 0, 0, time.Now()
	for _, c := range cases(entries) {
		if flag.NArg() > 0 && !slices.Contains(flag.Args(), c.name) {
			continue
		}
		tried++
		a, b := call(*stock, c), call(*ours, c)
		verdict, err := c.rule(a, b)
		if err == nil {
			err = alive(*ours)
		}
		if err != nil {
			failed++
			verdict = "DIFFERENT: " + err.Error()
		}
		fmt.Printf("%s\n    stock %s\n    ours  %s\n    %s\n", c.name, a, b, verdict)
	}
	fmt.Printf("wire: %d cases, %d as they must be, %d different, %.1f s\n", tried, tried-failed, failed, time.Since(started).Seconds())
	if failed > 0 || tried == 0 {
		os.Exit(1)
	}
}

// call bounds every case, so that a server that never answers is a reply like any other.
func call(socket string, c wireCase) reply {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	start := time.Now()
	r := c.call(ctx, socket)
	r.took = time.Since(start)
	return r
}

// alive asks for the server's health on a connection of its own.
func alive(socket string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if r := health("")(ctx, socket); r.err != nil {
		return fmt.Errorf("afterwards the server does not answer: %w", r.err)
	}
	return nil
}

// cut makes a text fit a line.
func cut(text string) string {
	text = strings.ReplaceAll(strings.TrimSpace(text), "\n", " / ")
	if len(text) > 200 {
		text = text[:200] + " ..."
	}
	return text
}
