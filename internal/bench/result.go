package bench

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/ordersctl/ordersctl/internal/client"
)

// SchemaVersion is that of a result's JSON. It grows when a field changes its
// meaning or goes away; new fields leave it as it is.
const SchemaVersion = 1

// Result is a run: how it was set up, what was measured, what the log says of
// it, and the verdict. Its JSON is documented in docs/bench.md, field by field.
type Result struct {
	SchemaVersion int       `json:"schema_version"`
	Run           string    `json:"run"`
	StartedAt     time.Time `json:"started_at"`
	// Warmup comes before, and is in none of the figures below but Integrity's.
	Warmup   time.Duration `json:"warmup_ns"`
	Span     time.Duration `json:"span_ns"` // of the schedule, as far as it came
	Took     time.Duration `json:"took_ns"` // to the last answer
	CutShort bool          `json:"cut_short"`
	Full     bool          `json:"ledger_full"`
	Aborted  string        `json:"aborted,omitempty"` // the threshold that ended the run
	// Interrupted says that the verification was: the run itself is complete.
	Interrupted bool `json:"verification_interrupted"`

	Verdict Verdict `json:"verdict"`
	Setup   Setup   `json:"setup"`
	Build   Build   `json:"build"`
	Machine Machine `json:"machine"`

	Orders     Orders        `json:"orders"`
	Latency    *Distribution `json:"latency"`       // from the intended send time
	Service    *Distribution `json:"service_time"`  // from the send
	Lag        *Distribution `json:"generator_lag"` // the pacer's own
	Refused    *Distribution `json:"refused"`       // from the intended send time, of orders that were turned away; not in Latency
	Stages     []Span        `json:"stages"`
	Generator  Generator     `json:"generator"`
	Integrity  *Integrity    `json:"integrity"` // null where the log was not read
	Unverified string        `json:"unverified,omitempty"`
	Database   *Integrity    `json:"integrity_db"` // null where the database was not looked at
	NoDatabase string        `json:"unverified_db,omitempty"`
	Thresholds []Checked     `json:"thresholds"`
	Slowest    []Slowest     `json:"slowest"`
	Gaps       []Silence     `json:"gaps"`
	GapsMissed uint64        `json:"gaps_not_listed"`
	Series     []Point       `json:"series"`

	Failed []string `json:"-"` // other things that make it a failure; see Judge
}

// Setup is the configuration of a run, complete: a run with the same one, build
// and seed sends the same orders at the same times.
type Setup struct {
	Target      string        `json:"target"` // a URL, or kafka
	Topic       string        `json:"topic"`
	Brokers     []string      `json:"brokers"`
	Context     string        `json:"context"`
	Loop        string        `json:"loop"` // open, closed
	Rate        float64       `json:"rate_per_second,omitempty"`
	Stages      []string      `json:"stages,omitempty"` // of an open loop: length@rate, length@from..to
	Arrivals    string        `json:"arrivals,omitempty"`
	Concurrency int           `json:"concurrency,omitempty"` // of a closed loop
	Unlimited   bool          `json:"unlimited,omitempty"`   // --rate max
	Duration    time.Duration `json:"duration_ns"`           // asked for; 0: until stopped
	Count       uint64        `json:"count,omitempty"`
	Warmup      time.Duration `json:"warmup_ns"`
	Connections int           `json:"connections"`
	Batch       int           `json:"batch"`
	Timeout     time.Duration `json:"timeout_ns"`
	MaxInFlight int           `json:"max_in_flight"`
	LagLimit    time.Duration `json:"lag_limit_ns"`
	Seed        uint64        `json:"seed"`
	Keys        uint64        `json:"keys,omitempty"`
	KeyDist     string        `json:"key_dist"`
	Zipf        float64       `json:"zipf_exponent,omitempty"`
	Statuses    []string      `json:"statuses,omitempty"` // status=weight
	Size        int64         `json:"size_bytes,omitempty"`
	APIKey      bool          `json:"api_key"` // whether one was sent
	Compression string        `json:"compression,omitempty"`
	Linger      time.Duration `json:"linger_ns,omitempty"`
	Partitioner string        `json:"partitioner,omitempty"`
	Verify      string        `json:"verify"`
	Reader      bool          `json:"stages_reader"`
	Abort       bool          `json:"abort_on_fail"`
}

// Build is the program that measured.
type Build struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// Orders are counted without warm-up.
type Orders struct {
	Scheduled  uint64  `json:"scheduled"`
	Acked      uint64  `json:"acked"`
	NotWritten uint64  `json:"not_written"`
	Unknown    uint64  `json:"unknown"`
	Dropped    uint64  `json:"dropped"`
	Causes     []Cause `json:"causes"`
}

// Cause is why orders had an outcome, as the server or the connection said it.
type Cause struct {
	Outcome string `json:"outcome"`
	Cause   string `json:"cause"`
	Orders  uint64 `json:"orders"`
}

// Span is a part of an order's way: from where to where, by whose clock.
type Span struct {
	Name   string        `json:"name"`
	Clock  string        `json:"clock,omitempty"`
	Absent string        `json:"absent,omitempty"` // why there are no figures
	Times  *Distribution `json:"times"`
}

// Generator is the judgement of the program that measured.
type Generator struct {
	Valid        bool          `json:"valid"`
	Reason       string        `json:"reason,omitempty"`
	Since        time.Duration `json:"since_ns,omitempty"` // of an invalid run
	Hint         string        `json:"hint,omitempty"`     // what to do about it
	Notes        []string      `json:"notes"`
	LagP99       time.Duration `json:"lag_p99_ns"`
	LagLimit     time.Duration `json:"lag_limit_ns"`
	CPUs         int           `json:"cpus"`
	CPU          float64       `json:"cpu_share"`         // of those; -1: not known
	MachineCPU   float64       `json:"machine_cpu_share"` // by all processes; -1: not known
	WaitedForCPU time.Duration `json:"waited_for_cpu_ns"` // -1: not known
	WaitedEach   time.Duration `json:"waited_each_ns"`    // -1: not known
	ShortOfCPU   bool          `json:"short_of_cpu"`      // valid, and its times are longer than the server's
	GCPauses     uint64        `json:"gc_pauses"`
	GCPauseMax   time.Duration `json:"gc_pause_max_ns"`
	OpenFiles    uint64        `json:"open_files_limit"` // 0: not known
}

// Checked is a threshold and how it went.
type Checked struct {
	Text  string `json:"threshold"`
	Value string `json:"value"` // "-": the run can't tell it
	OK    bool   `json:"ok"`
}

// Slowest is one of the slowest orders, by latency from the schedule.
type Slowest struct {
	Latency time.Duration `json:"latency_ns"`
	Service time.Duration `json:"service_time_ns"` // -1: never sent
	At      time.Duration `json:"answered_ns"`     // since the start, warm-up included
	Outcome string        `json:"outcome"`
	Cause   string        `json:"cause"`
	Where   string        `json:"where,omitempty"` // topic/partition@offset, where the answer told
	UserID  string        `json:"user_id"`
}

// Silence is a time without any acknowledgement although orders were due.
type Silence struct {
	At        time.Duration `json:"at_ns"` // since the start, warm-up included
	For       time.Duration `json:"for_ns"`
	Partition *int32        `json:"partition,omitempty"` // absent: of all
	What      string        `json:"what,omitempty"`      // a change that fell into it
}

// Point is a second of the run (several, in a long one), warm-up included.
type Point struct {
	At         time.Duration `json:"at_ns"`
	Width      time.Duration `json:"width_ns"`
	Sent       uint64        `json:"sent"`
	Acked      uint64        `json:"acked"`
	NotWritten uint64        `json:"not_written"`
	Unknown    uint64        `json:"unknown"`
	P50        time.Duration `json:"p50_ns"`
	P99        time.Duration `json:"p99_ns"`
	Max        time.Duration `json:"max_ns"`
	LagP99     time.Duration `json:"lag_p99_ns"`
	LagMax     time.Duration `json:"lag_max_ns"`
}

// Rate is acknowledged orders per second, up to the last answer.
func (r *Result) Rate() float64 { return rate(r.Orders.Acked, r.Took) }

func rate(n uint64, in time.Duration) float64 {
	if in <= 0 {
		return 0
	}
	return float64(n) / in.Seconds()
}

// ErrorRate is the share of the scheduled orders that were not acknowledged,
// dropped ones with them: to who asked for them it is all the same.
func (r *Result) ErrorRate() (float64, bool) {
	o := r.Orders
	if o.Scheduled == 0 {
		return 0, false
	}
	return float64(o.NotWritten+o.Unknown+o.Dropped) / float64(o.Scheduled), true
}

// Metric is a figure that thresholds may name.
func (r *Result) Metric(name string) (float64, bool) {
	if p, ok := percentileOf(name); ok {
		d, known := r.Latency.At(p)
		return float64(d), known
	}
	switch name {
	case "max", "mean":
		if r.Latency == nil || r.Latency.Count == 0 || r.Latency.Dropped > 0 {
			return 0, false
		}
		if name == "max" {
			return float64(r.Latency.Max), true
		}
		return float64(r.Latency.Mean), true
	case metricErrorRate:
		return r.ErrorRate()
	case "rate":
		return r.Rate(), r.Took > 0
	case metricDropped:
		return float64(r.Orders.Dropped), true
	}
	log, known := r.Integrity.metric(name)
	db, also := r.Database.metric(name)
	return max(log, db), known || also
}

func (i *Integrity) metric(name string) (float64, bool) {
	if i == nil {
		return 0, false
	}
	switch name {
	case kindLost:
		return float64(i.Lost), true
	case kindDuplicated:
		return float64(i.Duplicated), true
	case kindReordered:
		return float64(i.Reordered), true
	case kindScattered:
		return float64(i.Scattered), true
	case kindCorrupted:
		return float64(i.Corrupted), true
	case kindNotWrittenFound:
		return float64(i.NotWrittenFound), true
	}
	return 0, false
}

// Check holds the result against thresholds.
func (r *Result) Check(thresholds []Threshold) {
	r.Thresholds = make([]Checked, len(thresholds))
	for i, t := range thresholds {
		value, ok := t.Eval(r)
		r.Thresholds[i] = Checked{Text: t.Text, Value: value, OK: ok}
	}
}

// WriteJSON writes the document.
func (r *Result) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// ReadResult reads what WriteJSON wrote.
func ReadResult(rd io.Reader) (*Result, error) {
	r := &Result{}
	if err := json.NewDecoder(rd).Decode(r); err != nil {
		return nil, fmt.Errorf("read result: %w", err)
	}
	if r.SchemaVersion != SchemaVersion {
		return nil, fmt.Errorf("result has schema version %d, wants %d", r.SchemaVersion, SchemaVersion)
	}
	return r, nil
}

// sortCauses puts the outcomes in their order, and the most frequent first.
func sortCauses(list []Cause) {
	slices.SortFunc(list, func(a, b Cause) int {
		return cmp.Or(cmp.Compare(outcomeRank(a.Outcome), outcomeRank(b.Outcome)), cmp.Compare(b.Orders, a.Orders), cmp.Compare(a.Cause, b.Cause))
	})
}

func outcomeRank(o string) int {
	return slices.Index([]string{string(client.Acked), string(client.NotWritten), string(client.Unknown)}, o)
}
