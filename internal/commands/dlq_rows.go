package commands

import (
	"context"
	"fmt"
	"slices"

	"github.com/ordersctl/ordersctl/internal/dlq"
	"github.com/ordersctl/ordersctl/internal/sink"
	"github.com/ordersctl/ordersctl/internal/topic"
)

// orderRows opens the database for reading, as far as letters need it. Where it
// can't be had, why says so: Kafka alone is enough for all else. So it is where
// the database is not the one that the topic is read into, such as dev's on a
// machine from which another cluster is looked at: what it does not hold says
// nothing then.
func (a *App) orderRows(ctx context.Context, l *letters) (rows dlq.Rows, done func(), why error) {
	none := func() {}
	store, cfg, err := a.openDB(ctx, l.config)
	if err != nil {
		return nil, none, err
	}
	done = func() { _ = store.Close() } // it was only read
	name := l.config.Topic
	id, _, err := topic.Exists(ctx, l.queue.Admin(), name)
	if err == nil {
		var offsets []sink.Committed
		offsets, err = store.Committed(ctx, "")
		if err == nil && !slices.ContainsFunc(offsets, func(c sink.Committed) bool { return c.TopicID == topic.FormatID(id) }) {
			err = fmt.Errorf("%s has no offsets of topic %s (id %s): it is not the database that this topic is read into", cfg.URL, name, topic.FormatID(id))
		}
	}
	if err != nil {
		done()
		return nil, none, err
	}
	return store, done, nil
}
