package client

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestOutcomeOf(t *testing.T) {
	for _, test := range []struct {
		err  error
		want Outcome
	}{
		{nil, Acked},
		{kgo.ErrRecordTimeout, NotWritten},
		{fmt.Errorf("%w, last err: %w", kgo.ErrRecordTimeout, kerr.NotLeaderForPartition), NotWritten},
		{kgo.ErrMaxBuffered, NotWritten},
		// An earlier attempt may be in the log behind each of these.
		{kgo.ErrClientClosed, Unknown},
		{kgo.ErrAborting, Unknown},
		{kgo.ErrRecordRetries, Unknown},
		{kerr.MessageTooLarge, Unknown},
		{kerr.TopicAuthorizationFailed, Unknown},
		{kerr.UnknownTopicOrPartition, Unknown},
		{kerr.NotEnoughReplicasAfterAppend, Unknown},
		{context.DeadlineExceeded, Unknown},
		{context.Canceled, Unknown},
		{errors.New("an error that nobody has seen before"), Unknown},
	} {
		if got := OutcomeOf(test.err); got != test.want {
			t.Errorf("OutcomeOf(%v) = %s, want %s", test.err, got, test.want)
		}
	}
}
