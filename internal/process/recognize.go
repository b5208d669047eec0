package process

import (
	"context"
	"slices"

	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/lag"
	"github.com/ordersctl/ordersctl/internal/sink"
)

// recognize warns where the group has been in this topic and the database knows
// nothing of it: it is probably another one than the topic is read into. It is
// asked before the database has offsets of ours; where somebody does not answer
// that is said elsewhere, and asked again.
func (w *Worker) recognize(ctx context.Context) {
	if w.recognized.Load() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, w.opts.Kafka.ConnectTimeout)
	defer cancel()
	// Kafka first: what it has the database had before.
	kafka, err := lag.Commits(ctx, client.Admin(w.admin), w.opts.Group)
	if err != nil {
		return
	}
	rows, err := w.store.Committed(ctx, w.opts.Group)
	if err != nil {
		return
	}
	w.recognized.Store(true)
	known := slices.ContainsFunc(rows, func(c sink.Committed) bool { return c.Topic == w.opts.Topic })
	if n := len(kafka[w.opts.Topic]); n > 0 && !known {
		w.log.Warn("the database has no offsets of this group, and Kafka has: the topic was probably read into another one, and is read from the beginning",
			"group", w.opts.Group, "topic", w.opts.Topic, "partitions", n,
			"hint", "is --db the one that this topic is read into? members of one group share one database")
	}
}
