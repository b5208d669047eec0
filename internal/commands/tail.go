package commands

import "github.com/spf13/cobra"

// Placeholder so that the package builds; the real file replaces this one.
func newTail(app *App, _ any) *cobra.Command { return &cobra.Command{Use: "tail"} }
