// Command soak keeps a plugin server under mixed load, good and bad, disturbs it, and looks for what leaks or is not answered.
//
//	soak -minutes 60 -work TMPFS -scratch DIR -socket SOCKET -helm HELM -sops SOPS -age RECIPIENT -- argocd-sops serve
//
// It starts the server itself, with its own environment. The folder -work should be a small file system of its own, since it is filled up.
//
// A quarter of the time the server is restarted by SIGTERM under load again and again. Then one server stays: when it has settled, its
// memory and descriptors are noted, and after the rest of the time, and a pause, they must be the same, within -grow, and the work folder as
// empty as that of a fresh server. At the end one more SIGTERM under load.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"maps"
	"math/rand"
	"os"
	"slices"
	"sync"
	"time"

	"tools/internal/repos"
)

var (
	minutes  = flag.Float64("minutes", 60, "how long")
	work     = flag.String("work", "", "the server's work folder, filled up now and then; empty: that is left out")
	scratch  = flag.String("scratch", "", "folder for the repositories")
	socket   = flag.String("socket", "", "the server's socket")
	metrics  = flag.String("metrics", "", "URL of its metrics")
	helm     = flag.String("helm", "helm", "to render what is expected")
	sops     = flag.String("sops", "sops", "to encrypt")
	age      = flag.String("age", "", "recipient")
	workers  = flag.Int("workers", 6, "calls under way at once")
	grow     = flag.Int("grow", 24, "MiB that anonymous memory may grow by, from settled to the end")
	quiet    = flag.Duration("quiet", 13*time.Minute, "longest pause at the end until everything is cleaned up; trees are kept for 10 minutes")
	patience = flag.Duration("patience", 60*time.Second, "time to end after SIGTERM")
	restarts = flag.Bool("restarts", true, "send SIGTERM too")
)

func main() {
	flag.Parse()
	log.SetFlags(0)
	log.SetPrefix("soak: ")
	s := &soak{
		server: server{arguments: flag.Args(), socket: *socket, folder: *work, metrics: *metrics},
		load:   load{socket: *socket, outcomes: map[string]int{}, faults: map[string]int{}, example: map[string]string{}},
		began:  time.Now(),
	}
	specs := map[string]repos.Spec{
		"small": {Charts: 2, Files: 20, Bytes: 500}, "middle": {Charts: 20, Files: 600, Bytes: 5000}, "many": {Charts: 30, Files: 3000, Bytes: 300},
	}
	for _, name := range slices.Sorted(maps.Keys(specs)) {
		spec := specs[name]
		spec.Sops, spec.Recipient = *sops, *age
		r, err := newRepository(*scratch, name, *helm, spec)
		check(err)
		s.load.all = append(s.load.all, r)
	}
	check(s.server.start())
	atEnd = s.server.kill
	var err error
	s.server.fresh, err = s.server.look()
	check(err)
	s.print()
	total := time.Duration(*minutes * float64(time.Minute))
	if *restarts {
		s.under(total/4, true)
	}
	s.under(total/8, false)
	time.Sleep(10 * time.Second)
	settled, err := s.server.look()
	check(err)
	fmt.Println("settled:", settled)
	s.under(total-time.Since(s.began), false)
	end := s.pause(settled)
	fmt.Println("fresh:  ", s.server.fresh)
	fmt.Println("settled:", settled)
	fmt.Println("end:    ", end)
	if *restarts {
		s.terminateUnderLoad()
	}
	s.server.kill()
	s.verdict(settled, end)
}

type soak struct {
	server server
	load   load
	began  time.Time
	// current guards the server against being looked at while it is exchanged.
	current sync.RWMutex
}

// under keeps the load on for a time, with everything that disturbs.
func (s *soak) under(span time.Duration, restarting bool) {
	ctx, cancel := context.WithTimeout(context.Background(), span)
	defer cancel()
	var group sync.WaitGroup
	random := rand.New(rand.NewSource(1))
	group.Go(func() { s.load.run(ctx, *workers) })
	group.Go(func() { keepCommitting(ctx, s.load.all, every(3*time.Second)) })
	group.Go(func() { s.killHelm(ctx, random) })
	group.Go(func() { s.report(ctx) })
	if *work != "" {
		group.Go(func() { s.fillDisk(ctx) })
	}
	if restarting {
		group.Go(func() { s.keepRestarting(ctx, max(5*time.Second, span/6)) })
	}
	group.Wait()
}

// every is a pause between two acts; false when it is over.
func every(pause time.Duration) func(context.Context) bool {
	return func(ctx context.Context) bool {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(pause):
			return true
		}
	}
}

// killHelm kills children of the server for a few seconds of each 20.
func (s *soak) killHelm(ctx context.Context, random *rand.Rand) {
	for every(15 * time.Second)(ctx) {
		end := s.load.trouble.begin(killing)
		for range 10 {
			s.current.RLock()
			killed := s.server.killChild(random.Intn)
			s.current.RUnlock()
			if killed {
				s.load.count("(children of the server killed)")
			}
			time.Sleep(300 * time.Millisecond)
		}
		end()
	}
}

func (s *soak) fillDisk(ctx context.Context) {
	for every(25 * time.Second)(ctx) {
		end := s.load.trouble.begin(diskFull)
		remove := fill(*work)
		time.Sleep(4 * time.Second)
		remove()
		end()
		s.load.count("(disk filled)")
	}
}

func (s *soak) keepRestarting(ctx context.Context, pause time.Duration) {
	for every(pause)(ctx) {
		s.restart()
	}
}

func (s *soak) restart() {
	s.current.Lock()
	defer s.current.Unlock()
	end := s.load.trouble.begin(restart)
	start := time.Now()
	if err := s.server.terminate(*patience); err != nil {
		s.load.fault("%v", err)
	}
	s.load.count("(SIGTERM)")
	fmt.Printf("%s SIGTERM: ended after %v\n", s.clock(), time.Since(start).Round(time.Millisecond))
	check(s.server.start())
	end()
}

// terminateUnderLoad ends the run as a Pod does.
func (s *soak) terminateUnderLoad() {
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() { s.load.run(ctx, *workers) })
	time.Sleep(3 * time.Second)
	s.restart()
	cancel()
	group.Wait()
	if err := s.server.terminate(*patience); err != nil {
		s.load.fault("%v", err)
	}
}

func (s *soak) clock() string {
	return fmt.Sprintf("[%6.1f min]", time.Since(s.began).Minutes())
}

func (s *soak) report(ctx context.Context) {
	for every(time.Minute)(ctx) {
		s.print()
	}
}

func (s *soak) print() {
	s.current.RLock()
	now, err := s.server.look()
	scraped, scrapeErr := s.server.scrape()
	s.current.RUnlock()
	if err != nil {
		s.load.fault("%v", err)
	}
	if scrapeErr != nil {
		s.load.fault("%v", scrapeErr)
	}
	s.load.mutex.Lock()
	defer s.load.mutex.Unlock()
	fmt.Printf("%s %v\n", s.clock(), now)
	for _, outcome := range slices.Sorted(maps.Keys(s.load.outcomes)) {
		fmt.Printf("    %7d %s\n", s.load.outcomes[outcome], outcome)
	}
	fmt.Printf("    %7d accepted before SIGTERM and answered after it\n    %7d faults\n", s.load.accepted.Load(), s.load.badCount)
	if scraped != "" {
		fmt.Printf("    metrics: %s\n", scraped)
	}
}

// pause waits until nothing is left over, but not longer than -quiet.
func (s *soak) pause(settled state) state {
	until := time.Now().Add(*quiet)
	for {
		now, err := s.server.look()
		check(err)
		if s.left(settled, now) == nil || time.Now().After(until) {
			return now
		}
		time.Sleep(5 * time.Second)
	}
}

// left says what is left over: against the server when it was fresh, its descriptors and memory against the settled one.
func (s *soak) left(settled, now state) error {
	fresh := s.server.fresh
	switch {
	case now.children > fresh.children:
		return fmt.Errorf("%d children are left", now.children)
	case now.folders > fresh.folders || now.files > fresh.files:
		return fmt.Errorf("%d folders and %d files are in the work folder, %d and %d were when it was fresh", now.folders, now.files, fresh.folders, fresh.files)
	case now.Files > settled.Files+2:
		return fmt.Errorf("%d descriptors are open, %d were", now.Files, settled.Files)
	case now.Anon > settled.Anon+*grow<<10:
		return fmt.Errorf("anonymous memory is %d MiB, it was %d", now.Anon>>10, settled.Anon>>10)
	}
	return nil
}

func (s *soak) verdict(settled, end state) {
	if err := s.left(settled, end); err != nil {
		s.load.fault("leak: %v", err)
	}
	answered := 0
	for outcome, n := range s.load.outcomes {
		if outcome[0] != '(' {
			answered += n
		}
	}
	s.load.mutex.Lock()
	defer s.load.mutex.Unlock()
	for alike, example := range s.load.example {
		fmt.Printf("FAULT (%d times) %s\n", s.load.faults[alike], example)
	}
	fmt.Printf("soak: %.1f minutes, %d calls, %d accepted before SIGTERM and answered, %d faults\n",
		time.Since(s.began).Minutes(), answered, s.load.accepted.Load(), s.load.badCount)
	if s.load.badCount > 0 || answered == 0 {
		os.Exit(1)
	}
}

// atEnd takes the server along when we cannot go on.
var atEnd = func() {}

func check(err error) {
	if err != nil {
		atEnd()
		log.Fatal(err)
	}
}
