// Command sink measures ways to write orders to a database; bench/sink/run says which and how.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"time"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) } //nolint:forbidigo // a program of its own

type options struct {
	repeats, batches int
	ways             string
	postgres         string
	dir              string
	profile          string
}

func run(args []string, stdout, stderr io.Writer) int {
	var o options
	flags := flag.NewFlagSet("sink", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&o.repeats, "repeats", 5, "how often each way is measured")
	flags.IntVar(&o.batches, "batches", 60, "batches of 1000 for each worker")
	flags.StringVar(&o.ways, "ways", "postgres sqlite", "which databases")
	flags.StringVar(&o.postgres, "postgres", "", "URL of a PostgreSQL database whose tables may be emptied")
	flags.StringVar(&o.dir, "dir", "", "where SQLite's files go")
	flags.StringVar(&o.profile, "profile", "", "write a CPU profile of the store's share here")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt) //nolint:forbidigo // as above
	defer stop()
	if err := measure(ctx, o, stdout); err != nil {
		fmt.Fprintln(stderr, "error:", err)
		return 1
	}
	return 0
}

func measure(ctx context.Context, o options, out io.Writer) error {
	if strings.Contains(o.ways, "postgres") {
		for _, workers := range []int{1, 3} {
			p, err := newPostgres(ctx, o, workers)
			if err != nil {
				return err
			}
			err = compare(ctx, out, o, fmt.Sprintf("postgres, workers %d", workers), p.ways())
			if err = errors.Join(err, p.close()); err != nil {
				return err
			}
		}
	}
	if strings.Contains(o.ways, "sqlite") {
		return compare(ctx, out, o, "sqlite", liteWays(o))
	}
	return nil
}

// way writes what each worker has, and says how many orders that were.
type way struct {
	name    string
	prepare func(context.Context) error
	write   func(ctx context.Context) (orders int, err error)
}

// compare measures the ways in turns; the second one is the limit.
func compare(ctx context.Context, out io.Writer, o options, title string, ways []way) error {
	rates := make([][]float64, len(ways))
	for range o.repeats {
		for i, w := range ways {
			rate, err := one(ctx, o, w)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", title, w.name, err)
			}
			rates[i] = append(rates[i], rate)
		}
	}
	limit := median(rates[1])
	fmt.Fprintf(out, "%s\n", title)
	for i, w := range ways {
		m := median(rates[i])
		fmt.Fprintf(out, "  %-6s %9.0f orders/s   %6.3f of the limit   store is %6.1f times it   (%.0f to %.0f)\n",
			w.name, m, m/limit, median(rates[0])/m, slices.Min(rates[i]), slices.Max(rates[i]))
	}
	return nil
}

func one(ctx context.Context, o options, w way) (rate float64, err error) {
	if err := w.prepare(ctx); err != nil {
		return 0, err
	}
	if o.profile != "" && w.name == "store" {
		f, err := os.Create(o.profile)
		if err != nil {
			return 0, err
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			return 0, errors.Join(err, f.Close())
		}
		defer func() {
			pprof.StopCPUProfile()
			err = errors.Join(err, f.Close())
		}()
	}
	start := time.Now()
	n, err := w.write(ctx)
	return float64(n) / time.Since(start).Seconds(), err
}

func median(list []float64) float64 {
	sorted := slices.Sorted(slices.Values(list))
	return sorted[len(sorted)/2]
}

// together runs do for each worker at the same time.
func together(workers int, do func(worker int) error) error {
	var wg sync.WaitGroup
	errs := make([]error, workers)
	for w := range workers {
		wg.Go(func() { errs[w] = do(w) })
	}
	wg.Wait()
	return errors.Join(errs...)
}
