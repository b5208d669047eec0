package commands

import (
	"fmt"
	"regexp"

	"github.com/spf13/cobra"
)

type benchCleanOptions struct {
	app *App
	run string
}

var runID = regexp.MustCompile(`^[a-z0-9]{1,32}$`)

func newBenchClean(app *App) *cobra.Command {
	opts := &benchCleanOptions{app: app}
	cmd := &cobra.Command{
		Use:   "clean RUN",
		Short: "Tell how to remove a run's orders, and what can't be removed",
		Long: `Tell how to remove a run's orders, and what can't be removed. It changes nothing
itself: what is deleted from a database or a topic is gone, and only you know who
else reads it.

RUN is the id in the first line of a summary (7f3a91c2), in the JSON, and in the id
of every order of the run.`,
		Example: "  ordersctl bench clean 7f3a91c2",
		Args:    exactly(1, "one run"),
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := app.Load(cmd)
			if err != nil {
				return err
			}
			opts.run = args[0]
			return runBenchClean(opts, l.Topic)
		},
	}
	addTopicFlag(cmd)
	return cmd
}

func runBenchClean(opts *benchCleanOptions, topic string) error {
	if !runID.MatchString(opts.run) {
		return usageError("it stands in the first line of a summary", "run %q is not 1 to 32 of a-z and 0-9", opts.run)
	}
	// No run id has a character that LIKE takes for anything but itself.
	_, err := fmt.Fprintf(opts.app.Out, `run %[1]s: its order ids begin with b-%[1]s-k, its user ids with b-%[1]s-

ROWS IN A DATABASE
  what a consumer made of the orders, in each table that has their ids:
    DELETE FROM orders WHERE id LIKE 'b-%[1]s-k%%';
  delete after the consumer has read to the end, or it makes them again. Tables that
  account for records (which were applied, which not) keep theirs: without them an
  audit would miss the records that are still in the topic.

RECORDS IN THE TOPIC
  Kafka deletes no single records. These go with the topic's retention, or with all
  that is older than them:
    ordersctl tail -t %[2]s -o :end --where 'user_id~^b-%[1]s-' -f '%%p@%%o\n'    where they are
    ordersctl topic purge %[2]s --before PARTITION@OFFSET --dry-run    what else would go

WHAT CAN'T BE REMOVED
  what consumers have done meanwhile (mails, bookings), the offsets, and copies: dead
  letters, mirrors, backups. A topic of its own for load (-t) is purged whole:
    ordersctl topic purge TOPIC
`, opts.run, topic)
	return err
}
