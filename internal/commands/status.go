package commands

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/config"
	"github.com/ordersctl/ordersctl/internal/dlq"
	"github.com/ordersctl/ordersctl/internal/lag"
	"github.com/ordersctl/ordersctl/internal/sink"
	"github.com/ordersctl/ordersctl/internal/topic"
)

type statusOptions struct {
	app      *App
	cmd      *cobra.Command
	watch    bool
	interval time.Duration
	output   string
}

func newStatus(app *App, runF func(context.Context, *statusOptions) error) *cobra.Command {
	opts := &statusOptions{app: app}
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the whole pipeline on one screen",
		Long: `Show the whole pipeline on one screen: what the edge accepts and how fast Kafka
acknowledges it, what comes into the topic, how far process is behind, what the
database holds, and the open dead letters.

What can't be reached is "-" with its reason, and the rest is shown. Edge and process
are asked at their admin ports: --admin (status.admin), by default admin.listen on
this machine. The p99 is the bound of a histogram's bucket: "<8 ms" says that it is
below.

Rates are over --interval. --watch looks on until Ctrl-C: in place on a terminal,
elsewhere a block each time (-o json: a line). Without it the exit code is 4 where
Kafka can't be reached.`,
		Example: `  ordersctl status
  ordersctl status --watch
  ordersctl status --admin edge-1:9180,process-1:9180 -o json`,
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			opts.cmd = cmd
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			return runStatus(cmd.Context(), opts)
		},
	}
	addTopicFlag(cmd)
	addDBFlag(cmd)
	addAdminFlag(cmd)
	addWatchFlags(cmd, &opts.watch, &opts.interval)
	addOutputFlag(cmd, &opts.output, "text", "json")
	return cmd
}

// statusView is the pipeline at one moment. A part that can't be reached has
// its reason and no figures: null in JSON, whose keys are the same at each look.
type statusView struct {
	At          time.Time     `json:"at"`
	Context     string        `json:"context"`
	RateSeconds float64       `json:"rate_interval_seconds"`
	Edge        statusEdge    `json:"edge"`
	Topic       statusTopic   `json:"topic"`
	Process     statusProcess `json:"process"`
	Database    statusDB      `json:"database"`
	DLQ         statusDLQ     `json:"dlq"`
	Verdict     string        `json:"verdict"` // ok, warn, FAIL
	Findings    []string      `json:"findings"`

	unreachable error // Kafka
}

type statusEdge struct {
	Unreachable string   `json:"unreachable"`
	Addrs       []string `json:"admin"`
	*lag.Edge
}

// MarshalJSON has the edge's keys without an edge too: embedded, it would have
// none.
func (e statusEdge) MarshalJSON() ([]byte, error) {
	type bare statusEdge
	if e.Edge == nil {
		e.Edge = &lag.Edge{}
	}
	return json.Marshal(bare(e))
}

type statusTopic struct {
	Unreachable string   `json:"unreachable"`
	Name        string   `json:"topic"`
	Partitions  *int64   `json:"partition_count"`
	Records     *int64   `json:"records"`
	In          *float64 `json:"in_per_second"`
	missing     bool     // Kafka was asked, and has no such topic
}

type statusProcess struct {
	Unreachable string         `json:"unreachable"`
	Group       string         `json:"group"`
	State       string         `json:"state"`
	Members     *int64         `json:"members"`
	Lag         *int64         `json:"lag_records"`
	Out         *float64       `json:"commit_per_second"`
	Drain       lag.Drain      `json:"drain"`
	OffsetsBy   string         `json:"offsets_by"`
	Paused      map[string]int `json:"paused"` // partitions by reason; null where process can't be asked
	Problems    []string       `json:"problems"`

	unread  []int32 // partitions with records that no member has
	waiting int64   // the records there
}

type statusDB struct {
	Unreachable string    `json:"unreachable"`
	Name        string    `json:"database"`
	Totals      *dbTotals `json:"totals"`
}

type dbTotals struct {
	Orders       int64 `json:"orders"`
	Events       int64 `json:"order_events"`
	Stale        int64 `json:"stale"` // of the events
	Duplicates   int64 `json:"duplicates"`
	DeadLettered int64 `json:"dead_lettered"`
	Skipped      int64 `json:"skipped_offsets"`
}

type statusDLQ struct {
	Unreachable string `json:"unreachable"`
	Topic       string `json:"topic"`
	Letters     *int64 `json:"letters"`
	Open        *int64 `json:"open"`
	missing     bool   // as in statusTopic
}

func runStatus(ctx context.Context, opts *statusOptions) error {
	if opts.interval <= 0 {
		return usageError("", "--interval %s is not more than 0", opts.interval)
	}
	if err := checkOutput(opts.output, "text", "json"); err != nil {
		return err
	}
	l, err := opts.app.Load(opts.cmd)
	if err != nil {
		return err
	}
	s := &statusRun{opts: opts, config: l}
	defer s.close()
	if opts.watch {
		return s.watch(ctx)
	}
	if _, err := s.look(ctx); err != nil { // what the rates begin at
		return err
	}
	if err := pause(ctx, opts.interval); err != nil {
		return err
	}
	v, err := s.look(ctx)
	if err != nil {
		return err
	}
	if opts.output == "json" {
		err = printJSON(opts.app.Out, v)
	} else {
		err = printStatus(opts.app.Out, v)
	}
	if !unwritten(err) && v.unreachable != nil {
		return &doneError{code: exitUnreachable} // the screen has told why
	}
	return err
}

// statusRun is one call of status. What could not be opened is tried again at
// the next look.
type statusRun struct {
	opts   *statusOptions
	config *config.Loaded
	kafka  *kgo.Client
	db     sink.Store

	before  *lag.Look
	answers []lag.Answer
	totals  slowly[sink.Totals]
	letters slowly[letterCount]
}

func (s *statusRun) close() {
	if s.kafka != nil {
		s.kafka.Close()
	}
	if s.db != nil {
		_ = s.db.Close()
	}
}

func (s *statusRun) watch(ctx context.Context) error {
	screen := newScreen(s.opts.app, s.opts.output != "json")
	return every(ctx, s.opts.interval, func() error {
		v, err := s.look(ctx)
		if err != nil {
			return err
		}
		var frame bytes.Buffer
		if s.opts.output == "json" {
			line, err := jsonLine(v)
			if err != nil {
				return err
			}
			return screen.show(line)
		}
		if err := printStatus(&frame, v); err != nil {
			return err
		}
		return screen.show(frame.Bytes())
	})
}

// look asks all parts and compares with the look before. Only its end by ctx is
// an error.
func (s *statusRun) look(ctx context.Context) (*statusView, error) {
	l := s.config
	v := &statusView{
		At: s.opts.app.now(), Context: l.Context, Findings: []string{},
		Edge: statusEdge{Addrs: adminAddrs(l)}, Topic: statusTopic{Name: l.Topic},
		Process:  statusProcess{Group: l.Process.Group, Problems: []string{}, Drain: lag.Drain{State: lag.DrainUnknown}},
		Database: statusDB{Name: databaseName(l)}, DLQ: statusDLQ{Topic: l.DLQTopic},
	}
	asked := make(chan []lag.Answer, 1)
	go func() { asked <- lag.Ask(ctx, v.Edge.Addrs, l.Status.Timeout) }()
	s.lookDatabase(ctx, v)
	report := s.lookKafka(ctx, v)
	answers := <-asked
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	s.setEdge(v, answers)
	if report != nil {
		report.Tell(answers)
		v.setReport(report)
	}
	s.answers = answers
	v.judge()
	return v, nil
}

func (s *statusRun) setEdge(v *statusView, answers []lag.Answer) {
	v.Edge.Edge = lag.EdgeBetween(s.answers, answers)
	if v.Edge.Edge != nil {
		return
	}
	v.Edge.Unreachable = "no edge answers there"
	for _, a := range answers {
		if a.Err != nil {
			v.Edge.Unreachable = a.Err.Error()
		}
	}
}

func (s *statusRun) lookDatabase(ctx context.Context, v *statusView) {
	if s.db == nil {
		db, err := s.opts.app.openDatabase(ctx, s.config, true)
		if err != nil {
			v.Database.Unreachable = err.Error()
			return
		}
		s.db = db
	}
	totals, err := s.totals.get(func() (sink.Totals, error) {
		bounded, cancel := context.WithTimeout(ctx, slowest)
		defer cancel()
		t, err := s.db.Totals(bounded)
		return t, tooMany(ctx, bounded, err)
	})
	if err != nil {
		v.Database.Unreachable = err.Error()
		return
	}
	v.Database.Totals = (*dbTotals)(&totals)
}

func (s *statusRun) lookKafka(ctx context.Context, v *statusView) *lag.Report {
	report, err := s.lag(ctx)
	if err != nil {
		err = explainTopic(err, s.config)
		s.before = nil
		v.Topic.Unreachable, v.Process.Unreachable = err.Error(), "the topic can't be asked for"
		if v.Topic.missing = isMissing(err); v.Topic.missing {
			v.Process.Unreachable = "there is no topic to read"
		}
		var coded interface{ ExitCode() int }
		if errors.As(err, &coded) && coded.ExitCode() == exitUnreachable {
			v.Process.Unreachable = "Kafka can't be asked"
			v.DLQ.Unreachable, v.unreachable = "Kafka can't be asked", err
			return nil
		}
	}
	count, err := s.letters.get(func() (letterCount, error) { return s.countLetters(ctx) })
	if err != nil {
		v.DLQ.Unreachable, v.DLQ.missing = explainTopic(err, s.config).Error(), isMissing(err)
		return report
	}
	v.DLQ.Letters, v.DLQ.Open = &count.all, &count.open
	return report
}

func isMissing(err error) bool {
	var missing *topic.MissingError
	return errors.As(err, &missing)
}

// letterCount is how many dead letters there are, and how many are open.
type letterCount struct{ all, open int64 }

func (s *statusRun) countLetters(ctx context.Context) (letterCount, error) {
	bounded, cancel := context.WithTimeout(ctx, slowest)
	defer cancel()
	q, err := dlq.OpenQueue(bounded, s.kafka, s.config.DLQTopic, s.config.Order)
	if err != nil {
		return letterCount{}, tooMany(ctx, bounded, err)
	}
	x, err := q.Scan(bounded, dlq.Filter{})
	if err != nil {
		return letterCount{}, tooMany(ctx, bounded, err)
	}
	return letterCount{int64(x.Len()), int64(x.Count(dlq.Open))}, nil
}

// tooMany says why there is no count where our own time for it was over.
func tooMany(ctx, bounded context.Context, err error) error {
	if err != nil && bounded.Err() != nil && ctx.Err() == nil {
		return fmt.Errorf("not counted within %s", slowest)
	}
	return err
}

func (s *statusRun) lag(ctx context.Context) (*lag.Report, error) {
	if s.kafka == nil {
		var err error
		if s.kafka, err = s.opts.app.Dial(ctx, s.config); err != nil {
			s.kafka = nil
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, slowest)
	defer cancel()
	o := lag.Options{Group: s.config.Process.Group, Topic: s.config.Topic}
	if s.db != nil {
		o.Database = s.db
	}
	now, err := lag.Take(ctx, client.Admin(s.kafka), o)
	if err != nil {
		return nil, err
	}
	report := lag.Between(s.before, now)
	s.before = now
	return report, nil
}

func (v *statusView) setReport(r *lag.Report) {
	v.RateSeconds = r.RateSeconds
	n := int64(len(r.Partitions))
	v.Topic.Partitions, v.Topic.In = &n, r.All.In
	var records int64
	for _, p := range r.Partitions {
		if p.Start == nil || p.End == nil {
			records = -1
			break
		}
		records += *p.End - *p.Start
	}
	if records >= 0 {
		v.Topic.Records = &records
	}
	m := int64(len(r.Group.Members))
	p := &v.Process
	p.State, p.Members, p.Lag, p.Out, p.Drain, p.OffsetsBy, p.Problems = r.Group.State, &m, r.All.Lag, r.All.Out, r.All.Drain, r.By, r.Problems
	p.unread, p.waiting = r.Unread()
	if paused, known := r.Paused(); known || len(paused) > 0 {
		p.Paused = paused
	}
}

// slowest is how long one look at a part may take before it counts as not
// reachable.
const slowest = 10 * time.Second

// slowly keeps an answer that is dear: it is asked for anew when twenty times
// the time has passed that it took.
type slowly[T any] struct {
	value T
	err   error
	next  time.Time
}

func (s *slowly[T]) get(ask func() (T, error)) (T, error) {
	if begin := time.Now(); !begin.Before(s.next) {
		s.value, s.err = ask()
		s.next = time.Now()
		if s.err == nil {
			s.next = s.next.Add(20 * time.Since(begin))
		}
	}
	return s.value, s.err
}
