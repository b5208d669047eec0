package client

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/internal/order"
)

func TestRecorderMakesWhatToRecordMakes(t *testing.T) {
	rec := NewRecorder("orders")
	gen := order.NewGenerator(order.GeneratorOptions{Seed: 7})
	now := time.Date(2026, time.November, 22, 14, 5, 31, 204e6, time.UTC)
	seen := map[string]bool{}
	var got, want []*kgo.Record
	for i := range 1000 { // more than one block of everything
		o := gen.Next()
		if i%10 == 0 {
			now = now.Add(time.Millisecond)
		}
		r := rec.New(&o, ClientDirect, now)
		if i%2 == 0 {
			b := new(Blank)
			for _, o := range []order.Order{gen.Next(), o} { // the second over the first
				filled := order.Append(b.Value(), &o)
				key := filled[len(b.Value())+len(`{"id":"`):][:len(o.ID)]
				r = rec.Fill(b, filled, key, ClientDirect, now)
				if r.Offset != 0 || r.Context != nil || !r.Timestamp.Equal(now) {
					t.Fatalf("what the client library left is still there: %+v", r)
				}
				r.Offset, r.Context, r.Timestamp = 7, t.Context(), now.Add(time.Hour)
			}
			r.Offset, r.Context, r.Timestamp = 0, nil, time.Time{}
		}
		id := HeaderValue(r, HeaderEventID)
		u, err := uuid.Parse(id)
		if err != nil || u.Version() != 7 || u.Variant() != uuid.RFC4122 {
			t.Fatalf("event id %q is no UUIDv7: %v", id, err)
		}
		if sec, nsec := u.Time().UnixTime(); time.Unix(sec, nsec).UnixMilli() != now.UnixMilli() {
			t.Fatalf("event id %q is not of %s", id, now)
		}
		if seen[id] {
			t.Fatalf("event id %q twice", id)
		}
		seen[id] = true
		got = append(got, r)
		want = append(want, ToRecord("orders", &o, Meta{EventID: id, RequestID: id, ReceivedAt: now, Client: ClientDirect}))
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(kgo.Record{}, kgo.RecordAttrs{})); diff != "" {
		t.Errorf("records (-ToRecord +Recorder):\n%s", diff)
	}
}

func BenchmarkRecorder(b *testing.B) {
	o := order.NewGenerator(order.GeneratorOptions{}).Next()
	rec := NewRecorder("orders")
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		rec.New(&o, ClientDirect, now)
	}
}
