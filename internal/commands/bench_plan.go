package commands

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/ordersctl/ordersctl/internal/bench"
	"github.com/ordersctl/ordersctl/internal/config"
	"github.com/ordersctl/ordersctl/internal/unit"
)

// mostOrders bounds a run that has an end: the ledger of more would not fit
// into most machines.
const mostOrders = 1 << 30

// mostTimeout is the longest latency that is told from a longer one.
const mostTimeout = time.Hour

// What a run is held against.
const (
	verifyLog  = "log"
	verifyDB   = "db" // the log, and the database
	verifyNone = "none"
)

// slowestRate is one order in about a quarter of an hour. Less is not load, and
// a slip of the finger more likely.
const slowestRate = unit.Rate(0.001)

// complete checks what the flags say, and together.
func (o *benchOptions) complete() error {
	for _, check := range []func() error{o.checkNumbers, o.checkTarget, o.completePlan, o.completeSource, o.completeChecks} {
		if err := check(); err != nil {
			return err
		}
	}
	o.interest = o.to == toKafka || o.verify != verifyNone || o.reader
	return nil
}

func (o *benchOptions) checkNumbers() error {
	for _, x := range []struct {
		bad  bool
		flag string
		why  string
	}{
		{o.connections < 1 || o.connections > 60_000, "connections", "is not between 1 and 60000"},
		{o.batch < 1 || o.batch > 10_000, "batch", "is not between 1 and 10000"},
		{o.timeout <= 0, "timeout", "is not above 0"},
		{o.timeout > mostTimeout, "timeout", "is over 1h, which is all that a histogram holds"},
		{o.lagLimit < bench.DefaultLagLimit/10 || o.lagLimit > mostTimeout, "lag-limit", "is not between 100us and 1h"},
		{o.maxInFlight < o.batch, "max-in-flight", "is less than one request holds"},
		{o.given("count") && o.count == 0, "count", "is not 1 or more"},
		{o.count > mostOrders, "count", fmt.Sprintf("is over %s: the ledger of more would not fit", thousands(mostOrders))},
		{o.rate > 0 && o.rate < slowestRate, "rate", fmt.Sprintf("is less than %v", slowestRate)},
		{o.given("concurrency") && o.concurrency < 1, "concurrency", "is not 1 or more"},
		{o.duration < 0, "duration", "is negative"},
		{o.warmup < 0, "warmup", "is negative"},
		{o.hdr == "-", "hdr", "wants a file, stdout is the summary's or the JSON's"},
		{!slices.Contains([]string{verifyLog, verifyDB, verifyNone}, o.verify), "verify", "is none of log, db, none"},
	} {
		if x.bad {
			return usageError("", "--%s %s", x.flag, x.why)
		}
	}
	return nil
}

func (o *benchOptions) checkTarget() error {
	if o.to == toKafka {
		for _, flag := range []string{"connections", "batch"} {
			if o.given(flag) {
				return usageError("", "--%s is for --to URL", flag)
			}
		}
		return nil
	}
	if o.concurrency > 0 && o.given("connections") {
		return usageError("leave one of them out", "--concurrency has as many connections: an order for each")
	}
	var err error
	if o.to, o.several, err = orderURLs(o.to); err != nil {
		return err
	}
	if o.batch > 1 && o.several == "" {
		return usageError("give an endpoint whose path ends in /order or /orders", "--batch: %s is not known to take several orders", o.to)
	}
	return nil
}

// completePlan says when how much is sent.
func (o *benchOptions) completePlan() error {
	arrivals, err := bench.ParseArrivals(o.arrivals)
	if err != nil {
		return usageError("", "--arrivals: %w", err)
	}
	p := bench.Plan{Warmup: o.warmup, Count: o.count, Batch: o.batch, Arrivals: arrivals}
	length := o.duration
	if o.count > 0 && !o.given("duration") {
		length = 0 // the count is its end
	}
	switch {
	case o.concurrency > 0 && (o.given("rate") || len(o.stages) > 0):
		return usageError("leave out the rate for a closed loop, or --concurrency for a schedule", "--concurrency has no rate: the next order is sent when one is answered")
	case len(o.stages) > 0 && (o.given("rate") || o.given("duration")):
		return usageError("", "--stage has its own rates and lengths: leave out --rate and --duration")
	case o.concurrency > 0:
		p.Concurrency, p.Duration = o.concurrency, length
	case o.rate == 0:
		p.Max, p.Duration = true, length
	case len(o.stages) > 0:
		for _, text := range o.stages {
			st, err := bench.ParseStage(text)
			if err != nil {
				return usageError("", "--stage: %w", err)
			}
			for _, r := range []unit.Rate{st.From, st.To} {
				if r > 0 && r < slowestRate {
					return usageError("a pause is LENGTH@0", "--stage: the rate of %q is less than %v", text, slowestRate)
				}
			}
			p.Stages = append(p.Stages, st)
		}
	default:
		p.Stages = []bench.Stage{{For: length, From: o.rate, To: o.rate}}
	}
	if !p.Open() && o.given("arrivals") {
		return usageError("", "--arrivals is for a rate: in a closed loop orders come when others are answered")
	}
	if err := p.Validate(); err != nil {
		return usageError("", "%w", err)
	}
	o.plan = p
	if n := o.orders(); n > mostOrders {
		return usageError("make it shorter or slower", "%s orders: at %d bytes each their ledger takes %s", thousands(int64(min(n, 1<<62))), bench.LedgerBytes, unit.Size(min(n*bench.LedgerBytes, 1<<62)).Human())
	}
	return nil
}

// orders is about how many a schedule with an end has, 0 where nobody knows.
func (o *benchOptions) orders() float64 {
	p := o.plan
	if !p.Open() {
		if p.Count > 0 && p.Warmup == 0 {
			return float64(p.Count)
		}
		return 0
	}
	if length := p.Length(); length > 0 {
		return bench.NewSchedule(p).Asked(length)
	}
	if p.Count > 0 {
		return float64(p.Count) + float64(p.Stages[0].From)*p.Warmup.Seconds()
	}
	return 0
}

// ledgerRoom is for how many orders the ledger has room; 0: as it will have.
func (o *benchOptions) ledgerRoom() uint64 {
	n := o.orders()
	switch p := o.plan; {
	case n == 0 && (p.Length() > 0 || p.Count > 0):
		return mostOrders // it has an end, and nobody knows how many orders come before
	case n == 0:
		return 0
	}
	// Poisson arrivals are more or less than asked.
	return max(uint64(n*1.1)+10_000, bench.LedgerLimit)
}

func (o *benchOptions) completeSource() error {
	dist, err := bench.ParseKeyDist(o.keyDist)
	if err != nil {
		return usageError("", "--key-dist: %w", err)
	}
	if dist == bench.Unique && o.given("keys") {
		return usageError("", "--keys is not for --key-dist unique: every order has an id of its own")
	}
	if !o.given("seed") {
		o.seed = uint64(rand.Uint32())
	}
	o.plan.Seed = o.seed
	o.source = bench.SourceOptions{Seed: o.seed, Run: newRunID(), Keys: o.keys, Dist: dist, Size: o.size}
	if dist == bench.Unique {
		o.source.Keys = 0
	}
	if o.statuses != "" {
		if o.source.Statuses, err = bench.ParseStatuses(o.statuses); err != nil {
			return usageError("", "--statuses: %w", err)
		}
	}
	if _, err := bench.NewSource(o.source); err != nil {
		return usageError("", "%w", err)
	}
	return nil
}

// newRunID is eight hexadecimal digits.
func newRunID() string { return fmt.Sprintf("%08x", rand.Uint32()) }

func (o *benchOptions) completeChecks() error {
	for _, text := range o.thresholds {
		t, err := bench.ParseThreshold(text)
		if err != nil {
			return usageError("", "--threshold: %w", err)
		}
		if o.verify == verifyNone && bench.NeedsVerification(t.Metric) {
			return usageError("leave out --verify none", "--threshold %s is judged by the log", t.Text)
		}
		o.checks = append(o.checks, t)
	}
	if o.abort && len(o.checks) == 0 {
		return usageError("add --threshold", "--abort-on-fail has nothing to fail")
	}
	return nil
}

// checkPlace refuses what would load more than this machine without being told
// so.
func (o *benchOptions) checkPlace(l *config.Loaded) error {
	if o.given("to") || o.verify == verifyNone && !o.reader {
		return nil // without --to the URL is this machine's
	}
	for _, b := range l.Kafka.Brokers {
		if !isLoopback(b) {
			return usageError("name what to load with --to (and its brokers), or add --verify none",
				"a bare bench loads localhost, and the topic would be read back from %s", b)
		}
	}
	return nil
}

func isLoopback(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	host = strings.Trim(host, "[]")
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback()
}

// setup is the configuration of the run, as the result keeps it.
func (o *benchOptions) setup() bench.Setup {
	l, p := o.loaded, o.plan
	s := bench.Setup{
		Target: o.to, Topic: l.Topic, Context: l.Context, Brokers: []string{},
		Loop: "open", Duration: o.duration, Count: p.Count, Warmup: p.Warmup,
		Connections: o.connections, Batch: o.batch, Timeout: o.timeout, MaxInFlight: o.maxInFlight, LagLimit: o.lagLimit,
		Seed: o.seed, Keys: o.source.Keys, KeyDist: string(o.source.Dist), Size: int64(o.source.Size),
		Verify: o.verify, Reader: o.reader, Abort: o.abort,
	}
	if o.interest {
		s.Brokers = l.Kafka.Brokers
	}
	if o.source.Dist == bench.Zipf {
		s.Zipf = bench.DefaultZipf
	}
	for _, st := range o.source.Statuses {
		s.Statuses = append(s.Statuses, fmt.Sprintf("%s=%d", st.Name, st.Weight))
	}
	if p.Open() {
		s.Arrivals = string(p.Arrivals)
		for _, st := range p.Stages {
			s.Stages = append(s.Stages, st.String())
		}
		if len(p.Stages) == 1 && p.Stages[0].From == p.Stages[0].To {
			s.Rate, s.Duration = float64(p.Stages[0].From), p.Stages[0].For
		} else {
			s.Duration = p.Length() - p.Warmup
		}
	} else {
		s.Loop, s.Concurrency, s.Unlimited, s.Duration = "closed", p.Concurrency, p.Max, p.Duration
	}
	if o.to == toKafka {
		s.Connections = 0
		s.Compression, s.Linger, s.Partitioner = l.Kafka.Compression, l.Kafka.Linger, l.Kafka.Partitioner
		return s
	}
	if u, err := url.Parse(o.to); err == nil {
		s.Target = u.Redacted()
	}
	s.APIKey = l.Send.APIKey != "" || l.Send.APIKeyFile != ""
	return s
}
