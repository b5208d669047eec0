package commands

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/config"
	"github.com/ordersctl/ordersctl/internal/topic"
)

func newTopic(app *App) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "topic",
		Short: "Create, describe, change and delete topics",
		Long: `Create, describe, change and delete topics.

What changes or deletes something asks first; off a terminal it needs --yes, and
in a protected context the topic's name (--confirm). Each of these has --dry-run.`,
		Example: `  ordersctl topic create orders --partitions 6
  ordersctl topic describe orders
  ordersctl topic list`,
	}
	asGroup(cmd)
	cmd.AddCommand(
		newTopicCreate(app, nil), newTopicList(app, nil), newTopicDescribe(app, nil),
		newTopicAlter(app, nil), newTopicPurge(app, nil), newTopicDelete(app, nil),
	)
	return cmd
}

// consent is how a command was told that its user means it.
type consent struct {
	yes     bool
	confirm string
	dryRun  bool
}

func addConsentFlags(cmd *cobra.Command, c *consent) {
	cmd.Flags().BoolVarP(&c.yes, "yes", "y", false, "do not ask")
	cmd.Flags().StringVar(&c.confirm, "confirm", "", "in a protected context: the topic's name, instead of being asked for it")
	addDryRunFlag(cmd, &c.dryRun)
}

func addDryRunFlag(cmd *cobra.Command, dryRun *bool) {
	cmd.Flags().BoolVar(dryRun, "dry-run", false, "let the broker check it and say what would be done; change nothing")
}

// cluster is a contact made: the configuration, and what speaks to Kafka.
type cluster struct {
	*kadm.Client
	config *config.Loaded
}

// onCluster loads the configuration, dials, and runs do. What Kafka answered
// badly is explained.
func (a *App) onCluster(ctx context.Context, cmd *cobra.Command, do func(cluster) error) error {
	l, err := a.Load(cmd)
	if err != nil {
		return err
	}
	cl, err := a.Dial(ctx, l)
	if err != nil {
		return err
	}
	defer cl.Close()
	return explainTopic(do(cluster{client.Admin(cl), l}), l)
}

// explainTopic explains what has no hint of its own yet, and keeps the topic's
// name in it.
func explainTopic(err error, l *config.Loaded) error {
	var (
		hinted    interface{ Hint() string }
		explained *client.Error
		broker    *topic.BrokerError
	)
	if err == nil || errors.As(err, &hinted) && hinted.Hint() != "" {
		return err
	}
	out := client.Explain(err, l.Kafka)
	if !errors.As(out, &explained) || !errors.As(err, &broker) {
		return out
	}
	return &failure{err: fmt.Errorf("%s: %w", broker.Doing(), out), hint: explained.Next, code: explained.Code}
}

func checkTopicName(name string) error {
	if err := topic.ValidateName(name); err != nil {
		return usageError("", "%s", err)
	}
	return nil
}

// parseConfigs reads the values of -c.
func parseConfigs(list []string, resetHint string) ([]topic.ConfigEntry, error) {
	entries, err := topic.ParseConfigEntries(list)
	if err != nil {
		return nil, usageError(resetHint, "-c: %s", err)
	}
	return entries, nil
}

// describeSpec is "3 partitions, replication 1, retention.ms=-1".
func describeSpec(s topic.Spec) string {
	parts := []string{count(s.Partitions, "partition"), fmt.Sprintf("replication %d", s.Replicas)}
	for _, c := range s.Configs {
		parts = append(parts, c.Key+"="+c.Value)
	}
	return strings.Join(parts, ", ")
}

// count is "1 partition", "3 partitions", "1,204 records".
func count[N int | int64](n N, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return thousands(int64(n)) + " " + noun
}

// orDash is a number with separators, "-" where it is not known.
func orDash(n *int64) string {
	if n == nil {
		return "-"
	}
	return thousands(*n)
}

// describeReaders is "group a (Stable, 310 records behind), b (Empty)".
func describeReaders(readers []topic.Reader) string {
	if len(readers) == 0 {
		return "no group"
	}
	parts := make([]string, len(readers))
	for i, r := range readers {
		state := strings.ToLower(r.State)
		if r.Lag > 0 {
			state += ", " + count(r.Lag, "record") + " behind"
		}
		parts[i] = fmt.Sprintf("%s (%s)", printable(r.Group), strings.TrimPrefix(state, ", "))
	}
	word := "group "
	if len(readers) > 1 {
		word = "groups "
	}
	return word + strings.Join(parts, ", ")
}

// planWriter is where a plan goes: it is the answer to --dry-run, else talk.
func (a *App) planWriter(dryRun bool) io.Writer {
	if dryRun {
		return a.Out
	}
	return a.Err
}
