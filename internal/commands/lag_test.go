package commands

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ordersctl/ordersctl/internal/config"
	"github.com/ordersctl/ordersctl/internal/lag"
	"github.com/ordersctl/ordersctl/internal/topic"
)

func TestLagLooks(t *testing.T) {
	at := time.Date(2026, 11, 22, 14, 5, 31, 0, time.UTC)
	since := at.Add(-3 * time.Minute)
	member := &lag.Member{ID: "ordersctl-3f1b2c4d-aaaa", ClientID: "ordersctl", Host: "10.0.0.7"}
	flow := func(n int64, in, out float64, d lag.Drain) lag.Flow {
		return lag.Flow{Lag: &n, In: &in, Out: &out, Drain: d}
	}
	some := func(seconds float64) lag.Drain { return lag.Drain{State: lag.DrainSome, Seconds: &seconds} }
	part := func(n int32, next, end int64, f lag.Flow) lag.Partition {
		return lag.Partition{Partition: n, Next: &next, End: &end, Flow: f, Member: member, State: "running"}
	}
	paused := part(1, 6196406, 6340504, flow(144098, 1659, 0, lag.Drain{State: lag.DrainNever}))
	paused.State, paused.Reason, paused.Detail, paused.PausedAt = "paused", "breaker", "50 dead letters in a row", &since
	r := &lag.Report{
		At: at, Topic: "orders", By: lag.ByDatabase, Agreement: &topic.Agreement{Behind: 1310}, RateSeconds: 2.0004,
		Group: lag.Group{Name: "orders-process", State: "stable", Members: []lag.Member{*member}},
		Partitions: []lag.Partition{
			part(0, 6228104, 6228208, flow(104, 1667, 1660, lag.Drain{State: lag.DrainSteady, Seconds: new(float64)})),
			paused,
			part(2, 6293862, 6593970, flow(300108, 0.5, 42.25, some(7188))),
			{Partition: 3, Flow: lag.Flow{Drain: lag.Drain{State: lag.DrainUnknown}}},
		},
		All:      lag.Flow{Drain: lag.Drain{State: lag.DrainUnknown}},
		Problems: []string{"no answer from the leader of partition 3"},
	}
	want := `lag of group orders-process in orders   stable, 1 member   2026-11-22 14:05:31Z

PART       NEXT        END      LAG   IN/s  OUT/s       DRAIN  MEMBER              STATE
0     6,228,104  6,228,208      104  1,667  1,660        <1 s  ordersctl-3f1b2c4d  running
1     6,196,406  6,340,504  144,098  1,659      0       never  ordersctl-3f1b2c4d  paused: breaker
2     6,293,862  6,593,970  300,108    0.5   42.2  1 h 59 min  ordersctl-3f1b2c4d  running
3             -          -        -      -      -           -  -                   no member
all                               -      -      -           -
! partition 1 is paused since 2026-11-22 14:02:31Z: breaker, 50 dead letters in a row
! no answer from the leader of partition 3
by the database's offsets (Kafka's are 1,310 behind)   rates over the last 2 s
`
	var got bytes.Buffer
	if err := printLag(&got, r, false); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Error(diff)
	}
	for _, line := range strings.Split(got.String(), "\n") {
		if len(line) > 100 {
			t.Errorf("%d columns: %s", len(line), line)
		}
	}
}

func TestSpansHaveTwoUnits(t *testing.T) {
	for d, want := range map[time.Duration]string{
		300 * time.Millisecond: "<1 s", 19 * time.Second: "19 s", 3 * time.Minute: "3 min", 200 * time.Second: "3 min 20 s",
		2*time.Hour + 5*time.Minute + 9*time.Second: "2 h 5 min", 50 * time.Hour: "2 d 2 h", 24000 * time.Hour: "1,000 d",
	} {
		if got := span(d); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
}

func TestAgreementInWords(t *testing.T) {
	for want, a := range map[string]topic.Agreement{
		"Kafka's agree": {}, "Kafka has none": {Missing: 2}, "Kafka's are 2 behind": {Behind: 2, Missing: 1},
		"Kafka's are 1,204 ahead and 2 behind": {Ahead: 1204, Behind: 2},
	} {
		if got := agreement(&a); got != want {
			t.Errorf("%+v: %q, want %q", a, got, want)
		}
	}
}

func TestBrokersOutOfReachAreExitCode4(t *testing.T) {
	for _, command := range [][]string{
		{"lag"}, {"lag", "-w"}, {"group", "describe"}, {"status", "--interval", "1ms"}, {"status", "--interval", "1ms", "-o", "json"},
	} {
		var out, talk bytes.Buffer
		app := &App{
			IO: IO{In: strings.NewReader(""), Out: &out, Err: &talk},
			Sources: config.Sources{
				Environ: []string{"ORDERSCTL_KAFKA_BROKERS=127.0.0.1:1", "ORDERSCTL_ADMIN_LISTEN=127.0.0.1:1", "ORDERSCTL_DEV_DATA_DIR=" + t.TempDir()},
				WorkDir: t.TempDir(),
			},
		}
		if code := Run(t.Context(), app, command); code != exitUnreachable {
			t.Errorf("%q: exit code %d, stdout %q, stderr %q", command, code, out.String(), talk.String())
		}
		if text := out.String() + talk.String(); strings.Count(text, "no broker at 127.0.0.1:1") == 0 {
			t.Errorf("%q does not say why: %q", command, text)
		}
	}
}
