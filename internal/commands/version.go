package commands

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// Build says which build of ordersctl this is.
type Build struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func readBuild(version string) Build {
	b := Build{Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			b.Revision = s.Value[:min(12, len(s.Value))]
		}
	}
	if b.Version == "" && info.Main.Version != "(devel)" {
		b.Version = info.Main.Version // go install …@v1.2.3
	}
	if b.Version == "" {
		b.Version = "devel"
	}
	return b
}

type versionOptions struct {
	app    *App
	output string
}

func newVersion(app *App) *cobra.Command {
	opts := &versionOptions{app: app}
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print the version of this program",
		Args:    exactly(0, "no arguments"),
		Example: "  ordersctl version\n  ordersctl version -o json",
		RunE:    func(*cobra.Command, []string) error { return runVersion(opts) },
	}
	addOutputFlag(cmd, &opts.output, "text", "json")
	return cmd
}

func runVersion(opts *versionOptions) error {
	if err := checkOutput(opts.output, "text", "json"); err != nil {
		return err
	}
	b := opts.app.Build
	if opts.output == "json" {
		return printJSON(opts.app.Out, b)
	}
	_, err := fmt.Fprintln(opts.app.Out, b)
	return err
}

// String is the line of version and --version.
func (b Build) String() string {
	rev := ""
	if b.Revision != "" {
		rev = " (" + b.Revision + ")"
	}
	return fmt.Sprintf("ordersctl %s%s %s %s", b.Version, rev, b.Go, b.Platform)
}
