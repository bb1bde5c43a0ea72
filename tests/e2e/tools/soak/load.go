package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/argoproj/argo-cd/v3/cmpserver/apiclient"
	"github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"tools/internal/caller"
)

const (
	// longest is the deadline of a call that has no other.
	longest = 60 * time.Second
	// An answer may come this much after the deadline: the caller gives up by itself, so more means that it hangs.
	margin = 5 * time.Second
)

// kind is what a call does beside the plain thing.
type kind int

const (
	plain kind = iota
	gitSent
	announced
	matched
	cutOff
	wrongChecksum
	garbage
	wrongParameter
	abortedSending
	abortedWaiting
	slowly
	shortDeadline
	kinds
)

var kindNames = [kinds]string{"plain", "with .git", "announcement", "match", "cut off", "wrong checksum", "garbage", "wrong parameter",
	"aborted while sending", "aborted while waiting", "slow sender", "short deadline"}

// weights of the kinds, in per cent.
var weights = [kinds]int{35, 23, 4, 3, 3, 3, 3, 4, 8, 6, 2, 6}

// trouble is what was done to the server, and when.
type trouble struct {
	mutex  sync.Mutex
	recent []disturbance
	// last is when SIGTERM was sent the last time.
	terminated time.Time
}

type disturbance struct {
	what       string
	begin, end time.Time
}

// begin notes a disturbance; the returned function its end.
func (t *trouble) begin(what string) func() {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.recent = append(t.recent[max(0, len(t.recent)-50):], disturbance{what: what, begin: time.Now()})
	if what == restart {
		t.terminated = time.Now()
	}
	began := t.recent[len(t.recent)-1].begin
	return func() {
		t.mutex.Lock()
		defer t.mutex.Unlock()
		for i := range t.recent {
			if t.recent[i].what == what && t.recent[i].begin.Equal(began) {
				t.recent[i].end = time.Now()
			}
		}
	}
}

// during says whether a disturbance overlapped a call, or ended just before it.
func (t *trouble) during(what string, begin time.Time) bool {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	for _, d := range t.recent {
		if d.what == what && (d.end.IsZero() || d.end.Add(2*time.Second).After(begin)) {
			return true
		}
	}
	return false
}

const (
	restart  = "restart"
	diskFull = "disk full"
	killing  = "helm killed"
)

// load makes calls and counts what becomes of them.
type load struct {
	socket   string
	all      []*repository
	trouble  trouble
	mutex    sync.Mutex
	outcomes map[string]int
	faults   map[string]int // by their text without its numbers
	example  map[string]string
	badCount int
	accepted atomic.Int64 // fully sent before a SIGTERM, and answered after it
}

func (l *load) count(outcome string) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.outcomes[outcome]++
}

func (l *load) fault(format string, arguments ...any) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.badCount++
	text := fmt.Sprintf(format, arguments...)
	alike := digits.ReplaceAllString(text, "N")
	if l.faults[alike]++; l.faults[alike] == 1 && len(l.faults) < 100 {
		l.example[alike] = time.Now().Format("15:04:05 ") + text
	}
}

var digits = regexp.MustCompile("[0-9.]+")

// run makes calls until ctx ends. A call that is under way is finished.
func (l *load) run(ctx context.Context, workers int) {
	var group sync.WaitGroup
	for n := range workers {
		group.Go(func() {
			random := rand.New(rand.NewSource(time.Now().UnixNano() + int64(n)))
			for ctx.Err() == nil {
				l.one(random)
			}
		})
	}
	group.Wait()
}

func draw(random *rand.Rand) kind {
	at := random.Intn(100)
	for k, weight := range weights {
		if at -= weight; at < 0 {
			return kind(k)
		}
	}
	return plain
}

// sent is what is known of one call when it ends.
type sent struct {
	kind        kind
	begin, done time.Time // done: the last message was sent
	manifests   []string
	err         error
	ended       bool // by ourselves
	deadline    time.Duration
}

func (l *load) one(random *rand.Rand) {
	r := l.all[random.Intn(len(l.all))]
	s := r.pick(random.Intn)
	n := random.Intn(r.charts)
	k := draw(random)
	c := l.call(random, k, r.app(s, n), s)
	if c == nil {
		return
	}
	l.judge(c, func() error { return r.right(s, n, c.manifests) })
}

// call makes one call as argocd-repo-server does, but for what its kind says.
func (l *load) call(random *rand.Rand, k kind, app caller.App, s *snapshot) *sent {
	c := &sent{kind: k, begin: time.Now(), deadline: longest}
	archive := s.plain
	switch k {
	case gitSent, abortedSending:
		archive = s.touched[random.Intn(len(s.touched))]
	case cutOff:
		archive = caller.NewArchive(archive.Data[:random.Intn(len(archive.Data))])
		app.Revision = archive.Checksum[:40] // of a commit that is known the archive would not be looked into
	case wrongChecksum:
		app.Checked = strings.Repeat("0123456789abcdef", 4)
	case garbage:
		noise := make([]byte, random.Intn(1<<20))
		random.Read(noise)
		archive = caller.NewArchive(noise)
		app.Revision = archive.Checksum[:40]
	case wrongParameter:
		app.Parameters = append(app.Parameters[:1:1], v1alpha1.ApplicationSourcePluginParameter{Name: "valuesFiles"})
	case shortDeadline:
		c.deadline = time.Duration(20+random.Intn(600)) * time.Millisecond
	}
	chunk := caller.ChunkSize
	if random.Intn(10) == 0 {
		chunk = 1 << 20
	}

	ctx, cancel := context.WithTimeout(context.Background(), c.deadline)
	defer cancel()
	connection, err := caller.Dial(ctx, l.socket)
	if err != nil {
		// Between two servers there is nobody to dial.
		if !l.trouble.during(restart, c.begin) && k != shortDeadline {
			l.fault("cannot dial: %v", err)
		}
		time.Sleep(50 * time.Millisecond)
		return nil
	}
	defer connection.Close()
	client := apiclient.NewConfigManagementPluginServiceClient(connection)
	if _, c.err = client.CheckPluginConfiguration(ctx, &emptypb.Empty{}); c.err != nil {
		return c
	}
	sender, finish, err := open(ctx, client, k)
	if c.err = err; err != nil {
		return c
	}
	metadata, err := app.Metadata(archive)
	if err != nil {
		l.fault("metadata: %v", err)
		return nil
	}
	if c.err = sender.Send(metadata); c.err != nil {
		return c
	}
	data := archive.Data
	switch k {
	case abortedSending:
		c.err = caller.SendChunks(sender, data[:random.Intn(len(data))], chunk)
		c.ended = true
		if random.Intn(2) == 0 {
			cancel()
		} else {
			connection.Close()
		}
		_, _ = finish()
		return c
	case slowly:
		for len(data) > 0 && c.err == nil {
			part := min(len(data), len(archive.Data)/20+1)
			c.err = caller.SendChunks(sender, data[:part], chunk)
			data = data[part:]
			time.Sleep(time.Duration(random.Intn(300)) * time.Millisecond)
		}
	default:
		c.err = caller.SendChunks(sender, data, chunk)
	}
	if c.err != nil {
		return c
	}
	if k == abortedWaiting {
		c.ended = true
		time.AfterFunc(time.Duration(random.Intn(80))*time.Millisecond, cancel)
	}
	c.done = time.Now()
	c.manifests, c.err = finish()
	return c
}

func open(ctx context.Context, client apiclient.ConfigManagementPluginServiceClient, k kind) (caller.Sender, func() ([]string, error), error) {
	switch k {
	case announced:
		s, err := client.GetParametersAnnouncement(ctx)
		return s, func() ([]string, error) { _, err := s.CloseAndRecv(); return nil, err }, err
	case matched:
		s, err := client.MatchRepository(ctx)
		return s, func() ([]string, error) { _, err := s.CloseAndRecv(); return nil, err }, err
	}
	s, err := client.GenerateManifest(ctx)
	return s, func() ([]string, error) { answer, err := s.CloseAndRecv(); return answer.GetManifests(), err }, err
}

// judge decides whether a call ended as it should.
func (l *load) judge(c *sent, right func() error) {
	name := kindNames[c.kind]
	took := time.Since(c.begin)
	if took > c.deadline+margin {
		l.fault("%s: ended %v after its deadline", name, took-c.deadline)
	}
	l.trouble.mutex.Lock()
	terminated := l.trouble.terminated
	l.trouble.mutex.Unlock()
	restarted := l.trouble.during(restart, c.begin)
	// What we send is in the server's hands a moment later.
	accepted := restarted && !c.done.IsZero() && c.done.Add(50*time.Millisecond).Before(terminated)
	if accepted && !c.ended && c.kind != shortDeadline && time.Now().After(terminated) {
		if lost(c.err) {
			l.fault("%s: accepted %v before SIGTERM and not answered: %v", name, terminated.Sub(c.done), c.err)
		} else {
			l.accepted.Add(1)
		}
	}

	switch {
	case c.err == nil && (c.kind == announced || c.kind == matched):
		l.count(name + ": answered")
	case c.err == nil && (c.kind == cutOff || c.kind == wrongChecksum || c.kind == garbage || c.kind == wrongParameter):
		l.fault("%s: succeeded", name)
	case c.kind == abortedSending:
		l.count(name)
	case c.err == nil:
		if err := right(); err != nil {
			l.fault("%s: wrong objects: %v", name, err)
		}
		l.count(name + ": right")
	case c.ended:
		l.count(name)
	case c.kind == shortDeadline && late(c.err):
		l.count(name + ": too late")
	case restarted && !accepted && lost(c.err):
		l.count("refused or cut off at a restart")
	case lost(c.err):
		l.fault("%s: no answer within %v: %v", name, took.Round(time.Millisecond), c.err)
	case c.kind == cutOff || c.kind == wrongChecksum || c.kind == garbage || c.kind == wrongParameter:
		l.count(name + ": refused")
	case l.trouble.during(diskFull, c.begin):
		l.count("error while the disk is full")
	case l.trouble.during(killing, c.begin):
		l.count("error while helm is being killed")
	case restarted:
		l.count("error at a restart")
	default:
		l.fault("%s: %v", name, c.err)
	}
}

// late: the error says that time ran out, in the server's words or in grpc's.
func late(err error) bool {
	text := err.Error()
	return code(err) == codes.DeadlineExceeded || errors.Is(err, io.EOF) || strings.Contains(text, "time") || strings.Contains(text, "within")
}

func code(err error) codes.Code { return status.Code(err) }

// lost: the error was not made by the server's code, so the call was not answered.
func lost(err error) bool {
	if err == nil {
		return false
	}
	if errors.Is(err, io.EOF) || errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	for _, sign := range []string{"RST_STREAM", "stream terminated", "transport", "error reading from server", "connection", "context deadline exceeded",
		"Timeout expired", "error sending"} {
		if strings.Contains(err.Error(), sign) {
			return true
		}
	}
	return false
}
