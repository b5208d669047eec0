package commands

import "github.com/spf13/cobra"

func newGroup(app *App) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "group",
		Short: "Describe a consumer group, or send it elsewhere in its topic",
		Long: `Describe a consumer group, or send it elsewhere in its topic.

Process goes by the offsets that stand in the database beside its rows; those in
Kafka only follow, for tools that show lag. Both are shown, and both are set.`,
		Example: `  ordersctl group describe
  ordersctl group seek orders-process --to 2h
  ordersctl group seek orders-process --to orders/1@884 --execute`,
	}
	asGroup(cmd)
	cmd.AddCommand(newGroupDescribe(app, nil), newGroupSeek(app, nil))
	return cmd
}
