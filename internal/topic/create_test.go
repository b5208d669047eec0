package topic

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestCreateMakesWhatTheSpecSays(t *testing.T) {
	_, _, adm := newKafka(t, 3)
	spec := Spec{Name: "orders", Partitions: 4, Replicas: 3, Configs: []ConfigEntry{{"retention.ms", "86400000"}}}
	if err := Check(t.Context(), adm, spec); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Exists(t.Context(), adm, "orders"); err == nil {
		t.Fatal("Check made the topic")
	}
	mustCreate(t, adm, spec)
	id, partitions, err := Exists(t.Context(), adm, "orders")
	if err != nil || partitions != 4 || id == [16]byte{} {
		t.Errorf("got id %x, %d partitions, %v", id, partitions, err)
	}
	if drift, err := Compare(t.Context(), adm, spec); err != nil || len(drift) > 0 {
		t.Errorf("differs from its own spec: %v, %v", drift, err)
	}
}

func TestCreateAgainSaysThatItExists(t *testing.T) {
	_, _, adm := newKafka(t, 1)
	spec := Spec{Name: "orders", Partitions: 1, Replicas: 1}
	mustCreate(t, adm, spec)
	for name, err := range map[string]error{"create": Create(t.Context(), adm, spec), "check": Check(t.Context(), adm, spec)} {
		if !errors.Is(err, kerr.TopicAlreadyExists) {
			t.Errorf("%s: got %v, want TOPIC_ALREADY_EXISTS", name, err)
		}
	}
}

func TestCreateWaitsForEveryLeader(t *testing.T) {
	c, _, adm := newKafka(t, 1)
	// The first answers know the topic, but not yet a leader for partition 1.
	answers := 0
	c.ControlKey(int16(kmsg.Metadata), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		m := req.(*kmsg.MetadataRequest)
		if len(m.Topics) == 0 || answers == 5 {
			return nil, nil, false
		}
		answers++
		return leaderless(c, m), nil, true
	})
	mustCreate(t, adm, Spec{Name: "orders", Partitions: 2, Replicas: 1})
	if answers < 5 {
		t.Errorf("returned after %d answers without a leader, want it to wait for the one with", answers)
	}
}

// leaderless is metadata of a topic of which partition 1 has no leader.
func leaderless(c *kfake.Cluster, m *kmsg.MetadataRequest) *kmsg.MetadataResponse {
	resp := m.ResponseKind().(*kmsg.MetadataResponse)
	host, port, _ := strings.Cut(c.ListenAddrs()[0], ":")
	broker := kmsg.NewMetadataResponseBroker()
	broker.Host = host
	for _, digit := range port {
		broker.Port = broker.Port*10 + digit - '0'
	}
	resp.Brokers = append(resp.Brokers, broker)
	topic := kmsg.NewMetadataResponseTopic()
	topic.Topic = m.Topics[0].Topic
	for p := range int32(2) {
		part := kmsg.NewMetadataResponseTopicPartition()
		part.Partition, part.Leader = p, -p
		topic.Partitions = append(topic.Partitions, part)
	}
	resp.Topics = append(resp.Topics, topic)
	return resp
}

func TestEnsure(t *testing.T) {
	asked := Spec{Name: "orders", Partitions: 3, Replicas: 1, Configs: []ConfigEntry{{"retention.ms", "86400000"}}}
	for _, test := range []struct {
		name        string
		there       Spec // no name: nothing is there
		wantCreated bool
		wantDrift   []Drift
	}{
		{name: "a missing topic is made", wantCreated: true},
		{name: "an equal one is left alone", there: asked},
		{
			name:  "configs that were not asked for are not compared",
			there: Spec{"orders", 3, 1, []ConfigEntry{{"retention.ms", "86400000"}, {"max.message.bytes", "2000000"}}},
		},
		{
			name:  "every difference is told",
			there: Spec{"orders", 2, 2, []ConfigEntry{{"retention.ms", "1000"}}},
			wantDrift: []Drift{
				{"partitions", "3", "2"}, {"replicas", "1", "2"}, {"retention.ms", "86400000", "1000"},
			},
		},
		{
			name:      "a default that is not what was asked for differs",
			there:     Spec{Name: "orders", Partitions: 3, Replicas: 1},
			wantDrift: []Drift{{"retention.ms", "86400000", "604800000"}},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, _, adm := newKafka(t, 2)
			if test.there.Name != "" {
				mustCreate(t, adm, test.there)
			}
			created, drift, err := Ensure(t.Context(), adm, asked)
			if err != nil || created != test.wantCreated {
				t.Fatalf("created %v, err %v", created, err)
			}
			if diff := cmp.Diff(test.wantDrift, drift); diff != "" {
				t.Error(diff)
			}
			if again, _, err := Ensure(t.Context(), adm, asked); again || err != nil {
				t.Errorf("the second time: created %v, err %v", again, err)
			}
		})
	}
}

func TestEnsureLosesARaceInPeace(t *testing.T) {
	c, _, adm := newKafka(t, 1)
	spec := Spec{Name: "orders", Partitions: 2, Replicas: 1}
	mustCreate(t, adm, spec)
	// Our look came before someone else's create.
	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata}, Topic: "orders", Err: kerr.UnknownTopicOrPartition, Count: 1})
	created, drift, err := Ensure(t.Context(), adm, spec)
	if created || len(drift) > 0 || err != nil {
		t.Errorf("created %v, drift %v, err %v", created, drift, err)
	}
}

func TestSameValue(t *testing.T) {
	for _, test := range []struct {
		key, a, b string
		want      bool
	}{
		{"retention.ms", "604800000", "0604800000", true},
		{"min.cleanable.dirty.ratio", "0.5", "0.50", true},
		{"cleanup.policy", "compact,delete", "compact, delete", true},
		{"cleanup.policy", "compact,delete", "delete,compact", true},
		{"cleanup.policy", "compact,delete", "delete", false},
		{"preallocate", "TRUE", "true", true},
		{"compression.type", "lz4", "zstd", false},
		{"leader.replication.throttled.replicas", "0:1,1:2", "1:2,0:1", false},
		{"retention.ms", "1", "10", false},
		{"retention.ms", "", "0", false},
	} {
		if got := sameValue(test.key, test.a, test.b); got != test.want {
			t.Errorf("sameValue(%s, %q, %q) = %v", test.key, test.a, test.b, got)
		}
	}
}

func TestMissingTopicSaysHowToCreateIt(t *testing.T) {
	_, _, adm := newKafka(t, 1)
	_, _, err := Exists(t.Context(), adm, "orders")
	var missing *MissingError
	if !errors.As(err, &missing) {
		t.Fatalf("got %v, want a MissingError", err)
	}
	if want := `create it with "ordersctl topic create orders"`; missing.Hint() != want {
		t.Errorf("hint %q, want %q", missing.Hint(), want)
	}
}

func TestDLQSpec(t *testing.T) {
	for _, test := range []struct {
		name string
		main []ConfigEntry
		want []ConfigEntry
	}{
		{"Kafka's default where the main topic sets none", nil, dlqConfigs("1114124")},
		{"64 KiB more than the main topic's", []ConfigEntry{{"max.message.bytes", "2097152"}}, dlqConfigs("2162688")},
		{"also where that is less than the default", []ConfigEntry{{"max.message.bytes", "1000"}}, dlqConfigs("66536")},
		{"as many bytes as Kafka can count", []ConfigEntry{{"max.message.bytes", "2147483647"}}, dlqConfigs("2147483647")},
		{
			"as safe as the main topic", []ConfigEntry{{"min.insync.replicas", "2"}, {"retention.ms", "1"}},
			append(dlqConfigs("1114124"), ConfigEntry{"min.insync.replicas", "2"}),
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := DLQSpec(Spec{Name: "orders", Partitions: 6, Replicas: 3, Configs: test.main}, "orders.dlq")
			if diff := cmp.Diff(Spec{"orders.dlq", 6, 3, test.want}, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// dlqConfigs are those of a dead letter topic; limit "" stands for none.
func dlqConfigs(limit string) []ConfigEntry {
	configs := []ConfigEntry{{"retention.ms", "-1"}, {"retention.bytes", "-1"}}
	if limit != "" {
		configs = append(configs, ConfigEntry{"max.message.bytes", limit})
	}
	return configs
}

func TestDLQSpecOf(t *testing.T) {
	limit := func(n string) []ConfigEntry { return []ConfigEntry{{"max.message.bytes", n}} }
	for _, test := range []struct {
		name   string
		broker string        // its message.max.bytes, "" refuses to tell
		there  []ConfigEntry // of the main topic, nil: it is not there
		asked  []ConfigEntry
		want   string
	}{
		{"what the main topic inherits", "5000000", []ConfigEntry{}, nil, "5065536"},
		{"what it would inherit, were it made", "5000000", nil, nil, "5065536"},
		{"what is asked for, where it is not made yet", "5000000", nil, limit("2000000"), "2065536"},
		{"more than was asked for, where it has more", "5000000", limit("3000000"), limit("2000000"), "3065536"},
		{"what was asked for, where it has less: it is to be altered", "5000000", limit("1000000"), limit("2000000"), "2065536"},
		{"nothing, where nobody knows", "", nil, nil, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, _, adm := newKafka(t, 2)
			brokerLimit(c, test.broker)
			if test.there != nil {
				mustCreate(t, adm, Spec{"orders", 2, 1, test.there})
			}
			got, err := DLQSpecOf(t.Context(), adm, Spec{"orders", 2, 1, test.asked}, "orders.dlq")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(Spec{"orders.dlq", 2, 1, dlqConfigs(test.want)}, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// brokerLimit has brokers and topics without a limit of their own tell that
// they have this one: kfake's topics don't show what they inherit.
func brokerLimit(c *kfake.Cluster, limit string) {
	c.ControlKey(int16(kmsg.DescribeConfigs), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		asked := req.(*kmsg.DescribeConfigsRequest).Resources[0]
		key := "message.max.bytes"
		if asked.ResourceType == kmsg.ConfigResourceTypeTopic {
			info := c.TopicInfo(asked.ResourceName)
			if key = "max.message.bytes"; info == nil || info.Configs[key] != nil {
				return nil, nil, false
			}
		}
		resp := req.ResponseKind().(*kmsg.DescribeConfigsResponse)
		r := kmsg.NewDescribeConfigsResponseResource()
		r.ResourceType, r.ResourceName = asked.ResourceType, asked.ResourceName
		if limit == "" {
			r.ErrorCode = kerr.ClusterAuthorizationFailed.Code
		} else {
			config := kmsg.NewDescribeConfigsResponseResourceConfig()
			config.Name, config.Value = key, &limit
			r.Configs = append(r.Configs, config)
		}
		resp.Resources = append(resp.Resources, r)
		return resp, nil, true
	})
}

func TestParseConfigEntries(t *testing.T) {
	for _, test := range []struct {
		name    string
		in      []string
		want    []ConfigEntry
		wantErr string
	}{
		{"key and value", []string{"a.b=1", " c = x=y "}, []ConfigEntry{{"a.b", "1"}, {"c", "x=y"}}, ""},
		{"no equals sign", []string{"retention.ms"}, nil, "key=value"},
		{"no key", []string{"=1"}, nil, "key=value"},
		{"no value", []string{"retention.ms="}, nil, "no value"},
		{"twice", []string{"a=1", "a=2"}, nil, "twice"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := ParseConfigEntries(test.in)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			if (err != nil) != (test.wantErr != "") || err != nil && !strings.Contains(err.Error(), test.wantErr) {
				t.Errorf("err %v, want %q", err, test.wantErr)
			}
		})
	}
}
