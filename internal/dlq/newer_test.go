package dlq

import (
	"testing"

	"github.com/ordersctl/ordersctl/internal/sink"
)

func TestNewerIsToldWithinOnePartitionOnly(t *testing.T) {
	first := sink.Place{TopicID: "a", Partition: 1, Offset: 10}
	for name, test := range map[string]struct {
		row  sink.Place
		want Newer
	}{
		"a later event of the partition":   {sink.Place{TopicID: "a", Partition: 1, Offset: 11}, NewerYes},
		"an earlier one":                   {sink.Place{TopicID: "a", Partition: 1, Offset: 9}, NewerNo},
		"the event itself":                 {first, NewerNo},
		"another partition, earlier there": {sink.Place{TopicID: "a", Partition: 2, Offset: 9}, NewerUnknown},
		"another partition, later there":   {sink.Place{TopicID: "a", Partition: 2, Offset: 99}, NewerUnknown},
		"another topic of the name":        {sink.Place{TopicID: "b", Partition: 1, Offset: 99}, NewerUnknown},
	} {
		if got := IsNewer(sink.Row{From: test.row}, first); got != test.want {
			t.Errorf("%s: %d, want %d", name, got, test.want)
		}
	}
}

func TestLettersOfAnEarlierTopicAreLeftOut(t *testing.T) {
	k := startKafka(t)
	k.produce(k.bury(k.record(1, 20, "c", good("c")), "database", "x"))
	other := ReplayOptions{TopicID: "AAAAAAAAAAAAAAAAAAAAAA"} // the topic was made anew
	if r, _ := k.replay(t.Context(), Filter{}, other); causes(r) != "1 old topic (of a topic orders that was deleted since)" || r.Left() != 1 {
		t.Error(causes(r))
	}
	other.IncludeStale = true
	if r, _ := k.replay(t.Context(), Filter{}, other); causes(r) != "1 replay (database: x)" {
		t.Error(causes(r))
	}
	if r, _ := k.replay(t.Context(), Filter{}, ReplayOptions{TopicID: k.id}); causes(r) != "1 replay (database: x)" {
		t.Error(causes(r))
	}
}
