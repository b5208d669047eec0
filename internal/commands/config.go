package commands

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ordersctl/ordersctl/internal/config"
)

func newConfig(app *App) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Show the configuration and choose a context",
		Long: `Show the configuration and choose a context.

A value comes from the first of: flag, environment (ORDERSCTL_ and the key in
upper case, "." and "-" as "_"), context, file, default. The file is --config,
else ./ordersctl.yaml, else ordersctl/ordersctl.yaml in the user's config folder.`,
		Example: "  ordersctl config show\n  ordersctl config use stage",
	}
	asGroup(cmd)
	cmd.AddCommand(newConfigShow(app), newConfigPath(app), newConfigList(app), newConfigUse(app))
	return cmd
}

type configOptions struct {
	app    *App
	cmd    *cobra.Command
	output string
}

func newConfigShow(app *App) *cobra.Command {
	opts := &configOptions{app: app}
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Show every value in force and where it comes from",
		Long:  `Show every value in force and where it comes from. Secrets are shown as "***".`,
		Args:  exactly(0, "no arguments"),
		Example: `  ordersctl config show
  ordersctl config show --context stage -o json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			opts.cmd = cmd
			return runConfigShow(opts)
		},
	}
	addOutputFlag(cmd, &opts.output, "text", "json")
	return cmd
}

func runConfigShow(opts *configOptions) error {
	if err := checkOutput(opts.output, "text", "json"); err != nil {
		return err
	}
	l, err := opts.app.Load(opts.cmd)
	if err != nil && l == nil {
		return err
	}
	// With values that don't fit together show what there is, and then say so:
	// this is the command that one looks for the mistake with.
	entries := l.Entries()
	if opts.output == "json" {
		return errors.Join(printJSON(opts.app.Out, entries), err)
	}
	t := newTable("KEY", "VALUE", "SOURCE")
	for _, e := range entries {
		value := fmt.Sprint(e.Value)
		if list, ok := e.Value.([]string); ok {
			value = strings.Join(list, ",")
		}
		if value == "" {
			value = "-"
		}
		t.add(e.Key, printable(value), e.Source)
	}
	return errors.Join(t.print(opts.app.Out), err)
}

func newConfigPath(app *App) *cobra.Command {
	opts := &configOptions{app: app}
	return &cobra.Command{
		Use:     "path",
		Short:   "Print the file that is read",
		Args:    exactly(0, "no arguments"),
		Example: "  ordersctl config path",
		RunE: func(cmd *cobra.Command, _ []string) error {
			opts.cmd = cmd
			return runConfigPath(opts)
		},
	}
}

func runConfigPath(opts *configOptions) error {
	l, err := opts.app.Load(opts.cmd)
	if err != nil && l == nil {
		return err
	}
	if l.File == "" {
		return failed("copy config.example.yaml to one of: ./ordersctl.yaml, "+filepath.Join(opts.app.Sources.UserDir, "ordersctl.yaml"), "no configuration file is there: defaults and environment hold")
	}
	_, printErr := fmt.Fprintln(opts.app.Out, l.File)
	return errors.Join(printErr, err)
}

func newConfigList(app *App) *cobra.Command {
	opts := &configOptions{app: app}
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the contexts; * marks the one in use",
		Args:    exactly(0, "no arguments"),
		Example: "  ordersctl config list",
		RunE: func(cmd *cobra.Command, _ []string) error {
			opts.cmd = cmd
			return runConfigList(opts)
		},
	}
	addOutputFlag(cmd, &opts.output, "text", "json")
	return cmd
}

type contextView struct {
	Name  string `json:"name"`
	InUse bool   `json:"in_use"`
	From  string `json:"chosen_by,omitempty"`
}

func runConfigList(opts *configOptions) error {
	if err := checkOutput(opts.output, "text", "json"); err != nil {
		return err
	}
	l, err := opts.app.Load(opts.cmd)
	if l == nil {
		return err
	}
	var views []contextView
	for _, name := range append([]string{config.DefaultContext}, l.Contexts...) {
		v := contextView{Name: name, InUse: name == l.Context}
		if v.InUse {
			v.From = l.ContextFrom
		}
		views = append(views, v)
	}
	if opts.output == "json" {
		return errors.Join(printJSON(opts.app.Out, views), err)
	}
	t := newTable("", "CONTEXT", "CHOSEN BY")
	for _, v := range views {
		mark := ""
		if v.InUse {
			mark = "*"
		}
		t.add(mark, v.Name, v.From)
	}
	return errors.Join(t.print(opts.app.Out), err)
}

func newConfigUse(app *App) *cobra.Command {
	opts := &configOptions{app: app}
	return &cobra.Command{
		Use:   "use CONTEXT",
		Short: "Choose the context of later commands",
		Long: `Choose the context of later commands. The name is kept in a file beside the
user's configuration; the configuration itself is not written. "default" is the
file without any context. --context and ORDERSCTL_CONTEXT go before it.`,
		Args:    exactly(1, "one context"),
		Example: "  ordersctl config use stage\n  ordersctl config use default",
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.cmd = cmd
			return runConfigUse(opts, args[0])
		},
	}
}

func runConfigUse(opts *configOptions, name string) error {
	app := opts.app
	// The one in use may be the very mistake: look at the file without it.
	app.global.context = config.DefaultContext
	l, err := app.Load(opts.cmd)
	if l == nil {
		return err
	}
	if name != config.DefaultContext && !slices.Contains(l.Contexts, name) {
		have := strings.Join(append([]string{config.DefaultContext}, l.Contexts...), ", ")
		return usageError("choose one of "+have, "no context %q in %s", name, orNone(l.File))
	}
	if err := config.Use(app.Sources, name); err != nil {
		return err
	}
	app.say("context %s is in use", name)
	return nil
}

func orNone(file string) string {
	if file == "" {
		return "any configuration file (none is there)"
	}
	return file
}
