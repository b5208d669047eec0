//go:build e2e

package e2e

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/e2e/kafka"
)

// shared is a cluster of one broker that tests have one after the other: to
// start one takes longer than most of them. A test that harms its broker, or
// wants another one, starts its own.
var shared struct {
	sync.Mutex // held by the test that has it

	cluster *kafka.Cluster
}

// borrow gives the shared cluster, without topics and groups, for as long as
// the test runs.
func borrow(t *testing.T) *kafka.Cluster {
	t.Helper()
	shared.Lock()
	t.Cleanup(shared.Unlock)
	if shared.cluster == nil {
		k, err := kafka.Launch(t.Context(), kafka.Options{})
		if err != nil {
			t.Fatal(err)
		}
		shared.cluster = k
	}
	k := shared.cluster
	t.Cleanup(func() {
		k.Report(t)
		if err := empty(k.Bootstrap()); err != nil {
			t.Errorf("empty the shared broker: %v", err)
		}
	})
	return k
}

// empty deletes topics and groups.
func empty(brokers string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers))
	if err != nil {
		return err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	groups, err := adm.ListGroups(ctx)
	if err != nil {
		return err
	}
	for {
		topics, err := adm.ListTopics(ctx) // without Kafka's own
		if err != nil {
			return err
		}
		if len(topics) == 0 {
			break
		}
		if _, err := adm.DeleteTopics(ctx, topics.Names()...); err != nil {
			return err
		}
	}
	deleted, err := adm.DeleteGroups(ctx, groups.Groups()...)
	if err != nil {
		return err
	}
	return deleted.Error()
}

// closeShared ends it, after all tests.
func closeShared() error {
	if shared.cluster == nil {
		return nil
	}
	return shared.cluster.Close()
}
