package dev

import (
	"bytes"
	"context"
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
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		o := gen.Next()
		o.Timestamp = time.Now().UTC().Truncate(time.Millisecond)
		body := order.Append(nil, &o)
		if n%demoBad == 0 {
			body = bytes.Replace(body, []byte(`"total":`), []byte(`"total":"about "`), 1)
		}
		if err := post(ctx, url, body); err != nil && ctx.Err() == nil {
			log.Warn("demo order was not posted", "err", err)
		}
	}
}

func post(ctx context.Context, url string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := (&http.Client{Timeout: 15 * time.Second}).Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body) // read whole, so that the connection is used again
	return err
}
