package process

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/internal/sink"
)

// stoodSince is since when partition 0 stands still, zero where it does not.
func (r *running) stoodSince() time.Time {
	for _, p := range r.Status().Partitions {
		if p.Partition == 0 && p.Since != nil {
			return *p.Since
		}
	}
	return time.Time{}
}

// A database that tells where it stands and takes nothing: a table is gone, the
// disk is full. Nothing goes on until it has taken something.
func TestAPauseLastsUntilABatchIsWritten(t *testing.T) {
	t.Parallel()
	k := startKafka(t, 1)
	k.send(many(8, func(int) *kgo.Record { return good(0, "a", "paid") })...)
	for name, fault := range map[string]*sink.Error{
		"a table that is gone": {Err: errors.New("relation orders does not exist"), Class: sink.ClassDeploy},
		"a full disk":          {Err: errors.New("disk full"), Class: sink.ClassOutage},
		// These are read again, in smaller batches: 8, 4, 2, 1.
		"batches that take too long": {Err: context.DeadlineExceeded, Class: sink.ClassOutage},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var failed atomic.Int32
			var healthy atomic.Bool
			f := newFold()
			f.hook = func(_ context.Context, b *sink.Batch) error {
				if b == nil || healthy.Load() {
					return nil
				}
				failed.Add(1)
				return fault
			}
			w := k.start(f, func(o *Options) { o.Group = name })
			until(t, "it stands still", func() bool { return !w.stoodSince().IsZero() })
			first := w.stoodSince()
			for n := int32(2); n < 5; n++ {
				until(t, "it is tried again, and stands still", func() bool { return failed.Load() >= n && w.paused(0) != "" })
				if since := w.stoodSince(); !since.Equal(first) {
					t.Fatalf("it stands still since %s, and was said to since %s", since, first)
				}
			}
			if log := w.log.String(); strings.Contains(log, "going on") {
				t.Errorf("nothing goes on:\n%s", log)
			}
			healthy.Store(true)
			until(t, "it goes on", func() bool { return f.at(0) == 8 && w.paused(0) == "" })
			if n := strings.Count(w.log.String(), "going on"); n != 1 {
				t.Errorf("it says %d times that it goes on", n)
			}
		})
	}
}
