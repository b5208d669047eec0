//go:build unix

// Command kafka runs a real Apache Kafka on free local ports until it is told to stop: for the scripts under bench/
// and for a look by hand. The first line on standard output is the bootstrap list; it comes when the brokers are
// ready. Data goes when it ends.
//
// A script builds it first ("go build -o DIR/kafka ./e2e/kafka/cmd/kafka"): "go run" does not hand SIGTERM on.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/ordersctl/ordersctl/e2e/kafka"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("kafka", flag.ContinueOnError)
	flags.SetOutput(stderr)
	var opts kafka.Options
	flags.IntVar(&opts.Brokers, "brokers", 1, "how many: 1 or 3")
	flags.BoolVar(&opts.SASL, "sasl", false, "a SASL listener too")
	flags.BoolVar(&opts.TLS, "tls", false, "a TLS listener too")
	flags.StringVar(&opts.Heap, "heap", "512m", "heap of each broker")
	classpath := flags.Bool("classpath", false, "print the class path of Kafka's tools and end")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "error: unexpected argument %q\n", flags.Arg(0))
		return 2
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if *classpath {
		err = printClasspath(ctx, stdout)
	} else {
		err = serve(ctx, opts, stdout, stderr)
	}
	if err != nil {
		fmt.Fprintln(stderr, "error:", err)
		return 1
	}
	return 0
}

func printClasspath(ctx context.Context, stdout io.Writer) error {
	path, err := kafka.Classpath(ctx)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(stdout, path)
	return err
}

func serve(ctx context.Context, opts kafka.Options, stdout, stderr io.Writer) error {
	c, err := kafka.Launch(ctx, opts)
	if err != nil {
		return err
	}
	if opts.SASL {
		fmt.Fprintf(stderr, "SASL: %s, user %s, password %s\n", c.SASLBootstrap(), kafka.User, kafka.Password)
	}
	if opts.TLS {
		fmt.Fprintf(stderr, "TLS: %s, CA %s, client %s %s\n", c.TLSBootstrap(), c.CAFile(), c.ClientCertFile(), c.ClientKeyFile())
	}
	if opts.SASL && opts.TLS {
		fmt.Fprintf(stderr, "SASL over TLS: %s\n", c.SASLTLSBootstrap())
	}
	if _, err := fmt.Fprintln(stdout, c.Bootstrap()); err != nil {
		return errors.Join(err, c.Close())
	}
	<-ctx.Done()
	return c.Close()
}
