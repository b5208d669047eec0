package commands

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ordersctl/ordersctl/internal/config"
	"github.com/ordersctl/ordersctl/internal/topic"
)

type topicCreateOptions struct {
	app         *App
	cmd         *cobra.Command
	name        string // "" is the configured topic
	configs     []string
	withDLQ     bool
	ifNotExists bool
	dryRun      bool
}

func newTopicCreate(app *App, runF func(context.Context, *topicCreateOptions) error) *cobra.Command {
	opts := &topicCreateOptions{app: app}
	cmd := &cobra.Command{
		Use:   "create [TOPIC]",
		Short: "Create a topic and wait until it can be used",
		Long: `Create a topic (the configured one where none is named) and wait until every
partition has a leader.

--with-dlq creates the dead letter topic too: the configured one (dlq-topic) for
the configured topic, else TOPIC.dlq; kept for ever, with room for each record
and the reason why it is there: 64 KiB above the topic's max.message.bytes.

--if-not-exists leaves a topic that is there as it is. Where it has other
partitions, replicas or configs than were asked for, the difference is printed
and the exit code is 3. Configs that were not asked for are not compared.`,
		Example: `  ordersctl topic create
  ordersctl topic create orders -p 12 -r 3 -c min.insync.replicas=2 --with-dlq
  ordersctl topic create orders -c retention.ms=604800000 --if-not-exists
  ordersctl topic create audit -c cleanup.policy=compact,delete --dry-run`,
		Args: atMostOne("one topic"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.cmd = cmd
			if len(args) > 0 {
				opts.name = args[0]
			}
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			return runTopicCreate(cmd.Context(), opts)
		},
	}
	fs, defaults := cmd.Flags(), config.Default().NewTopic
	fs.IntP("partitions", "p", defaults.Partitions, "number of partitions")
	bind(fs, "partitions", "new-topic.partitions")
	fs.IntP("replicas", "r", defaults.Replicas, "copies of each partition, on as many brokers")
	bind(fs, "replicas", "new-topic.replicas")
	fs.StringArrayVarP(&opts.configs, "topic-config", "c", nil, "config of the topic, `key=value`; may be repeated")
	fs.BoolVar(&opts.withDLQ, "with-dlq", false, "create its dead letter topic too")
	fs.BoolVar(&opts.ifNotExists, "if-not-exists", false, "succeed where it exists as asked for; exit code 3 where it differs")
	addDryRunFlag(cmd, &opts.dryRun)
	return cmd
}

func runTopicCreate(ctx context.Context, opts *topicCreateOptions) error {
	configs, err := parseConfigs(opts.configs, "leave a config out to have the broker's default")
	if err != nil {
		return err
	}
	if opts.name != "" {
		if err := checkTopicName(opts.name); err != nil {
			return err
		}
	}
	if err := checkCreateFlags(opts.cmd.Flags()); err != nil {
		return err
	}
	return opts.app.onCluster(ctx, opts.cmd, func(c cluster) error {
		main, dlq := createWhat(opts, c.config, configs)
		if err := checkTopicName(main.Name); err != nil {
			return err
		}
		if dlq != "" {
			if err := checkTopicName(dlq); err != nil {
				return err
			}
		}
		if err := warnOfOneReplica(ctx, opts.app, c, main); err != nil {
			return err
		}
		if opts.ifNotExists {
			return ensureTopics(ctx, opts, c, main, dlq)
		}
		return createTopics(ctx, opts, c, main, dlq)
	})
}

// checkCreateFlags names the flag where the configuration would name its key,
// which is not what was typed.
func checkCreateFlags(fs *pflag.FlagSet) error {
	for _, flag := range []struct {
		name, source string
		check        func(string, int) error
	}{
		{"partitions", "-p, --partitions:", topic.CheckPartitions},
		{"replicas", "-r, --replicas:", topic.CheckReplicas},
	} {
		if n, err := fs.GetInt(flag.name); err == nil && fs.Changed(flag.name) {
			if err := flag.check(flag.source, n); err != nil {
				return usageError("", "%s", err)
			}
		}
	}
	return nil
}

// createWhat is the topic and the name of its dead letter topic, "" where none
// is wanted.
func createWhat(opts *topicCreateOptions, l *config.Loaded, configs []topic.ConfigEntry) (main topic.Spec, dlq string) {
	main = topic.Spec{Name: opts.name, Partitions: l.NewTopic.Partitions, Replicas: l.NewTopic.Replicas, Configs: configs}
	if main.Name == "" {
		main.Name = l.Topic
	}
	switch {
	case !opts.withDLQ:
		return main, ""
	case main.Name == l.Topic:
		return main, l.DLQTopic
	}
	return main, main.Name + ".dlq"
}

// createTopics checks both before it makes the first. What the dead letter
// topic must hold is known for certain once main is there, so it is asked again.
func createTopics(ctx context.Context, opts *topicCreateOptions, c cluster, main topic.Spec, dlq string) error {
	if err := topic.Check(ctx, c.Client, main); err != nil {
		return err
	}
	if dlq == "" {
		return createTopic(ctx, opts, c, main)
	}
	spec, err := dlqSpec(ctx, opts, c, main, dlq)
	if err != nil {
		return err
	}
	if err := topic.Check(ctx, c.Client, spec); err != nil {
		return err
	}
	if err := createTopic(ctx, opts, c, main); err != nil {
		return err
	}
	if !opts.dryRun {
		if spec, err = dlqSpec(ctx, opts, c, main, dlq); err != nil {
			return err
		}
	}
	return createTopic(ctx, opts, c, spec)
}

func dlqSpec(ctx context.Context, opts *topicCreateOptions, c cluster, main topic.Spec, dlq string) (topic.Spec, error) {
	spec, err := topic.DLQSpecOf(ctx, c.Client, main, dlq)
	limited := slices.ContainsFunc(spec.Configs, func(e topic.ConfigEntry) bool { return e.Key == "max.message.bytes" })
	if err == nil && opts.dryRun && !limited {
		opts.app.say("max.message.bytes of topic %s will be 64 KiB above what the brokers give topic %s; they do not tell it yet", dlq, main.Name)
	}
	return spec, err
}

func warnOfOneReplica(ctx context.Context, app *App, c cluster, s topic.Spec) error {
	if s.Replicas != 1 {
		return nil
	}
	m, err := c.BrokerMetadata(ctx)
	if err != nil {
		return err
	}
	if n := len(m.Brokers); n >= 3 {
		app.say("warning: replication 1 on a cluster of %d brokers: when one dies, its partitions and what only it had are gone; --replicas 3 keeps three copies", n)
	}
	return nil
}

func createTopic(ctx context.Context, opts *topicCreateOptions, c cluster, s topic.Spec) error {
	if opts.dryRun {
		_, err := fmt.Fprintf(opts.app.Out, "would create topic %s: %s\n", s.Name, describeSpec(s))
		return err
	}
	if err := topic.Create(ctx, c.Client, s); err != nil {
		return err
	}
	opts.app.say("created topic %s: %s", s.Name, describeSpec(s))
	return nil
}

// ensureTopics makes what is missing and compares what is there; a difference
// in one topic does not keep the other from being made.
func ensureTopics(ctx context.Context, opts *topicCreateOptions, c cluster, main topic.Spec, dlq string) error {
	drift, err := ensureTopic(ctx, opts, c, main)
	if err != nil {
		return err
	}
	specs, drifts := []topic.Spec{main}, map[string][]topic.Drift{main.Name: drift}
	if dlq != "" {
		spec, err := dlqSpec(ctx, opts, c, main, dlq)
		if err != nil {
			return err
		}
		specs = append(specs, spec)
		if drifts[dlq], err = ensureTopic(ctx, opts, c, spec); err != nil {
			return err
		}
	}
	return reportDrift(opts, specs, drifts)
}

// reportDrift prints how topics differ from what was asked for; that is a
// failure.
func reportDrift(opts *topicCreateOptions, specs []topic.Spec, drifts map[string][]topic.Drift) error {
	t := newTable("TOPIC", "SETTING", "ASKED", "IS")
	var names []string
	for _, s := range specs {
		for _, d := range drifts[s.Name] {
			t.add(s.Name, d.What, printable(d.Want), printable(d.Have))
		}
		if len(drifts[s.Name]) > 0 {
			names = append(names, s.Name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	drift := &failure{
		err:  fmt.Errorf("topic %s is not as asked for, and was left as it is", strings.Join(names, " and ")),
		hint: driftHint(names[0], drifts[names[0]]),
		code: exitCheck,
	}
	return errors.Join(t.print(opts.app.Out), drift)
}

func ensureTopic(ctx context.Context, opts *topicCreateOptions, c cluster, s topic.Spec) ([]topic.Drift, error) {
	if !opts.dryRun {
		created, drift, err := topic.Ensure(ctx, c.Client, s)
		if created {
			opts.app.say("created topic %s: %s", s.Name, describeSpec(s))
		}
		return drift, err
	}
	drift, err := topic.Compare(ctx, c.Client, s)
	var missing *topic.MissingError
	if !errors.As(err, &missing) {
		return drift, err
	}
	if err := topic.Check(ctx, c.Client, s); err != nil {
		return nil, err
	}
	return nil, createTopic(ctx, opts, c, s)
}

// driftHint is the command that makes the topic as it was asked for, as far as
// one can.
func driftHint(name string, drift []topic.Drift) string {
	cmd, rest := "", ""
	for _, d := range drift {
		switch d.What {
		case "replicas":
			rest = "replicas are moved by Kafka's kafka-reassign-partitions.sh"
		case "partitions":
			var want, have int
			_, _ = fmt.Sscan(d.Want, &want) // ours, they are numbers
			_, _ = fmt.Sscan(d.Have, &have)
			if want < have {
				rest = "partitions can't be taken away"
				continue
			}
			cmd += " -p " + d.Want
		default:
			cmd += fmt.Sprintf(" -c %s=%s", d.What, d.Want)
		}
	}
	if cmd != "" {
		cmd = fmt.Sprintf("ordersctl topic alter %s%s", name, cmd)
	}
	return strings.Trim(cmd+"; "+rest, "; ")
}
