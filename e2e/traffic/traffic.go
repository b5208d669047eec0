package traffic

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Options say what to offer.
type Options struct {
	Addr        string  // of the server
	Rate        float64 // orders a second
	Connections int     // at the most
	Name        string  // order ids begin with it
}

// Result is what was offered and answered.
type Result struct {
	Samples []Sample
	Skipped int // due when every connection waited for an answer: not sent
}

// Sample is one request: when it was due, when it went out and when its answer
// was there.
type Sample struct {
	Answer
	Order           string
	Due, Sent, Done time.Time
	Err             string // where there was no answer
}

// Run offers orders until ctx ends and then waits for the answers that are
// outstanding. It is an open loop: a slow answer does not slow the next request,
// it takes another connection.
func Run(ctx context.Context, opts Options) Result {
	g := &generator{opts: opts}
	g.pace(ctx)
	for _, w := range g.workers {
		close(w.next)
	}
	g.working.Wait()
	for _, w := range g.workers {
		g.result.Samples = append(g.result.Samples, w.samples...)
	}
	return g.result
}

type generator struct {
	opts    Options
	result  Result
	workers []*worker
	working sync.WaitGroup

	mu   sync.Mutex
	idle []*worker // guarded by mu; the last in is the first out, so that no more connections are open than are needed
}

// worker is one connection and what it is to send next.
type worker struct {
	conn    Conn
	next    chan Sample
	samples []Sample
}

func (g *generator) pace(ctx context.Context) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	begin := time.Now()
	for n := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for now := time.Since(begin); ; n++ {
			at := time.Duration(float64(n) / g.opts.Rate * float64(time.Second))
			if at > now {
				break
			}
			w := g.free(context.WithoutCancel(ctx)) // what is outstanding at the end is waited for
			if w == nil {
				g.result.Skipped++
				continue
			}
			w.next <- Sample{Order: fmt.Sprintf("%s-%d", g.opts.Name, n), Due: begin.Add(at)}
		}
	}
}

// free is a worker without work, a new one while there may be more, or nil.
func (g *generator) free(ctx context.Context) *worker {
	g.mu.Lock()
	defer g.mu.Unlock()
	if last := len(g.idle) - 1; last >= 0 {
		w := g.idle[last]
		g.idle = g.idle[:last]
		return w
	}
	if len(g.workers) == g.opts.Connections {
		return nil
	}
	// An address of its own for every 250 connections: a limit on one client's
	// connections is not what is tried here.
	w := &worker{next: make(chan Sample, 1)}
	w.conn = Conn{Addr: g.opts.Addr, From: fmt.Sprintf("127.0.0.%d", 1+len(g.workers)/250)}
	g.workers = append(g.workers, w)
	g.working.Go(func() { g.work(ctx, w) })
	return w
}

func (g *generator) work(ctx context.Context, w *worker) {
	defer w.conn.Close()
	for s := range w.next {
		s.Sent = time.Now()
		var err error
		if s.Answer, err = w.conn.Post(ctx, Order(s.Order), ""); err != nil {
			s.Err = err.Error()
		}
		s.Done = time.Now()
		w.samples = append(w.samples, s)
		g.mu.Lock()
		g.idle = append(g.idle, w)
		g.mu.Unlock()
	}
}
