package commands

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/ordersctl/ordersctl/internal/lag"
	"github.com/ordersctl/ordersctl/internal/sink"
	"github.com/ordersctl/ordersctl/internal/topic"
	"github.com/ordersctl/ordersctl/internal/unit"
)

type groupDescribeOptions struct {
	app    *App
	cmd    *cobra.Command
	group  string // "" is that of process
	output string
}

func newGroupDescribe(app *App, runF func(context.Context, *groupDescribeOptions) error) *cobra.Command {
	opts := &groupDescribeOptions{app: app}
	cmd := &cobra.Command{
		Use:   "describe [GROUP]",
		Short: "Show a group's members, and its offsets in Kafka and in the database",
		Long: `Show a consumer group (process's own where none is named): its state, its members
with their partitions, and per topic and partition its offsets in the database and
in Kafka, and the lag by the database's where it has some.

"ordersctl lag" shows the same group with rates.`,
		Example: `  ordersctl group describe
  ordersctl group describe other-group -o json`,
		Args: atMostOne("one group"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.cmd = cmd
			if len(args) > 0 {
				opts.group = args[0]
			}
			if runF != nil {
				return runF(cmd.Context(), opts)
			}
			return runGroupDescribe(cmd.Context(), opts)
		},
	}
	addDBFlag(cmd)
	addOutputFlag(cmd, &opts.output, "text", "wide", "json")
	return cmd
}

// groupView is a group with where it stands in each of its topics.
type groupView struct {
	lag.Group
	Topics []*lag.Report `json:"topics"`
	Gone   []string      `json:"deleted_topics"` // of which there are offsets still
}

func runGroupDescribe(ctx context.Context, opts *groupDescribeOptions) error {
	if err := checkOutput(opts.output, "text", "wide", "json"); err != nil {
		return err
	}
	return opts.app.onCluster(ctx, opts.cmd, func(c cluster) error {
		name := opts.group
		if name == "" {
			name = c.config.Process.Group
		}
		db, closeDB := opts.app.readDatabase(ctx, c.config)
		defer closeDB()
		v, err := viewGroup(ctx, c.Client, name, db)
		if err != nil {
			return err
		}
		if opts.output == "json" {
			return printJSON(opts.app.Out, v)
		}
		return printGroup(opts.app.Out, v, opts.output == "wide")
	})
}

func viewGroup(ctx context.Context, adm *kadm.Client, name string, db sink.Store) (*groupView, error) {
	g, err := lag.DescribeGroup(ctx, adm, name)
	if err != nil {
		return nil, err
	}
	topics, err := groupTopics(ctx, adm, g, db)
	if err != nil {
		return nil, err
	}
	if len(topics) == 0 && !g.Exists() {
		return nil, noSuchGroup(ctx, adm, name)
	}
	v := &groupView{Group: g, Topics: []*lag.Report{}, Gone: []string{}}
	for _, t := range topics {
		o := lag.Options{Group: name, Topic: t}
		if db != nil {
			o.Database = db
		}
		look, err := lag.Take(ctx, adm, o)
		var missing *topic.MissingError
		switch {
		case errors.As(err, &missing):
			v.Gone = append(v.Gone, t)
		case err != nil:
			return nil, err
		default:
			v.Topics = append(v.Topics, lag.Between(nil, look))
		}
	}
	return v, nil
}

// groupTopics are those that the group has offsets of or a member reads.
func groupTopics(ctx context.Context, adm *kadm.Client, g lag.Group, db sink.Store) ([]string, error) {
	found := map[string]bool{}
	commits, err := lag.Commits(ctx, adm, g.Name)
	if err != nil {
		return nil, err
	}
	for t := range commits {
		found[t] = true
	}
	for _, m := range g.Members {
		for t := range m.Partitions {
			found[t] = true
		}
	}
	if db != nil {
		if rows, err := db.Committed(ctx, g.Name); err == nil {
			for _, r := range rows {
				found[r.Topic] = true
			}
		}
	}
	var names []string
	for t := range found {
		names = append(names, t)
	}
	slices.Sort(names)
	return names, nil
}

func noSuchGroup(ctx context.Context, adm *kadm.Client, name string) error {
	hint := ""
	if listed, err := adm.ListGroups(ctx); err == nil {
		switch near := unit.Nearest(name, listed.Groups()); {
		case near != "":
			hint = fmt.Sprintf("did you mean %q?", near)
		case len(listed) == 0:
			hint = "there is none at all: process makes its own when it starts"
		default:
			hint = "there are: " + strings.Join(listed.Groups(), ", ")
		}
	}
	return failed(hint, "there is no group %q", name)
}

func printGroup(w io.Writer, v *groupView, wide bool) error {
	var b strings.Builder
	head := []string{"group " + printable(v.Name), members(v.Group)}
	if v.Protocol != "" {
		head = append(head, printable(v.Protocol))
	}
	if v.Exists() {
		head = append(head, fmt.Sprintf("coordinator broker %d", v.Coordinator))
	}
	b.WriteString(strings.Join(head, "   ") + "\n")
	if len(v.Members) > 0 {
		b.WriteString("\n")
		if err := memberTable(v.Group, wide).print(&b); err != nil {
			return err
		}
	}
	for _, r := range v.Topics {
		b.WriteString("\n")
		if err := offsetTable(r).print(&b); err != nil {
			return err
		}
		for _, p := range r.Problems {
			fmt.Fprintf(&b, "! %s\n", printable(p))
		}
		fmt.Fprintf(&b, "LAG is %s\n", offsetsBy(r))
	}
	for _, t := range v.Gone {
		fmt.Fprintf(&b, "\n! there are offsets of topic %s, which is not there any more\n", printable(t))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func memberTable(g lag.Group, wide bool) *table {
	head := []string{"MEMBER", "HOST", "PARTITIONS"}
	if wide {
		head = append(head, "CLIENT-ID", "INSTANCE", "MEMBER-ID")
	}
	t := newTable(head...)
	for _, m := range g.Members {
		var parts []string
		for name, numbers := range m.Partitions {
			parts = append(parts, printable(name)+"/"+topic.JoinIDs(numbers))
		}
		slices.Sort(parts)
		row := []string{printable(m.Short()), printable(m.Host), dash(strings.Join(parts, " "))}
		if wide {
			row = append(row, printable(m.ClientID), dash(printable(m.InstanceID)), printable(m.ID))
		}
		t.add(row...)
	}
	return t
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func offsetTable(r *lag.Report) *table {
	t := newTable("TOPIC", "PART", ">START", ">DATABASE", ">KAFKA", ">END", ">LAG", "MEMBER")
	for _, p := range r.Partitions {
		member := "-"
		if p.Member != nil {
			member = printable(p.Member.Short())
		}
		t.add(r.Topic, fmt.Sprint(p.Partition), orDash(p.Start), orDash(p.Database), orDash(p.Kafka), orDash(p.End), orDash(p.Lag), member)
	}
	t.add(r.Topic, "all", "", "", "", "", orDash(r.All.Lag), "")
	return t
}
