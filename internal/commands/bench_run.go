package commands

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/internal/bench"
	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/sink"
)

// benchRun is one run from its preparation to its result.
type benchRun struct {
	*benchOptions
	shown  *App // whose stderr is the live view's
	live   *benchLive
	setup  bench.Setup
	source bench.Source
	ledger *bench.Ledger
	target bench.Target

	kafka   *kgo.Client // nil where nobody looks into Kafka
	db      sink.Store  // nil without --verify db
	reading *kgo.Client // of --stages
	mark    bench.Mark
	start   time.Time
	follow  *bench.Follower
	leaders *bench.LeaderWatch
}

func runBench(ctx context.Context, opts *benchOptions) error {
	if err := opts.checkPlace(opts.loaded); err != nil {
		return err
	}
	if opts.loaded.Protected {
		if err := opts.app.confirm(ctx, opts.loaded, opts.question(), opts.loaded.Topic, false, opts.confirm); err != nil {
			return err
		}
	}
	files, err := openBenchFiles(opts)
	if err != nil {
		return err
	}
	defer files.close()
	r := &benchRun{benchOptions: opts, ledger: bench.NewLedger(opts.ledgerRoom())}
	r.live = newBenchLive(opts.app)
	shown := *opts.app
	shown.Err = r.live
	r.shown = &shown
	defer r.close()
	if err := r.prepare(ctx); err != nil {
		return err
	}
	result, hist, err := r.measure(ctx)
	if err != nil {
		return err
	}
	return r.tell(result, hist, files)
}

// question is asked in a protected context.
func (o *benchOptions) question() string {
	where := o.to
	if o.to == toKafka {
		where = "topic " + o.loaded.Topic
	}
	if n := o.orders(); n > 0 {
		orders := "orders"
		if n == 1 {
			orders = "order"
		}
		return fmt.Sprintf("Load %s with about %s %s?", where, thousands(int64(n)), orders)
	}
	return fmt.Sprintf("Load %s?", where)
}

// prepare makes every contact, so that what is missing is told before the load.
func (r *benchRun) prepare(ctx context.Context) error {
	o := r.benchOptions
	if len(o.source.Statuses) == 0 {
		for _, name := range o.loaded.Order.Statuses {
			o.source.Statuses = append(o.source.Statuses, bench.Status{Name: name, Weight: 1})
		}
	}
	var err error
	if r.source, err = bench.NewSource(o.source); err != nil {
		return usageError("", "%w", err)
	}
	r.setup = o.setup()
	if o.interest {
		if err := r.lookIntoKafka(ctx); err != nil {
			return o.hintVerifyNone(err)
		}
	}
	if r.verify == verifyDB {
		if r.db, err = r.app.openDatabase(ctx, r.loaded, true); err != nil {
			return err
		}
	}
	r.target, err = r.dialTarget(ctx)
	return err
}

// hintVerifyNone tells what to do without Kafka, where that is a way.
func (o *benchOptions) hintVerifyNone(err error) error {
	if o.to == toKafka || errors.Is(err, context.Canceled) {
		return err
	}
	const without = "to measure without reading the topic back, add --verify none"
	f := &failure{err: err, hint: without, code: exitFailed}
	var (
		hinted interface{ Hint() string }
		coded  interface{ ExitCode() int }
	)
	if errors.As(err, &hinted) && hinted.Hint() != "" {
		f.hint = hinted.Hint() + "; " + without
	}
	if errors.As(err, &coded) {
		f.code = coded.ExitCode()
	}
	return f
}

func (r *benchRun) lookIntoKafka(ctx context.Context) error {
	l := r.loaded
	var err error
	if r.kafka, err = r.shown.Dial(ctx, l); err != nil {
		return err
	}
	if r.mark, err = bench.TakeMark(ctx, r.kafka, l.Topic, r.verify != verifyNone); err != nil {
		return client.Explain(err, l.Kafka)
	}
	if r.reader {
		r.reading, err = r.shown.Dial(ctx, l, r.mark.FollowOpts()...)
	}
	return err
}

func (r *benchRun) dialTarget(ctx context.Context) (bench.Target, error) {
	l := r.loaded
	if r.to == toKafka {
		cl, err := r.shown.Dial(ctx, l, bench.KafkaOpts(r.plan, r.maxInFlight, r.timeout)...)
		if err != nil {
			return nil, err
		}
		return bench.NewKafka(ctx, cl, l.Topic, r.source), nil
	}
	key, err := l.Send.Key()
	if err != nil {
		return nil, usageError("", "%w", err)
	}
	secure, err := l.Send.TLS.Client()
	if err != nil {
		return nil, usageError("", "%w", err)
	}
	cfg := bench.HTTPConfig{
		URL: r.to, Connections: r.connections, Batch: r.batch, Topic: l.Topic, Key: client.Secret(key),
		Timeout: r.timeout, ConnectTimeout: l.Kafka.ConnectTimeout, TLS: secure,
	}
	if r.batch > 1 {
		cfg.URL = r.several
	}
	if r.plan.Concurrency > 0 {
		cfg.Connections = r.plan.Concurrency
		r.setup.Connections = cfg.Connections
	}
	h, err := bench.DialHTTP(ctx, cfg, r.source)
	if err != nil {
		return nil, err // not h, which would be a target that is nil
	}
	return h, nil
}

// measure loads, reads back, and judges.
func (r *benchRun) measure(ctx context.Context) (*bench.Result, *bench.Histogram, error) {
	m, err := bench.Run(ctx, bench.Options{
		Plan: r.plan, Target: r.target, Ledger: r.ledger,
		MaxInFlight: r.maxInFlight, Timeout: r.timeout, LagLimit: r.lagLimit,
		Thresholds: r.checks, AbortOnFail: r.abort,
		Began:   func(start time.Time) { r.began(ctx, start) },
		Observe: r.observe,
	})
	r.live.stop()
	if err != nil {
		return nil, nil, err
	}
	if ctx.Err() != nil {
		// Ctrl-C ended the load; what was sent is read back all the same. The
		// next one kills.
		r.app.say("interrupted: no more orders are sent")
		ctx = context.WithoutCancel(ctx)
	}
	a := bench.Account{
		Run: r.benchOptions.source.Run, Setup: r.setup, Source: r.source, Measured: m, Thresholds: r.checks,
		Build: bench.Build{Version: r.app.Build.Version, Revision: r.app.Build.Revision, Go: r.app.Build.Go, Platform: r.app.Build.Platform},
	}
	if m.EndSeq >= r.ledger.Max() {
		a.Measured.Generator.Notes = append(a.Measured.Generator.Notes, fmt.Sprintf("the run ended when its ledger was full, with %s orders", thousands(int64(m.EndSeq))))
	}
	if r.leaders != nil {
		a.Leaders = r.leaders.Close(ctx)
	}
	if r.follow != nil {
		a.Stages = r.follow.Close(ctx, m.Acked)
	}
	r.readBack(ctx, &a)
	result, err := bench.NewResult(a)
	return result, m.Latency, err
}

// observe shows a run as it stands.
func (r *benchRun) observe(s bench.Snapshot) {
	if r.leaders != nil {
		s.Leaders = r.leaders.Seen()
	}
	r.live.draw(r.benchOptions.source.Run, r.setup, s)
}

// began starts what runs along.
func (r *benchRun) began(ctx context.Context, start time.Time) {
	r.start = start
	if r.reading != nil {
		r.follow = bench.Follow(ctx, r.reading, r.mark, r.benchOptions.source.Run, r.ledger, start, r.plan.Warmup)
	}
	if r.kafka != nil {
		r.leaders = bench.WatchLeaders(ctx, r.kafka, r.loaded.Topic, start)
	}
}

// readBack holds the log against the ledger.
func (r *benchRun) readBack(ctx context.Context, a *bench.Account) {
	if r.verify == verifyNone {
		a.Unverified = "--verify none"
		return
	}
	if r.app.ErrTTY {
		r.app.say("reading %s orders back from topic %s", thousands(int64(a.Measured.EndSeq)), r.loaded.Topic)
	}
	// An order may still be written until whoever holds it gives it up; the
	// broker may take its time for one more answer.
	settle := r.loaded.Kafka.DeliveryTimeout
	if r.to == toKafka {
		settle = max(r.timeout, time.Second)
	}
	opts := bench.VerifyOptions{
		Mark: r.mark, Ledger: r.ledger, Source: r.source, Run: a.Run, N: a.Measured.EndSeq, Keys: r.setup.Keys,
		Start: r.start, Settle: settle + r.loaded.Kafka.RequestTimeout, Enqueued: a.Measured.Enqueued,
		Say: func(line string) { r.app.say("%s", line) },
	}
	if r.db != nil {
		opts.Keep = new(bench.Kept)
	}
	sum, err := bench.Verify(ctx, r.kafka, opts)
	switch {
	case err == nil:
		a.Integrity = &sum
		if r.db != nil {
			r.readDatabase(ctx, a, opts)
		}
	case ctx.Err() != nil:
		a.Unverified, a.Interrupted = "interrupted", true
	default:
		a.Unverified = client.Explain(err, r.loaded.Kafka).Error()
		a.Failed = append(a.Failed, "not verified: "+a.Unverified)
	}
}

// readDatabase holds the database against the ledger, when it has caught up.
func (r *benchRun) readDatabase(ctx context.Context, a *bench.Account, opts bench.VerifyOptions) {
	const lull = 30 * time.Second // longer than a member that was killed keeps its partitions
	sum, span, err := bench.VerifyDatabase(ctx, r.db, bench.DatabaseOptions{
		VerifyOptions: opts, Group: r.loaded.Process.Group, Warmup: r.plan.Warmup, Lull: lull,
	})
	switch {
	case err == nil:
		a.Database, a.Committed = &sum, &span
	case ctx.Err() != nil:
		a.NoDatabase = "interrupted"
		a.Interrupted = true
	default:
		a.NoDatabase = err.Error()
		a.Failed = append(a.Failed, "the database is not verified: "+a.NoDatabase)
	}
}

// tell writes the files and the summary. The JSON comes after the histogram, so
// that its verdict knows when that could not be written.
func (r *benchRun) tell(result *bench.Result, hist *bench.Histogram, files *benchFiles) error {
	opts := bench.ReportOptions{Color: r.app.Color}
	if files.hdr != nil {
		if err := files.write(files.hdr, func(w io.Writer) error { return bench.WriteHGRM(w, hist) }); err != nil {
			result.Judge(err.Error())
		}
	}
	if files.json != nil {
		opts.File = r.json
		if err := files.write(files.json, result.WriteJSON); err != nil {
			result.Judge(err.Error())
			opts.File = ""
		}
	}
	if r.json != "-" {
		return r.end(result, files, result.WriteText(r.app.Out, opts))
	}
	err := result.WriteJSON(r.app.Out)
	if unwritten(err) {
		return r.end(result, files, err)
	}
	return r.end(result, files, errors.Join(err, result.WriteText(r.app.Err, opts)))
}

// unwritten tells an output that could not be written from a reader that went
// away, who had seen enough.
func unwritten(err error) bool { return withoutGone(err) != nil }

// end is the exit code, which a summary that could not be written makes no
// better: err is why.
func (r *benchRun) end(result *bench.Result, files *benchFiles, err error) error {
	if unwritten(err) {
		result.Judge(fmt.Sprintf("write the result: %v", err))
		r.app.say("%s: %s", result.Verdict.Word, strings.Join(result.Verdict.Reasons, "; "))
		if files.json != nil && regular(files.json) {
			_ = files.write(files.json, result.WriteJSON) // it held the verdict of before
		}
	}
	if i := result.Integrity; i != nil && i.Lost > 0 && i.Lost == i.Acked && i.Records == 0 && r.to != toKafka {
		r.app.say("hint: not one order of the run is in topic %s here: if the server writes elsewhere, name its brokers and topic (--brokers, --topic)", r.loaded.Topic)
	}
	if hint := result.Generator.Hint; hint != "" && result.Verdict.ExitCode == bench.ExitInvalid {
		r.app.say("hint: %s", hint)
	}
	if code := result.Verdict.ExitCode; code != 0 {
		return &doneError{code: code}
	}
	return err
}

func (r *benchRun) close() {
	r.live.stop()
	if r.target != nil {
		_ = r.target.Close() // what it reports was reported when the run ended
	}
	if r.db != nil {
		_ = r.db.Close() // it was only read
	}
	for _, cl := range []*kgo.Client{r.reading, r.kafka} {
		if cl != nil {
			cl.Close()
		}
	}
}

// benchFiles are opened before the run, so that an hour's work is not lost to a
// folder that is not there.
type benchFiles struct {
	json, hdr *os.File
	made      []*os.File // those that were not there before
}

func openBenchFiles(o *benchOptions) (*benchFiles, error) {
	f := &benchFiles{}
	for _, x := range []struct {
		name string
		flag string
		into **os.File
	}{{o.json, "json", &f.json}, {o.hdr, "hdr", &f.hdr}} {
		if x.name == "" || x.name == "-" && x.flag == "json" {
			continue
		}
		// Emptied only when there is something to write.
		file, err := os.OpenFile(x.name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
		if err == nil {
			f.made = append(f.made, file)
		} else if errors.Is(err, fs.ErrExist) {
			file, err = os.OpenFile(x.name, os.O_WRONLY|os.O_CREATE, 0o666)
		}
		if err != nil {
			f.close()
			return nil, usageError("", "--%s: %w", x.flag, err)
		}
		*x.into = file
	}
	if f.json != nil && f.hdr != nil && sameFile(f.json, f.hdr) {
		f.close()
		return nil, usageError("", "--json and --hdr name the same file %s", o.hdr)
	}
	return f, nil
}

// sameFile leaves devices out, which keep nothing: /dev/null takes both.
func sameFile(a, b *os.File) bool {
	one, err := a.Stat()
	other, otherErr := b.Stat()
	return err == nil && otherErr == nil && one.Mode().IsRegular() && os.SameFile(one, other)
}

func (f *benchFiles) write(file *os.File, write func(io.Writer) error) error {
	var err error
	if regular(file) { // else it is a pipe
		if err = file.Truncate(0); err == nil {
			_, err = file.Seek(0, io.SeekStart)
		}
	}
	if err == nil {
		err = write(file)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", file.Name(), err)
	}
	return nil
}

func (f *benchFiles) close() {
	for _, file := range []*os.File{f.json, f.hdr} {
		if file == nil {
			continue
		}
		info, err := file.Stat()
		_ = file.Close() // a write that failed has told already
		if err == nil && info.Mode().IsRegular() && info.Size() == 0 && slices.Contains(f.made, file) {
			_ = os.Remove(file.Name()) // the run never came to it
		}
	}
}

func regular(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode().IsRegular()
}
