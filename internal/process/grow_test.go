package process

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// A topic is given more partitions while it is read: they are read soon, not
// when the library looks for news of itself, after minutes.
func TestPartitionsThatAreAddedAreReadSoon(t *testing.T) {
	t.Parallel()
	k := startKafka(t, 1)
	f := newFold()
	w := k.start(f)
	k.send(good(0, "a", "paid"))
	until(t, "it runs", func() bool { return f.at(0) == 1 })
	rs, err := k.adm().CreatePartitions(t.Context(), 2, "orders")
	if err == nil {
		err = rs.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
	k.cl = k.dial(kgo.RecordPartitioner(kgo.ManualPartitioner())) // this one has not seen them either
	k.send(good(1, "b", "paid"), good(2, "c", "paid"), good(2, "c", "shipped"))
	until(t, "what came before they were seen is applied too", func() bool { return f.at(1) == 1 && f.at(2) == 2 })
	k.agrees(w.Worker, f)
	if age := w.kafka.OptValue(kgo.MetadataMaxAge); age != 30*time.Second {
		t.Errorf("where nothing tells of them they are seen after %v", age)
	}
}
