package bench

import (
	"bytes"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// fiveMinutes is the run of looks: five minutes of 5,000/s with a hiccup.
func fiveMinutes() *Result {
	dist := func(count uint64, longest time.Duration, at ...time.Duration) *Distribution {
		d := &Distribution{Count: count, Max: longest, Mean: at[0]}
		for i, v := range at {
			d.Percentiles = append(d.Percentiles, Percentile{shown()[i], v})
		}
		return d
	}
	us := func(n int) time.Duration { return time.Duration(n) * time.Microsecond }
	r := &Result{
		SchemaVersion: SchemaVersion, Run: "7f3a91c2", StartedAt: time.Date(2026, 11, 22, 14, 5, 31, 0, time.UTC),
		Warmup: 15 * time.Second, Span: 5 * time.Minute, Took: 5*time.Minute + 3*ms,
		Setup: Setup{
			Target: "http://edge.stage:8080/order", Topic: "orders", Context: "stage", Loop: "open", Rate: 5000, Stages: []string{"5m0s@5k"},
			Connections: 64, Batch: 1, Timeout: 2 * time.Second, MaxInFlight: 100_000, Seed: 42,
		},
		Build: Build{Version: "0.4.0"},
		Orders: Orders{
			Scheduled: 1_500_000, Acked: 1_499_964, NotWritten: 30, Unknown: 6,
			Causes: []Cause{{"acked", "202", 1_499_964}, {"not_written", "503", 30}, {"unknown", "timeout", 6}},
		},
		Latency:   dist(1_500_000, 2003*ms, us(3120), us(4410), us(8930), us(31_600), us(212_000), us(238_000)),
		Service:   dist(1_500_000, 2001*ms, us(3020), us(4250), us(8510), us(12_100), us(38_400), us(236_000)),
		Lag:       dist(1_500_000, us(2310), us(50), us(110), us(210), us(740), us(1900), us(2220)),
		Generator: Generator{Valid: true},
		Stages: []Span{
			{Name: "sent to append", Absent: "the topic has message.timestamp.type=CreateTime"},
			{Name: "sent to consumed", Clock: "ours", Times: dist(1_499_968, 251*ms, us(4400), us(6100), us(12_900), us(16_800), us(43_100), us(249_000))},
		},
		Integrity: &Integrity{Expected: 1_499_968, Acked: 1_499_964, UnknownWritten: 4, UnknownAbsent: 2, Others: 12, Records: 1_499_980, Took: 1200 * ms, Settled: 28 * time.Second},
		Slowest: []Slowest{
			{Latency: 2003 * ms, Outcome: "unknown", UserID: "b-7f3a91c2-0510204"},
			{Latency: 239 * ms, Outcome: "acked", Where: "orders/1@2481774", UserID: "b-7f3a91c2-0510377"},
		},
		Gaps: []Silence{{At: 102 * time.Second, For: 239 * ms, Partition: new(int32), What: "leader of partition 0: 1 -> 3"}},
	}
	for _, text := range []string{"p99<50ms", "error_rate<0.1%", "lost==0"} {
		t, err := ParseThreshold(text)
		if err != nil {
			panic(err)
		}
		value, ok := t.Eval(r)
		r.Thresholds = append(r.Thresholds, Checked{t.Text, value, ok})
	}
	r.Judge()
	return r
}

func TestSummaryLooks(t *testing.T) {
	want := `run 7f3a91c2   2026-11-22 14:05:31Z + 5m0s (after 15 s of warm-up)   ordersctl 0.4.0   seed 42
http://edge.stage:8080/order   asked 5,000/s open loop   64 connections   context stage

ORDERS           COUNT       SHARE     RATE
scheduled    1,500,000  100.0000 %  5,000/s
acked        1,499,964   99.9976 %  5,000/s
not_written         30    0.0020 %           503 30
unknown              6    0.0004 %           timeout after 2 s 6; 4 were in the log, 2 were not
dropped              0    0.0000 %           the generator kept to its schedule

LATENCY ms      p50   p90   p99  p99.9  p99.99  p99.999    max    SAMPLES  CLOCK
from schedule  3.12  4.41  8.93   31.6     212      238  2,003  1,500,000  ours
service time   3.02  4.25  8.51   12.1    38.4      236  2,001  1,500,000  ours
generator lag  0.05  0.11  0.21   0.74    1.90     2.22   2.31  1,500,000  ours

STAGES ms          p50   p90   p99  p99.9  p99.99  p99.999  max    SAMPLES  CLOCK
sent to consumed  4.40  6.10  12.9   16.8    43.1      249  251  1,499,968  ours
sent to append   not measured: the topic has message.timestamp.type=CreateTime

INTEGRITY                    log
expected               1,499,968  acked 1,499,964 + unknown that were written 4, warm-up included
lost                           0  acked, not found
duplicated                     0  one event more than once
reordered                      0  within a key
corrupted                      0  content is not what was sent
not_written but found          0  the client was told "not written"
others' records               12  in the same offsets, not ours, not judged
read 1,499,980 records back from the log in 1.2 s, 1,249,983/s, after 28 s in which unknown orders might still have been written

THRESHOLDS
ok  p99<50ms           8.93 ms
ok  error_rate<0.1%  0.00240 %  (not_written + unknown + dropped) / scheduled
ok  lost==0                  0

 SLOWEST  OUTCOME  WHERE             USER_ID
2,003 ms  unknown  -                 b-7f3a91c2-0510204
  239 ms  acked    orders/1@2481774  b-7f3a91c2-0510377

GAPS  LENGTH  WITHOUT AN ACKNOWLEDGEMENT
1:42  239 ms  of partition 0: leader of partition 0: 1 -> 3

PASS     valid, intact, 3 of 3 thresholds, 36 not acked                     run-7f3a91c2.json
`
	var got bytes.Buffer
	if err := fiveMinutes().WriteText(&got, ReportOptions{File: "run-7f3a91c2.json"}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Error(diff)
	}
}

func TestTheVerdictIsTheLastLineAndTheWorstCauseCounts(t *testing.T) {
	for _, test := range []struct {
		name string
		make func(r *Result)
		code int
		last string
	}{
		{"all is well", func(*Result) {}, 0, "PASS     valid, intact, 3 of 3 thresholds, 36 not acked"},
		{"not verified", func(r *Result) { r.Integrity, r.Unverified = nil, "--verify none" }, 0, "PASS     valid, not verified, 3 of 3 thresholds, 36 not acked"},
		{"cut short", func(r *Result) { r.CutShort, r.Span = true, 42*time.Second }, 130, "PASS     cut short after 42 s: valid, intact, 3 of 3 thresholds, 36 not acked (exit 130)"},
		{"the ledger was full", func(r *Result) { r.Full, r.Span = true, 42*time.Second }, 0, "PASS     ended by its full ledger after 42 s: valid, intact, 3 of 3 thresholds, 36 not acked"},
		{"the ledger was full before the end", func(r *Result) { r.Full, r.Span, r.Setup.Duration = true, 42*time.Second, time.Hour }, 1, "FAIL     the ledger was full after 42 s, before the run's end (exit 1)"},
		{"cut short in warm-up", func(r *Result) {
			r.CutShort, r.Span, r.Orders, r.Thresholds = true, 0, Orders{}, nil
		}, 130, "PASS     cut short in warm-up: valid, intact (exit 130)"},
		{"cut short in warm-up on a busy machine", func(r *Result) {
			r.CutShort, r.Span, r.Orders, r.Thresholds = true, 0, Orders{}, nil
			r.Generator = Generator{Reason: "generator waited 2.7 s for a CPU"}
		}, 130, "PASS     cut short in warm-up: not judged, intact (exit 130)"},
		{"verification was interrupted", func(r *Result) {
			r.Integrity, r.Unverified, r.Interrupted = nil, "interrupted", true
		}, 130, "PASS     verification interrupted: valid, not verified, 3 of 3 thresholds, 36 not acked (exit 130)"},
		{"some were not acknowledged, and nobody said how many may be", func(r *Result) {
			r.Thresholds, r.Orders.Dropped, r.Orders.Acked = nil, 129_622, r.Orders.Acked-129_622
		}, 0, "PASS     valid, intact, 36 not acked, 129,622 dropped"},
		{"most were not acknowledged", func(r *Result) {
			r.Thresholds, r.Orders.NotWritten, r.Orders.Acked = nil, 1_499_964, 30
		}, 1, "FAIL     only 30 of 1,500,000 orders were acknowledged (exit 1)"},
		{"a threshold is missed", func(r *Result) {
			r.Thresholds[0] = Checked{"p99<50ms", "61.2 ms", false}
		}, 3, "FAIL     p99 61.2 ms, wanted < 50 ms (exit 3)"},
		{"a threshold ended the run that its end met again", func(r *Result) { r.CutShort, r.Aborted = true, "p99<50ms" }, 3, "FAIL     p99<50ms was not met over 10s (exit 3)"},
		{"a figure is not known", func(r *Result) {
			r.Thresholds[0] = Checked{"p99.999<50ms", "-", false}
		}, 3, "FAIL     p99.999 is not known, wanted < 50 ms (exit 3)"},
		{"nothing was acknowledged", func(r *Result) { r.Orders.Acked = 0 }, 1, "FAIL     no order was acknowledged (exit 1)"},
		{"the generator was too slow", func(r *Result) {
			r.Generator.Valid, r.Generator.Reason = false, "generator lag p99 14ms > 1ms from 3:10 on: CPU 100 %"
		}, 5, "INVALID  generator lag p99 14ms > 1ms from 3:10 on: CPU 100 % (exit 5)"},
		{"orders were lost", func(r *Result) { r.Integrity.Lost = 3 }, 6, "FAIL     integrity: 3 acked orders lost (exit 6)"},
		{"every kind of breach", func(r *Result) {
			r.Integrity.Lost, r.Integrity.Duplicated, r.Integrity.Reordered, r.Integrity.Corrupted, r.Integrity.NotWrittenFound = 1, 2, 1, 1, 1
		}, 6, "FAIL     integrity: 1 acked order lost, 2 records duplicated, 1 record reordered, 1 record corrupted, 1 order found that was called not written (exit 6)"},
		{"all at once", func(r *Result) {
			r.CutShort, r.Orders.Acked, r.Integrity.Lost = true, 0, 1
			r.Generator.Valid, r.Generator.Reason = false, "CPU"
			r.Thresholds[2] = Checked{"lost==0", "1", false}
		}, 6, "FAIL     integrity: 1 acked order lost; CPU; lost 1, wanted == 0; no order was acknowledged; cut short after 5m0s (exit 6)"},
		{"all but integrity", func(r *Result) {
			r.CutShort, r.Orders.Acked = true, 0
			r.Generator.Valid, r.Generator.Reason = false, "CPU"
			r.Thresholds[2] = Checked{"lost==0", "-", false}
		}, 5, "INVALID  CPU; lost is not known, wanted == 0; no order was acknowledged; cut short after 5m0s (exit 5)"},
	} {
		r := fiveMinutes()
		test.make(r)
		r.Judge()
		if r.Verdict.ExitCode != test.code {
			t.Errorf("%s: exit code %d, want %d", test.name, r.Verdict.ExitCode, test.code)
		}
		var out bytes.Buffer
		if err := r.WriteText(&out, ReportOptions{}); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		if got := lines[len(lines)-1]; got != test.last {
			t.Errorf("%s:\n got %q\nwant %q", test.name, got, test.last)
		}
	}
}

func TestOtherFailuresAreToldToo(t *testing.T) {
	r := fiveMinutes()
	r.Integrity = nil
	r.Judge("not verified: the broker is gone")
	if got, want := r.line(), "FAIL     not verified: the broker is gone (exit 1)"; got != want || r.Verdict.ExitCode != 1 {
		t.Errorf("got %q", got)
	}
}

func TestColourOnlyRepeatsTheWord(t *testing.T) {
	r := fiveMinutes()
	var plain, coloured bytes.Buffer
	if err := r.WriteText(&plain, ReportOptions{File: "x"}); err != nil {
		t.Fatal(err)
	}
	if err := r.WriteText(&coloured, ReportOptions{File: "x", Color: true}); err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer("\x1b[32m", "", "\x1b[0m", "").Replace(coloured.String())
	if text != plain.String() || text == coloured.String() {
		t.Errorf("got %q", coloured.String())
	}
}

func TestBreachesAreNamedInTheSummary(t *testing.T) {
	r := fiveMinutes()
	r.Integrity.Lost = 30
	for i := range 20 {
		r.Integrity.Examples = append(r.Integrity.Examples, Breach{Kind: "lost", UserID: "b-7f3a91c2-000000" + string(rune('a'+i)), Where: "orders/1@7", Detail: "acknowledged 3s after the start"})
	}
	var out bytes.Buffer
	r.writeIntegrity(&out)
	if !strings.Contains(out.String(), "\nBREACH  WHERE       USER_ID             DETAIL\nlost    orders/1@7  b-7f3a91c2-000000a  acknowledged 3s after the start\n") {
		t.Error(out.String())
	}
	if got := strings.Count(out.String(), "orders/1@7"); got != examplesShown {
		t.Errorf("%d examples", got)
	}
}

// Where orders were dropped, percentiles that they may have been above are not
// known, and thresholds on those not met.
func TestDroppedOrdersHidePercentiles(t *testing.T) {
	h := NewHistogram()
	h.RecordN(ms, 985_000)
	d, err := NewDistribution(h)
	if err != nil {
		t.Fatal(err)
	}
	r := fiveMinutes()
	r.Orders = Orders{Scheduled: 1_000_000, Acked: 985_000, Dropped: 15_000}
	r.Latency = d
	r.Latency.leaveOut(r.Orders.Dropped)
	for metric, known := range map[string]bool{"p50": true, "p98": true, "p99": false, "p99.9": false, "max": false, "mean": false, "dropped": true} {
		if v, got := r.Metric(metric); got != known {
			t.Errorf("%s is %g, known %t", metric, v, got)
		}
		live := figures{latency: h, settled: [3]uint64{985_000}, dropped: 15_000}
		if v, got := live.Metric(metric); got != known {
			t.Errorf("while it runs %s is %g, known %t", metric, v, got)
		}
	}
	for _, p := range r.Latency.Percentiles {
		if p.P >= 99 {
			t.Errorf("p%g is listed", p.P)
		}
	}
	var out bytes.Buffer
	r.Check([]Threshold{{Text: "p99<50ms", Metric: "p99", Op: "<", Bound: 5e7}, {Text: "max<50ms", Metric: "max", Op: "<", Bound: 5e7}})
	r.Judge()
	if err := r.WriteText(&out, ReportOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"note: 15,000 dropped orders (1.50 %) are in none of these: what they may have been above is not known\n",
		"FAIL  p99<50ms  -  the dropped orders may have been above it\nFAIL  max<50ms  -  the dropped orders may have been above it\n",
		"FAIL     p99 is not known, wanted < 50 ms; max is not known, wanted < 50 ms (exit 3)\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}

func TestRefusalsHaveARowOfTheirOwn(t *testing.T) {
	r := fiveMinutes()
	r.Refused = &Distribution{Count: 30, Max: 2 * ms, Percentiles: []Percentile{{50, ms}}}
	var out bytes.Buffer
	r.writeLatency(&out)
	if !strings.Contains(out.String(), "\nrefused        1.00     -     -      -       -        -   2.00         30  ours\n") {
		t.Error(out.String())
	}
}

func TestTimesHaveThreeDigits(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0.00", 4 * time.Microsecond: "0.004", 50 * time.Microsecond: "0.05", 9994 * time.Microsecond: "9.99", 9996 * time.Microsecond: "10.0",
		31_600 * time.Microsecond: "31.6", 99_960 * time.Microsecond: "100", 2003 * ms: "2,003", time.Hour: "3,600,000",
	} {
		if got := millis(d); got != want {
			t.Errorf("%s is %q, want %q", d, got, want)
		}
	}
}

func TestResultSurvivesItsJSON(t *testing.T) {
	r := fiveMinutes()
	r.Integrity.Examples = []Breach{{Kind: "lost", UserID: "b-1-2"}}
	h := NewHistogram()
	for i := range 5000 {
		h.Record(time.Duration(i) * time.Microsecond)
	}
	d, err := NewDistribution(h)
	if err != nil {
		t.Fatal(err)
	}
	r.Latency = d
	var doc bytes.Buffer
	if err := r.WriteJSON(&doc); err != nil {
		t.Fatal(err)
	}
	got, err := ReadResult(&doc)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r, got); diff != "" {
		t.Error(diff)
	}
	// A percentile that is not listed is read from the blob.
	want, _ := h.At(97)
	if v, ok := got.Latency.At(97); !ok || v != want {
		t.Errorf("p97 is %s, %v, want %s", v, ok, want)
	}
	if _, err := ReadResult(strings.NewReader(`{"schema_version":2}`)); err == nil {
		t.Error("another schema is read")
	}
}

// Every time is in a field that names its unit, and keys are snake_case.
func TestJSONNamesUnits(t *testing.T) {
	var walk func(path string, typ reflect.Type)
	seen := map[reflect.Type]bool{}
	walk = func(path string, typ reflect.Type) {
		for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct || typ == reflect.TypeFor[time.Time]() || seen[typ] {
			return
		}
		seen[typ] = true
		for i := range typ.NumField() {
			f := typ.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name == "" || name != strings.ToLower(name) {
				t.Errorf("%s.%s is %q in JSON", path, f.Name, name)
			}
			if f.Type == reflect.TypeFor[time.Duration]() && !strings.HasSuffix(name, "_ns") && name != "ns" {
				t.Errorf("%s.%s: %q does not say its unit", path, f.Name, name)
			}
			walk(path+"."+f.Name, f.Type)
		}
	}
	walk("Result", reflect.TypeFor[Result]())
	if len(seen) < 10 {
		t.Errorf("looked at %d types only", len(seen))
	}
}

// Every field of the JSON is in the documentation, by its name.
func TestEveryFieldIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/bench.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[reflect.Type]bool{}
	var walk func(typ reflect.Type)
	walk = func(typ reflect.Type) {
		for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct || typ == reflect.TypeFor[time.Time]() || seen[typ] {
			return
		}
		seen[typ] = true
		for i := range typ.NumField() {
			name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
			if !bytes.Contains(text, []byte("`"+name+"`")) {
				t.Errorf("%s.%s: `%s` is not in docs/bench.md", typ, typ.Field(i).Name, name)
			}
			walk(typ.Field(i).Type)
		}
	}
	walk(reflect.TypeFor[Result]())
}

func TestHGRM(t *testing.T) {
	h := NewHistogram()
	for i := range 1000 {
		h.Record(time.Duration(i+1) * ms)
	}
	var out bytes.Buffer
	if err := WriteHGRM(&out, h); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out.String(), "\n")
	if got, want := lines[0], "       Value     Percentile TotalCount 1/(1-Percentile)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, want := range []string{"     500.223     0.500000          500         2.00", "#[Max     =     1000.", "Total count    =         1000]"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
}
