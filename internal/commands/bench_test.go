package commands

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ordersctl/ordersctl/internal/bench"
	"github.com/ordersctl/ordersctl/internal/config"
)

// benchFlags reads flags as a run would, without running.
func benchFlags(t *testing.T, args ...string) (*benchOptions, error) {
	t.Helper()
	var got *benchOptions
	app := &App{
		IO:      IO{In: strings.NewReader(""), Out: io.Discard, Err: io.Discard},
		Sources: config.Sources{WorkDir: t.TempDir()},
	}
	cmd := newBench(app, func(_ context.Context, o *benchOptions) error {
		got = o
		return nil
	})
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(t.Context())
	return got, err
}

func TestBenchFlagsMakeAPlan(t *testing.T) {
	const constant = bench.Constant
	for _, test := range []struct {
		name string
		args string
		want bench.Plan
	}{
		{"a bare bench", "", bench.Plan{Stages: []bench.Stage{{For: 30 * time.Second, From: 1000, To: 1000}}, Batch: 1, Arrivals: constant}},
		{"so does bench run", "run", bench.Plan{Stages: []bench.Stage{{For: 30 * time.Second, From: 1000, To: 1000}}, Batch: 1, Arrivals: constant}},
		{"a rate and a length", "-r 5k -d 5m --warmup 15s", bench.Plan{Stages: []bench.Stage{{For: 5 * time.Minute, From: 5000, To: 5000}}, Warmup: 15 * time.Second, Batch: 1, Arrivals: constant}},
		{"until stopped", "-d 0", bench.Plan{Stages: []bench.Stage{{From: 1000, To: 1000}}, Batch: 1, Arrivals: constant}},
		{"a count is an end", "-n 500", bench.Plan{Stages: []bench.Stage{{From: 1000, To: 1000}}, Count: 500, Batch: 1, Arrivals: constant}},
		{"a count as people write it", "-n 1.5k -d 1d", bench.Plan{Stages: []bench.Stage{{For: 24 * time.Hour, From: 1000, To: 1000}}, Count: 1500, Batch: 1, Arrivals: constant}},
		{"whichever comes first", "-n 500 -d 10s", bench.Plan{Stages: []bench.Stage{{For: 10 * time.Second, From: 1000, To: 1000}}, Count: 500, Batch: 1, Arrivals: constant}},
		{"stages", "--stage 30s@1k --stage 1m@1k..10k --arrivals poisson", bench.Plan{
			Stages: []bench.Stage{{For: 30 * time.Second, From: 1000, To: 1000}, {For: time.Minute, From: 1000, To: 10_000}}, Batch: 1, Arrivals: bench.Poisson,
		}},
		{"a closed loop", "-c 8", bench.Plan{Concurrency: 8, Duration: 30 * time.Second, Batch: 1, Arrivals: constant}},
		{"a closed loop with a count", "-c 8 -n 10", bench.Plan{Concurrency: 8, Count: 10, Batch: 1, Arrivals: constant}},
		{"as fast as it goes", "--rate max -d 5s", bench.Plan{Max: true, Duration: 5 * time.Second, Batch: 1, Arrivals: constant}},
		{"batches", "--batch 100 --to http://localhost:8080", bench.Plan{Stages: []bench.Stage{{For: 30 * time.Second, From: 1000, To: 1000}}, Batch: 100, Arrivals: constant}},
	} {
		o, err := benchFlags(t, strings.Fields(test.args)...)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		o.plan.Seed = 0
		if diff := cmp.Diff(test.want, o.plan); diff != "" {
			t.Errorf("%s: %s", test.name, diff)
		}
	}
}

func TestBenchRefusesWhatDoesNotFit(t *testing.T) {
	for args, want := range map[string]string{
		"-c 8 -r 5k":                           "--concurrency has no rate",
		"-c 8 --stage 1s@1k":                   "--concurrency has no rate",
		"--stage 1s@1k -r 5k":                  "--stage has its own rates",
		"--stage 1s@1k -d 5s":                  "--stage has its own rates",
		"--stage 1s":                           "is not a stage",
		"--stage 1s@0":                         "pauses",
		"-c 0":                                 "--concurrency is not 1 or more",
		"-n 0":                                 "--count is not 1 or more",
		"-n 18446744073709551615":              "--count is over 1,073,741,824",
		"-c 1 --warmup 1s -n 2000M":            "--count is over 1,073,741,824",
		"-r 1000M -d 2500000h":                 "their ledger takes",
		"-r 0.0001":                            "--rate is less than 0.001/s",
		"--stage 1h@0.0001":                    `the rate of "1h@0.0001" is less than 0.001/s`,
		"-d -1s":                               "--duration is negative",
		"--timeout 0s":                         "--timeout is not above 0",
		"--timeout 61m":                        "--timeout is over 1h",
		"--timeout 2562000h":                   "--timeout is over 1h",
		"-c 4 --connections 9":                 "--concurrency has as many connections",
		"--hdr -":                              "--hdr wants a file",
		"--batch 0":                            "--batch is not between",
		"--batch 10 --to http://localhost:1/x": "is not known to take several",
		"--batch 10 --to kafka":                "--batch is for --to URL",
		"--connections 9 --to kafka":           "--connections is for --to URL",
		"--to localhost:8080":                  "neither kafka nor the URL",
		"--connections 0":                      "--connections is not between",
		"--batch 100 --max-in-flight 10":       "--max-in-flight is less than one request",
		"--key-dist pareto":                    "is none of uniform, zipf, unique",
		"--key-dist unique --keys 5":           "--keys is not for --key-dist unique",
		"--keys 0":                             "keys of a uniform distribution are 0",
		"--size 10":                            "size",
		"--statuses pending=x":                 "no share of a status",
		"--arrivals poisson -c 4":              "--arrivals is for a rate",
		"--arrivals never":                     "is none of constant, poisson",
		"--verify it":                          "--verify is none of log, db, none",
		"--threshold p99":                      "compares nothing",
		"--threshold lost==0 --verify none":    "is judged by the log",
		"--abort-on-fail":                      "has nothing to fail",
		"-r 1M -d 24h":                         "their ledger takes",
		"reprot":                               `unknown command "reprot"`,
		"report":                               `unknown command "report"`,
		"run now":                              `unknown command "now"`,
		"clean":                                "takes one run",
		"clean b-1":                            "is not 1 to 32",
	} {
		_, err := benchFlags(t, strings.Fields(args)...)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("bench %s: %v, want %q", args, err, want)
			continue
		}
		if code := exitCode(t.Context(), err); code != exitUsage {
			t.Errorf("bench %s: exit code %d", args, code)
		}
	}
}

func TestABareBenchLoadsThisMachineOnly(t *testing.T) {
	for _, test := range []struct {
		args    string
		brokers string
		ok      bool
	}{
		{"", "localhost:9092", true},
		{"", "127.0.0.1:9092", true},
		{"", "[::1]:9092", true},
		{"", "kafka-1:9092", false},
		{"", "localhost:9092,kafka-1:9092", false},
		{"", "localhost.example.com:9092", false},
		{"--verify none", "kafka-1:9092", true},
		{"--verify none --stages", "kafka-1:9092", false},
		{"--to kafka", "kafka-1:9092", true},
		{"--to http://localhost:8080/order", "kafka-1:9092", true},
	} {
		o, err := benchFlags(t, strings.Fields(test.args)...)
		if err != nil {
			t.Fatal(err)
		}
		l := &config.Loaded{Config: config.Default()}
		l.Kafka.Brokers = strings.Split(test.brokers, ",")
		if err := o.checkPlace(l); (err == nil) != test.ok {
			t.Errorf("bench %s with brokers %s: %v", test.args, test.brokers, err)
		}
	}
}

func TestAProtectedContextAsksBeforeItIsLoaded(t *testing.T) {
	for name, test := range map[string]struct {
		typed string
		args  string
		code  int
	}{
		"y is not the name":       {"y\n", "", exitFailed},
		"another name":            {"order\n", "", exitFailed},
		"the name goes on":        {"orders\n", "", exitUnreachable},
		"--confirm with the name": {"", "--confirm orders", exitUnreachable},
	} {
		var talk bytes.Buffer
		app := &App{
			IO:      IO{In: strings.NewReader(test.typed), Out: io.Discard, Err: &talk, InTTY: true},
			Sources: config.Sources{WorkDir: t.TempDir(), Environ: []string{"ORDERSCTL_PROTECTED=true", "ORDERSCTL_KAFKA_BROKERS=localhost:1"}},
		}
		if code := Run(t.Context(), app, append([]string{"bench", "-n", "5000"}, strings.Fields(test.args)...)); code != test.code {
			t.Errorf("%s: exit code %d, want %d\n%s", name, code, test.code, talk.String())
		}
		asked := strings.Contains(talk.String(), "Load http://localhost:8080/order with about 5,000 orders?")
		if asked != (test.typed != "") {
			t.Errorf("%s: it says %q", name, talk.String())
		}
	}
}

func TestTheRunIsInTheSetup(t *testing.T) {
	o, err := benchFlags(t, strings.Fields("--to https://user:secret@edge/order --stage 1s@1k --stage 2s@1k..2k --key-dist zipf --keys 50 --statuses paid=2,new --seed 7 --size 200")...)
	if err != nil {
		t.Fatal(err)
	}
	o.loaded.Send.APIKey = "secret"
	got := o.setup()
	want := bench.Setup{
		Target: "https://user:xxxxx@edge/order", Topic: "orders", Brokers: []string{"localhost:9092"}, Context: "default",
		Loop: "open", Stages: []string{"1s@1k", "2s@1k..2k"}, Arrivals: "constant", Duration: 3 * time.Second,
		Connections: 64, Batch: 1, Timeout: 10 * time.Second, MaxInFlight: 100_000, LagLimit: time.Millisecond,
		Seed: 7, Keys: 50, KeyDist: "zipf", Zipf: 1.1, Statuses: []string{"paid=2", "new=1"}, Size: 200, APIKey: true, Verify: "log",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// What a run found has to be in the exit code, whatever becomes of the summary.
func TestTheVerdictOutranksAFullDisk(t *testing.T) {
	lost := &bench.Integrity{Lost: 3}
	for name, tt := range map[string]struct {
		out       io.Writer
		integrity *bench.Integrity
		cut       bool
		want      int
	}{
		"a breach, and a full disk":                {brokenDisk{}, lost, false, bench.ExitIntegrity},
		"a breach, and nobody who reads":           {full{}, lost, false, bench.ExitIntegrity},
		"all well, and a full disk":                {brokenDisk{}, nil, false, bench.ExitFailed},
		"all well, and nobody who reads":           {full{}, nil, false, exitOK},
		"cut short, and a full disk":               {brokenDisk{}, nil, true, bench.ExitFailed},
		"a breach, with the summary where it goes": {io.Discard, lost, false, bench.ExitIntegrity},
	} {
		var talk bytes.Buffer
		r := &benchRun{benchOptions: &benchOptions{app: &App{IO: IO{Out: tt.out, Err: &talk}}}}
		result := &bench.Result{Orders: bench.Orders{Scheduled: 10, Acked: 10}, Generator: bench.Generator{Valid: true}, Integrity: tt.integrity, CutShort: tt.cut}
		result.Judge()
		err := r.tell(result, bench.NewHistogram(), &benchFiles{})
		code := exitOK
		if err != nil {
			code = exitCode(t.Context(), err)
		}
		if code != tt.want {
			t.Errorf("%s: exit code %d, want %d (%v)", name, code, tt.want, err)
		}
		if _, broken := tt.out.(brokenDisk); broken && tt.integrity != nil && !strings.Contains(talk.String(), "3 acked orders lost") {
			t.Errorf("%s: it says %q", name, talk.String())
		}
	}
}

// brokenDisk takes nothing.
type brokenDisk struct{}

func (brokenDisk) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

// The JSON has to tell the verdict that the exit code is of.
func TestAHistogramThatCannotBeWrittenIsInTheJSON(t *testing.T) {
	dir := t.TempDir()
	readOnly := filepath.Join(dir, "run.hgrm")
	if err := os.WriteFile(readOnly, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	hdr, err := os.Open(readOnly)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.Create(filepath.Join(dir, "run.json"))
	if err != nil {
		t.Fatal(err)
	}
	files := &benchFiles{json: doc, hdr: hdr}
	defer files.close()
	r := &benchRun{benchOptions: &benchOptions{app: &App{IO: IO{Out: io.Discard, Err: io.Discard}}}}
	result := &bench.Result{SchemaVersion: bench.SchemaVersion, Orders: bench.Orders{Scheduled: 10, Acked: 10}, Generator: bench.Generator{Valid: true}}
	result.Judge("not verified: x")
	_ = r.tell(result, bench.NewHistogram(), files)
	text, err := os.Open(doc.Name())
	if err != nil {
		t.Fatal(err)
	}
	defer text.Close()
	told, err := bench.ReadResult(text)
	if err != nil {
		t.Fatal(err)
	}
	if v := told.Verdict; v.Word != "FAIL" || v.ExitCode != bench.ExitFailed || len(v.Reasons) != 2 || !strings.Contains(v.Reasons[1], "write "+readOnly) {
		t.Errorf("got %+v", v)
	}
}

// It has to tell it too where stdout takes nothing.
func TestASummaryThatCannotBeWrittenIsInTheJSON(t *testing.T) {
	for name, out := range map[string]io.Writer{"a full disk": brokenDisk{}, "nobody who reads": full{}} {
		doc, err := os.Create(filepath.Join(t.TempDir(), "run.json"))
		if err != nil {
			t.Fatal(err)
		}
		files := &benchFiles{json: doc}
		r := &benchRun{benchOptions: &benchOptions{json: doc.Name(), app: &App{IO: IO{Out: out, Err: io.Discard}}}}
		result := &bench.Result{SchemaVersion: bench.SchemaVersion, Orders: bench.Orders{Scheduled: 10, Acked: 10}, Generator: bench.Generator{Valid: true}}
		result.Judge()
		code := exitOK
		if err := r.tell(result, bench.NewHistogram(), files); err != nil {
			code = exitCode(t.Context(), err)
		}
		files.close()
		text, err := os.ReadFile(doc.Name())
		if err != nil {
			t.Fatal(err)
		}
		told, err := bench.ReadResult(bytes.NewReader(text))
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, text)
		}
		if told.Verdict.ExitCode != code {
			t.Errorf("%s: exit code %d, the JSON says %+v", name, code, told.Verdict)
		}
	}
}

// A run that never begins leaves files as they were: an empty one that somebody
// made (mktemp) is not ours to remove.
func TestFilesThatWereThereStay(t *testing.T) {
	dir := t.TempDir()
	there, made := filepath.Join(dir, "there"), filepath.Join(dir, "made")
	if err := os.WriteFile(there, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	files, err := openBenchFiles(&benchOptions{json: there, hdr: made})
	if err != nil {
		t.Fatal(err)
	}
	files.close()
	if _, err := os.Stat(there); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(made); err == nil {
		t.Error("an empty file is left")
	}
}

// Of a closed loop nobody knows how many orders come before its end: that must
// not be the end of its ledger.
func TestALedgerHasRoomForARunWithAnEnd(t *testing.T) {
	for args, want := range map[string]uint64{
		"-r max -d 10m":              mostOrders,
		"-c 64 -d 24h":               mostOrders,
		"-r max -n 100M --warmup 1s": mostOrders,
		"-r max -n 100M":             110_010_000,
		"-r max -d 0":                bench.LedgerLimit,
		"-r 1k -d 0":                 bench.LedgerLimit,
		"-r 1k -d 10s":               bench.LedgerLimit,
		"-r 50k -d 1h":               198_010_000,
	} {
		o, err := benchFlags(t, strings.Fields(args)...)
		if err != nil {
			t.Fatal(err)
		}
		if got := bench.NewLedger(o.ledgerRoom()).Max(); got != want {
			t.Errorf("bench %s: room for %d orders, want %d", args, got, want)
		}
	}
}

// Ctrl-C while the database is read ends the verification: the run is complete.
func TestCtrlCWhileTheDatabaseIsReadCutsNoRunShort(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := &benchRun{benchOptions: &benchOptions{app: &App{}, loaded: &config.Loaded{Config: config.Default()}}}
	a := &bench.Account{}
	r.readDatabase(ctx, a, bench.VerifyOptions{})
	if !a.Interrupted || a.Measured.CutShort || a.NoDatabase != "interrupted" {
		t.Errorf("interrupted %t, cut short %t, %q", a.Interrupted, a.Measured.CutShort, a.NoDatabase)
	}
}

func TestTwoResultsNeedTwoFiles(t *testing.T) {
	file := filepath.Join(t.TempDir(), "run")
	if _, err := openBenchFiles(&benchOptions{json: file, hdr: file}); err == nil || exitCode(t.Context(), err) != exitUsage {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("an empty file is left")
	}
}

func TestNumbersAndLengthsAreReadAsPeopleWriteThem(t *testing.T) {
	for text, want := range map[string]uint64{"0": 0, "500": 500, "5k": 5000, "1.5M": 1_500_000, "18446744073709551615": 1<<64 - 1} {
		var c countFlag
		if err := c.Set(text); err != nil || uint64(c) != want {
			t.Errorf("%s is %d, %v", text, c, err)
		}
	}
	for _, text := range []string{"", "k", "abc", "1.5", "-1", "-1k", "0.0001k", "1e6", "99999999999999999999", "99999999999999M", "NaNk", "InfM"} {
		c := countFlag(7)
		if err := c.Set(text); err == nil || c != 7 || !strings.Contains(err.Error(), "wants one like 500, 10k, 1.5M") {
			t.Errorf("%q is %d, %v", text, c, err)
		}
	}
	for text, want := range map[string]time.Duration{"0": 0, "30s": 30 * time.Second, "1d12h": 36 * time.Hour} {
		var l lengthFlag
		if err := l.Set(text); err != nil || time.Duration(l) != want {
			t.Errorf("%s is %s, %v", text, time.Duration(l), err)
		}
	}
	for _, text := range []string{"", "5", "abc", "5 minutes"} {
		var l lengthFlag
		if err := l.Set(text); err == nil || !strings.Contains(err.Error(), "wants one like 30s, 5m, 1h30m") {
			t.Errorf("%q is %s, %v", text, time.Duration(l), err)
		}
	}
}
