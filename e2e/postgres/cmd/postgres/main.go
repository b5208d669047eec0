//go:build unix

// Command postgres runs a real PostgreSQL on a free local port until it is told to stop: for the scripts under bench/
// and for a look by hand. The first line on standard output is its URL; it comes when the server is ready. Data goes
// when it ends.
//
// A script builds it first ("go build -o DIR/postgres ./e2e/postgres/cmd/postgres"): "go run" does not hand SIGTERM on.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/ordersctl/ordersctl/e2e/postgres"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("postgres", flag.ContinueOnError)
	flags.SetOutput(stderr)
	var opts postgres.Options
	flags.BoolVar(&opts.Fsync, "fsync", true, "wait for the disk at each commit")
	flags.Func("setting", "NAME=VALUE of its configuration; may be repeated", func(s string) error {
		if !strings.Contains(s, "=") {
			return errors.New("want NAME=VALUE")
		}
		opts.Settings = append(opts.Settings, s)
		return nil
	})
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, opts, stdout); err != nil {
		fmt.Fprintln(stderr, "error:", err)
		return 1
	}
	return 0
}

func serve(ctx context.Context, opts postgres.Options, stdout io.Writer) error {
	s, err := postgres.Launch(ctx, opts)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(stdout, s.URL("postgres")); err != nil {
		return errors.Join(err, s.Close())
	}
	<-ctx.Done()
	return s.Close()
}
