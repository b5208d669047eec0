package commands

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ordersctl/ordersctl/internal/config"
	"github.com/ordersctl/ordersctl/internal/topic"
)

func TestDescriptionLooks(t *testing.T) {
	part := func(n, leader int32, replicas, isr []int32, start, end, size, lag int64, rate float64) topic.Partition {
		records := end - start
		return topic.Partition{
			Partition: n, Leader: &leader, Replicas: replicas, ISR: isr, StartOffset: &start, EndOffset: &end,
			Records: &records, SizeBytes: &size, WritePerSecond: &rate, Lag: &lag,
		}
	}
	const mib = 1 << 20
	minISR, week, unbounded := int64(2), int64(604800000), int64(-1)
	records, size, lag, rate := int64(12376888), int64(1839*mib), int64(310), 5000.0
	offline := topic.Partition{Partition: 3, Replicas: []int32{2}, ISR: []int32{}}
	d := &topic.Description{
		Name: "orders", ID: "7ZqW3nK1Rf2yAAAAAAAAAA", PartitionCount: 4, Replication: "3", MinInsyncReplicas: &minISR,
		Partitioner: "murmur2", CleanupPolicy: "delete", RetentionMS: &week, RetentionBytes: &unbounded,
		Configs: []topic.ConfigEntry{{Key: "min.insync.replicas", Value: "2"}},
		Partitions: []topic.Partition{
			part(0, 1, []int32{1, 2, 3}, []int32{1, 2, 3}, 2110004, 6228208, 612*mib, 104, 1667),
			part(1, 2, []int32{2, 3, 1}, []int32{2, 3, 1}, 2098771, 6196504, 609*mib, 98, 1659),
			part(2, 3, []int32{3, 1, 2}, []int32{3, 1}, 2133019, 6293970, 618*mib, 108, 1674),
			offline,
		},
		Records: &records, SizeBytes: &size, WritePerSecond: &rate, RateSeconds: 2.003, LagGroup: "orders-process", Lag: &lag, Agreement: &topic.Agreement{},
		Problems: []string{"under-replicated: broker 2 is missing from partition 2; 2 in sync, 2 needed: no reserve"},
	}
	want := `orders   id 7ZqW3nK1Rf2y   4 partitions   replication 3   min.insync.replicas 2
keys     order id, murmur2     retention 7 d, unbounded size     non-default: min.insync.replicas

PART  LEADER  REPLICAS  ISR          START        END     RECORDS      SIZE  WRITE/s  LAG
0          1  1,2,3     1,2,3    2,110,004  6,228,208   4,118,204   612 MiB    1,667  104
1          2  2,3,1     2,3,1    2,098,771  6,196,504   4,097,733   609 MiB    1,659   98
2          3  3,1,2     3,1   !  2,133,019  6,293,970   4,160,951   618 MiB    1,674  108
3          -  2         -     !          -          -           -         -        -    -
all                                                    12,376,888  1.80 GiB    5,000  310
! under-replicated: broker 2 is missing from partition 2; 2 in sync, 2 needed: no reserve
LAG is group orders-process, by the database's offsets (Kafka's agree)   WRITE/s over the last 2 s
`
	var got bytes.Buffer
	if err := printDescription(&got, d, "orders-process", false); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Error(diff)
	}
}

func TestTopicDeleteAsksOnATerminal(t *testing.T) {
	for _, test := range []struct {
		name    string
		answer  string
		code    int
		deleted bool
	}{
		{"y deletes", "y\n", exitOK, true},
		{"n does not", "n\n", exitFailed, false},
		{"an empty line does not", "\n", exitFailed, false},
		{"nor does the end of the input", "", exitFailed, false},
		{"nor does the name alone, where nothing is protected", "orders\n", exitFailed, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			kafka, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "orders"))
			if err != nil {
				t.Fatal(err)
			}
			defer kafka.Close()
			var out, talk bytes.Buffer
			app := &App{
				IO:      IO{In: strings.NewReader(test.answer), Out: &out, Err: &talk, InTTY: true},
				Sources: config.Sources{Environ: []string{"ORDERSCTL_KAFKA_BROKERS=" + kafka.ListenAddrs()[0]}, WorkDir: t.TempDir()},
			}
			if code := Run(t.Context(), app, []string{"topic", "delete", "orders"}); code != test.code {
				t.Errorf("exit code %d, want %d\n%s", code, test.code, talk.String())
			}
			if !strings.Contains(talk.String(), "Delete 1 topic: orders? [y/N] ") || out.Len() > 0 {
				t.Errorf("stderr %q, stdout %q", talk.String(), out.String())
			}
			if gone := kafka.TopicInfo("orders") == nil; gone != test.deleted {
				t.Errorf("deleted %v, want %v", gone, test.deleted)
			}
		})
	}
}

func TestDriftHintIsACommandAsFarAsThereIsOne(t *testing.T) {
	for _, test := range []struct {
		name  string
		drift []topic.Drift
		want  string
	}{
		{"more partitions and a config", []topic.Drift{{What: "partitions", Want: "6", Have: "3"}, {What: "a.b", Want: "1", Have: "2"}}, "ordersctl topic alter orders -p 6 -c a.b=1"},
		{"fewer partitions", []topic.Drift{{What: "partitions", Want: "3", Have: "6"}}, "partitions can't be taken away"},
		{"replicas", []topic.Drift{{What: "replicas", Want: "3", Have: "1"}}, "replicas are moved by Kafka's kafka-reassign-partitions.sh"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := driftHint("orders", test.drift); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestDryRunSaysWhenTheDeadLettersLimitIsNotKnown(t *testing.T) {
	kafka, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	defer kafka.Close()
	kafka.ControlKey(int16(kmsg.DescribeConfigs), func(req kmsg.Request) (kmsg.Response, error, bool) {
		kafka.KeepControl()
		asked := req.(*kmsg.DescribeConfigsRequest).Resources[0]
		if asked.ResourceType != kmsg.ConfigResourceTypeBroker {
			return nil, nil, false
		}
		resp, r := req.ResponseKind().(*kmsg.DescribeConfigsResponse), kmsg.NewDescribeConfigsResponseResource()
		r.ResourceType, r.ResourceName, r.ErrorCode = asked.ResourceType, asked.ResourceName, kerr.ClusterAuthorizationFailed.Code
		resp.Resources = append(resp.Resources, r)
		return resp, nil, true
	})
	for _, test := range []struct{ flag, out, talk string }{
		{"--dry-run", "retention.bytes=-1\n", "orders.dlq will be 64 KiB above"},
		{"--if-not-exists", "", "orders.dlq: 3 partitions, replication 1, retention.ms=-1, retention.bytes=-1, max.message.bytes=1114124\n"},
	} {
		var out, talk bytes.Buffer
		app := &App{
			IO:      IO{In: strings.NewReader(""), Out: &out, Err: &talk},
			Sources: config.Sources{Environ: []string{"ORDERSCTL_KAFKA_BROKERS=" + kafka.ListenAddrs()[0]}, WorkDir: t.TempDir()},
		}
		code := Run(t.Context(), app, []string{"topic", "create", "orders", "--with-dlq", test.flag})
		if code != exitOK || !strings.HasSuffix(out.String(), test.out) || strings.Count(talk.String(), test.talk) != 1 {
			t.Errorf("%s: exit code %d, stdout %q, stderr %q", test.flag, code, out.String(), talk.String())
		}
	}
}
