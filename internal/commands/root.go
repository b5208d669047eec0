package commands

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ordersctl/ordersctl/internal/config"
)

const (
	groupRun   = "run"
	groupKafka = "kafka"
	groupDB    = "db"
	groupTool  = "tool"
)

func newRoot(app *App) *cobra.Command {
	root := &cobra.Command{
		Use:   "ordersctl",
		Short: "Run and load-test an order pipeline on Apache Kafka",
		Long: `ordersctl runs and load-tests an order pipeline on Apache Kafka: HTTP -> Kafka ->
database.

"ordersctl dev" runs the whole pipeline in this process, with nothing to install.
Against a real cluster, name it with --brokers, the environment
(ORDERSCTL_KAFKA_BROKERS) or a configuration file (config.example.yaml).`,
		Example: `  ordersctl dev
  ordersctl topic create orders --brokers kafka-1:9092
  ordersctl serve
  ordersctl process --db postgres://orders@db.prod/orders
  ordersctl send --id order-001 --user u1 --total 149.99
  ordersctl tail --from-beginning`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	asGroup(root)
	root.Version = app.Build.Version
	root.SetVersionTemplate(app.Build.String() + "\n")
	root.CompletionOptions.HiddenDefaultCmd = false
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError(seeHelp(cmd), "%s", err)
	})
	root.AddGroup(
		&cobra.Group{ID: groupRun, Title: "Run the pipeline:"},
		&cobra.Group{ID: groupKafka, Title: "Work with Kafka:"},
		&cobra.Group{ID: groupDB, Title: "Work with the database:"},
		&cobra.Group{ID: groupTool, Title: "About this program:"},
	)
	root.SetHelpCommandGroupID(groupTool)
	root.SetCompletionCommandGroupID(groupTool)

	defaults := config.Default()
	fs := root.PersistentFlags()
	fs.StringVar(&app.global.config, "config", "", "configuration file (default ./ordersctl.yaml, then the user's)")
	fs.StringVar(&app.global.context, "context", "", "context of the configuration file")
	fs.StringSliceP("brokers", "b", defaults.Kafka.Brokers, "Kafka brokers, host:port, comma separated")
	bind(fs, "brokers", "kafka.brokers")
	fs.BoolVarP(&app.global.verbose, "verbose", "v", false, "say more on stderr (log.level debug)")
	fs.String("log-format", defaults.Log.Format, "log as text or json")
	bind(fs, "log-format", "log.format")
	fs.BoolVar(&app.global.noColor, "no-color", false, "no colour (also NO_COLOR)")
	root.SetGlobalNormalizationFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if name == "bootstrap-server" || name == "bootstrap-servers" {
			name = "brokers"
		}
		return pflag.NormalizedName(name)
	})
	root.PersistentPreRun = func(*cobra.Command, []string) {
		if app.global.noColor {
			app.Color = false
		}
	}

	add := func(group string, cmds ...*cobra.Command) {
		for _, c := range cmds {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add(groupRun, newDev(app, nil), newServe(app, nil), newProcess(app, nil))
	add(groupKafka, newTopic(app), newSend(app, nil), newTail(app, nil), newBench(app, nil), newDLQ(app))
	add(groupDB, newDB(app))
	add(groupTool, newConfig(app), newVersion(app))
	return root
}

// asGroup makes a command that only holds others: alone it shows its help, and
// a word that it does not know is an error with the nearest one.
func asGroup(cmd *cobra.Command) {
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		hint := seeHelp(cmd)
		for wrong := 1; wrong <= 2; wrong++ { // letters; a beginning will do too
			cmd.SuggestionsMinimumDistance = wrong
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
				hint = fmt.Sprintf("did you mean %s?", strings.Join(near, " or "))
				break
			}
		}
		return usageError(hint, "unknown command %q for %q", args[0], cmd.CommandPath())
	}
}

// addTopicFlag gives a command -t/--topic.
func addTopicFlag(cmd *cobra.Command) {
	cmd.Flags().StringP("topic", "t", config.Default().Topic, "topic")
	bind(cmd.Flags(), "topic", "topic")
}

// addOutputFlag gives a command -o/--output with the formats it knows, the
// first one the default.
func addOutputFlag(cmd *cobra.Command, into *string, formats ...string) {
	cmd.Flags().StringVarP(into, "output", "o", formats[0], "output format: "+strings.Join(formats, ", "))
}

func checkOutput(format string, formats ...string) error {
	for _, f := range formats {
		if f == format {
			return nil
		}
	}
	return usageError("", "output format %q is none of %s", format, strings.Join(formats, ", "))
}
