//go:build e2e && unix

package e2e

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/e2e/kafka"
)

// A topic's whole life on three brokers, and Kafka's own tool sees the same.
func TestTopicLife(t *testing.T) {
	c := kafka.Start(t, kafka.Options{Brokers: 3})
	brokers := c.Bootstrap()

	_, stderr, _ := try(t, brokers, "", "topic", "create", "single")
	if !strings.Contains(stderr, "warning: replication 1 on a cluster of 3 brokers") {
		t.Errorf("no warning of one replica: %s", stderr)
	}
	_, stderr, code := try(t, brokers, "", "topic", "create", "-c", "retention.msec=1")
	if code != 1 || !strings.Contains(stderr, "Unknown topic config name: retention.msec") {
		t.Errorf("an unknown config: exit code %d, %s", code, stderr)
	}
	create := []string{"topic", "create", "-p", "3", "-r", "3", "-c", "min.insync.replicas=2", "-c", "cleanup.policy=compact, delete", "--with-dlq"}
	run(t, brokers, create...)
	theirs := describeByKafka(t, c, "orders")
	for _, want := range []string{"PartitionCount: 3", "ReplicationFactor: 3", "min.insync.replicas=2", "cleanup.policy=compact,delete"} {
		if !strings.Contains(theirs, want) {
			t.Errorf("kafka-topics has no %q in\n%s", want, theirs)
		}
	}
	if dlq := describeByKafka(t, c, "orders.dlq"); !strings.Contains(dlq, "max.message.bytes=1114124") || !strings.Contains(dlq, "retention.ms=-1") {
		t.Errorf("the dead letter topic is\n%s", dlq)
	}
	ours := describeByUs(t, brokers, "orders")
	if diff := cmp.Diff(placesByKafka(theirs), ours.places()); diff != "" {
		t.Errorf("kafka-topics and we differ:\n%s", diff)
	}
	if id := regexp.MustCompile(`TopicId: (\S+)`).FindStringSubmatch(theirs); len(id) != 2 || id[1] != ours.ID {
		t.Errorf("topic id %v, ours is %s", id, ours.ID)
	}

	// Equal, however it is written; and not equal.
	run(t, brokers, append(create, "--if-not-exists")...)
	stdout, _, code := try(t, brokers, "", "topic", "create", "-p", "4", "-r", "3", "--if-not-exists")
	if code != 3 || !strings.Contains(stdout, "partitions") {
		t.Errorf("drift: exit code %d, %s", code, stdout)
	}

	run(t, brokers, "send", "--count", "1000", "--seed", "1")
	ours = describeByUs(t, brokers, "orders")
	if ours.Records == nil || *ours.Records != 1000 || ours.SizeBytes == nil || *ours.SizeBytes == 0 {
		t.Errorf("after 1000 orders: records %v, size %v", ours.Records, ours.SizeBytes)
	}
	barriers := run(t, brokers, "topic", "alter", "orders", "-p", "6", "-c", "retention.ms=86400000", "--yes")
	for _, p := range ours.Partitions {
		if want := fmt.Sprintf("orders/%d@%d\n", p.Partition, *p.End); !strings.Contains(barriers, want) {
			t.Errorf("no barrier %q in\n%s", want, barriers)
		}
	}
	if theirs = describeByKafka(t, c, "orders"); !strings.Contains(theirs, "PartitionCount: 6") || !strings.Contains(theirs, "retention.ms=86400000") {
		t.Errorf("after alter:\n%s", theirs)
	}

	run(t, brokers, "topic", "alter", "orders", "-c", "cleanup.policy=delete", "--yes")
	run(t, brokers, "topic", "purge", "orders", "--yes")
	if ours = describeByUs(t, brokers, "orders"); *ours.Records != 0 {
		t.Errorf("%d records after purge", *ours.Records)
	}
	_, stderr, code = try(t, brokers, "", "topic", "delete", "orders", "nosuch", "orders.dlq", "single", "--yes")
	if code != 1 || !strings.Contains(stderr, `no topic "nosuch"`) {
		t.Errorf("delete with a missing one: exit code %d, %s", code, stderr)
	}
	if left := run(t, brokers, "topic", "list", "-o", "json"); strings.TrimSpace(left) != "[]" {
		t.Errorf("left after delete: %s", left)
	}
}

// A group that is behind keeps partitions from being added, whichever of
// Kafka's two group protocols it speaks.
func TestAddPartitionsWaitsForGroups(t *testing.T) {
	c := borrow(t)
	brokers := c.Bootstrap()
	for _, protocol := range []string{"classic", "consumer"} {
		topic := "orders-" + protocol
		run(t, brokers, "topic", "create", topic, "-p", "2")
		cl, err := kgo.NewClient(kgo.SeedBrokers(brokers), kgo.DefaultProduceTopic(topic))
		if err != nil {
			t.Fatal(err)
		}
		for i := range 20 {
			if err := cl.ProduceSync(t.Context(), &kgo.Record{Key: fmt.Append(nil, i)}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		cl.Close()
		consume := c.Tool(t.Context(), "org.apache.kafka.tools.consumer.ConsoleConsumer", "--bootstrap-server", brokers, "--topic", topic,
			"--group", "g-"+protocol, "--command-property", "group.protocol="+protocol, "--from-beginning", "--max-messages", "5", "--timeout-ms", "30000")
		if out, err := consume.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", protocol, err, out)
		}
		_, stderr, code := try(t, brokers, "", "topic", "alter", topic, "-p", "4", "--yes")
		if want := "group g-" + protocol + " is 15 records behind"; code != 1 || !strings.Contains(stderr, want) {
			t.Errorf("%s: exit code %d, want %q in %s", protocol, code, want, stderr)
		}
		run(t, brokers, "topic", "alter", topic, "-p", "4", "--yes", "--force")
	}
}

// With a broker gone describe says who is missing and goes on telling the rest.
func TestDescribeWithABrokerKilled(t *testing.T) {
	t.Parallel()
	c := kafka.Start(t, kafka.Options{Brokers: 3})
	brokers := c.Bootstrap()
	run(t, brokers, "topic", "create", "orders", "-p", "3", "-r", "3")
	run(t, brokers, "topic", "create", "single", "-p", "3", "-r", "1")
	run(t, brokers, "send", "--count", "100", "--seed", "1")
	if err := c.Kill(2); err != nil {
		t.Fatal(err)
	}
	// In the first seconds the cluster still takes it for alive.
	run(t, brokers, "topic", "describe", "single", "--no-rate")

	var text string
	deadline := time.Now().Add(time.Minute)
	for !strings.Contains(text, "under-replicated") && time.Now().Before(deadline) {
		text = run(t, brokers, "topic", "describe", "orders", "--no-rate")
	}
	if want := "! under-replicated: broker 2 is missing from partitions 0,1,2; 2 in sync, 2 needed: no reserve\n"; !strings.Contains(text, want) {
		t.Errorf("want %q in\n%s", want, text)
	}
	for _, row := range strings.Split(text, "\n")[4:7] {
		if !regexp.MustCompile(`^[0-2] +[13] +[123],[123],[123] +[13],[13] !`).MatchString(row) {
			t.Errorf("row %q does not mark the missing replica", row)
		}
	}
	ours, theirs := describeByUs(t, brokers, "orders"), describeByKafka(t, c, "orders")
	if diff := cmp.Diff(placesByKafka(theirs), ours.places()); diff != "" {
		t.Errorf("kafka-topics and we differ:\n%s", diff)
	}
	if ours.Records == nil || *ours.Records != 100 {
		t.Errorf("records %v, want 100: two of three replicas answer", ours.Records)
	}

	single := describeByUs(t, brokers, "single")
	if single.Records != nil || len(single.Problems) != 1 || !strings.HasPrefix(single.Problems[0], "offline: partition ") {
		t.Errorf("records %v, problems %q: want them unknown, and the partition named", single.Records, single.Problems)
	}
}

type described struct {
	ID         string `json:"id"`
	Partitions []struct {
		Partition int     `json:"partition"`
		Leader    *int    `json:"leader"`
		Replicas  []int32 `json:"replicas"`
		ISR       []int32 `json:"isr"`
		End       *int64  `json:"end_offset"`
	} `json:"partitions"`
	Records   *int64   `json:"records"`
	SizeBytes *int64   `json:"size_bytes"`
	Problems  []string `json:"problems"`
}

func (d described) places() []string {
	var out []string
	for _, p := range d.Partitions {
		leader := "none"
		if p.Leader != nil {
			leader = fmt.Sprint(*p.Leader)
		}
		join := func(ids []int32) string {
			return strings.ReplaceAll(strings.Trim(fmt.Sprint(ids), "[]"), " ", ",")
		}
		out = append(out, fmt.Sprintf("%d leader %s replicas %s isr %s", p.Partition, leader, join(p.Replicas), join(p.ISR)))
	}
	return out
}

func describeByUs(t *testing.T, brokers, topic string) described {
	t.Helper()
	var d described
	if err := json.Unmarshal([]byte(run(t, brokers, "topic", "describe", topic, "--no-rate", "-o", "json")), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func describeByKafka(t *testing.T, c *kafka.Cluster, topic string) string {
	t.Helper()
	out, err := c.Tool(t.Context(), "org.apache.kafka.tools.TopicCommand", "--bootstrap-server", c.Bootstrap(), "--describe", "--topic", topic).CombinedOutput()
	if err != nil {
		t.Fatalf("kafka-topics: %v\n%s", err, out)
	}
	return string(out)
}

// placesByKafka are the lines of partitions in the words of described.places.
func placesByKafka(text string) []string {
	var out []string
	line := regexp.MustCompile(`Partition: (\d+)\s+Leader: (\S+)\s+Replicas: (\S+)\s+Isr: (\S+)`)
	for _, m := range line.FindAllStringSubmatch(text, -1) {
		out = append(out, fmt.Sprintf("%s leader %s replicas %s isr %s", m[1], m[2], m[3], m[4]))
	}
	return out
}
