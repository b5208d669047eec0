package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestOutcomeOf(t *testing.T) {
	produced := time.Now()
	noLeader := fmt.Errorf("%w, last err: %w", kgo.ErrRecordTimeout, kerr.NotLeaderForPartition)
	for _, test := range []struct {
		err  error
		lost time.Duration // when a reply was lost, after the record was handed over; 0 for never
		want Outcome
	}{
		{err: nil, want: Acked},
		{err: kgo.ErrRecordTimeout, want: NotWritten},
		{err: noLeader, want: NotWritten},
		{err: kgo.ErrMaxBuffered, want: NotWritten},
		{err: noLeader, lost: -time.Second, want: NotWritten},
		{err: kgo.ErrMaxBuffered, lost: time.Second, want: NotWritten},
		// The first attempt may be in the log: nobody heard what became of it.
		{err: kgo.ErrRecordTimeout, lost: time.Second, want: Unknown},
		{err: noLeader, lost: time.Second, want: Unknown},
		// An earlier attempt may be in the log behind each of these.
		{err: kgo.ErrClientClosed, want: Unknown},
		{err: kgo.ErrAborting, want: Unknown},
		{err: kgo.ErrRecordRetries, want: Unknown},
		{err: kerr.MessageTooLarge, want: Unknown},
		{err: kerr.TopicAuthorizationFailed, want: Unknown},
		{err: kerr.UnknownTopicOrPartition, want: Unknown},
		{err: kerr.NotEnoughReplicasAfterAppend, want: Unknown},
		{err: context.DeadlineExceeded, want: Unknown},
		{err: context.Canceled, want: Unknown},
		{err: errors.New("an error that nobody has seen before"), want: Unknown},
	} {
		w := new(witness)
		if test.lost != 0 {
			w.lost.Store(produced.Add(test.lost).UnixNano())
		}
		cl, err := kgo.NewClient(kgo.WithHooks(w))
		if err != nil {
			t.Fatal(err)
		}
		if got := OutcomeOf(cl, &kgo.Record{Timestamp: produced}, test.err); got != test.want {
			t.Errorf("OutcomeOf(%v), a reply lost %s after it: %s, want %s", test.err, test.lost, got, test.want)
		}
		cl.Close()
	}
}

func TestEveryClientHasAWitness(t *testing.T) {
	cfg := DefaultConfig()
	cl, err := New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if got := OutcomeOf(cl, &kgo.Record{Timestamp: time.Now()}, kgo.ErrRecordTimeout); got != NotWritten {
		t.Errorf("by a client of ours: %s", got)
	}
	bare, err := kgo.NewClient()
	if err != nil {
		t.Fatal(err)
	}
	defer bare.Close()
	if got := OutcomeOf(bare, &kgo.Record{Timestamp: time.Now()}, kgo.ErrRecordTimeout); got != Unknown {
		t.Errorf("by a client that nobody watched: %s", got)
	}
}

func TestAWitnessSeesLostReplies(t *testing.T) {
	for name, c := range map[string]struct {
		key  kmsg.Key
		e2e  kgo.BrokerE2E
		want bool
	}{
		"answered":                  {kmsg.Produce, kgo.BrokerE2E{BytesWritten: 10, BytesRead: 10}, false},
		"the reply never came":      {kmsg.Produce, kgo.BrokerE2E{BytesWritten: 10, ReadErr: io.EOF}, true},
		"a part of it was written":  {kmsg.Produce, kgo.BrokerE2E{BytesWritten: 3, WriteErr: io.ErrClosedPipe}, true},
		"nothing was written":       {kmsg.Produce, kgo.BrokerE2E{WriteErr: io.ErrClosedPipe}, false},
		"of a request for metadata": {kmsg.Metadata, kgo.BrokerE2E{BytesWritten: 10, ReadErr: io.EOF}, false},
	} {
		w := new(witness)
		w.OnBrokerE2E(kgo.BrokerMetadata{}, int16(c.key), c.e2e)
		if got := w.lost.Load() != 0; got != c.want {
			t.Errorf("%s: lost %t, want %t", name, got, c.want)
		}
	}
}
