// Command traffic offers orders at a fixed rate until its standard input ends, and
// then writes what became of them, a traffic.Result by encoding/gob.
package main

import (
	"context"
	"encoding/gob"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/ordersctl/ordersctl/e2e/traffic"
)

func main() {
	var opts traffic.Options
	flag.StringVar(&opts.Addr, "addr", "127.0.0.1:8080", "where the orders go")
	flag.Float64Var(&opts.Rate, "rate", 100, "orders a second")
	flag.IntVar(&opts.Connections, "connections", 100, "at the most")
	flag.StringVar(&opts.Name, "name", "traffic", "what order ids begin with")
	flag.Parse()
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // its end is the sign, however it comes
		cancel()
	}()
	if err := gob.NewEncoder(os.Stdout).Encode(traffic.Run(ctx, opts)); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}
