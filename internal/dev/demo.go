package dev

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/ordersctl/ordersctl/internal/order"
)

const (
	demoEvery = 500 * time.Millisecond // slow enough to read along
	demoBad   = 12                     // every twelfth order is a bad one
	demoKeys  = 200                    // so that orders come back with another status
)

// trickle posts an order now and then, with a bad one among them, until ctx
// ends.
func trickle(ctx context.Context, url string, log *slog.Logger) {
	now := time.Now().UTC()
	gen := order.NewGenerator(order.GeneratorOptions{Seed: uint64(now.UnixNano()), Start: now, Keys: demoKeys})
	tick := time.NewTicker(demoEvery)
	defer tick.Stop()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	cl := &http.Client{Transport: transport, Timeout: 15 * time.Second}
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		o := gen.Next()
		o.Timestamp = time.Now().UTC().Truncate(time.Millisecond)
		body, want := order.Append(nil, &o), http.StatusAccepted
		if n%demoBad == 0 {
			body, want = bytes.Replace(body, []byte(`"status":"`), []byte(`"status":"?`), 1), http.StatusBadRequest
		}
		if err := post(ctx, cl, url, body, want); err != nil && ctx.Err() == nil {
			log.Warn("demo order was not posted", "err", err)
		}
	}
}

func post(ctx context.Context, cl *http.Client, url string, body []byte, want int) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := cl.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != want {
		return fmt.Errorf("%s, want %d", resp.Status, want)
	}
	_, err = io.Copy(io.Discard, resp.Body) // read whole, so that the connection is used again
	return err
}
