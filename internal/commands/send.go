package commands

import "github.com/spf13/cobra"

// Placeholder so that the package builds; the real file replaces this one.
func newSend(app *App, _ any) *cobra.Command { return &cobra.Command{Use: "send"} }
