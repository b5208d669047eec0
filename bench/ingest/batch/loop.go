//go:build unix

package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/internal/client"
)

// loop produces straight to Kafka with the settings that all of ordersctl produces with. It ends with a flush, which
// is part of the time.
func loop(ctx context.Context, o options) (result, error) {
	kafka, err := client.Dial(ctx, o.kafka, slog.New(slog.DiscardHandler), kgo.MaxBufferedRecords(o.buffered), kgo.MaxBufferedBytes(64<<20))
	if err != nil {
		return result{}, err
	}
	defer kafka.Close()
	var acked, failed atomic.Int64
	var failure atomic.Pointer[error]
	promise := func(_ *kgo.Record, err error) {
		if err != nil {
			failed.Add(1)
			failure.Store(&err)
			return
		}
		acked.Add(1)
	}
	orders := templates(o.run, o.size)
	start, n := time.Now(), int64(0)
	for time.Since(start) < o.duration && ctx.Err() == nil {
		sent := newSending()
		for i := range orders {
			kafka.Produce(ctx, sent.record(o.topic, &orders[i], i, n), promise)
			n++
		}
	}
	if err := kafka.Flush(ctx); err != nil {
		return result{}, fmt.Errorf("flush: %w", err)
	}
	r := result{acked: acked.Load(), lost: failed.Load(), took: time.Since(start)}
	if err := failure.Load(); err != nil {
		return r, fmt.Errorf("%d records were not acknowledged, one of them: %w", r.lost, *err)
	}
	return r, nil
}

// sending is what the records of one request to serve have in common.
type sending struct {
	contentType, schemaVersion, receivedAt, requestID, client []byte
}

func newSending() sending {
	return sending{
		contentType:   []byte("application/json"),
		schemaVersion: []byte("1"),
		receivedAt:    time.Now().UTC().AppendFormat(nil, time.RFC3339Nano),
		requestID:     appendID(nil),
		client:        []byte(client.ClientAnonymous),
	}
}

// record is what serve's POST /orders makes of the order, with one allocation for its bytes.
func (s sending) record(topic string, t *template, index int, n int64) *kgo.Record {
	size := len(t.value)
	b := append(make([]byte, 0, size+36+len(s.requestID)+8), t.value...)
	number(b, t.key+t.keyLen, n)
	event := len(b)
	b = appendID(b)
	request := len(b)
	b = strconv.AppendInt(append(append(b, s.requestID...), '.'), int64(index), 10)
	return &kgo.Record{
		Topic: topic,
		Key:   b[t.key : t.key+t.keyLen],
		Value: b[:size:size],
		Headers: []kgo.RecordHeader{
			{Key: client.HeaderContentType, Value: s.contentType},
			{Key: client.HeaderEventID, Value: b[event:request]},
			{Key: client.HeaderSchemaVersion, Value: s.schemaVersion},
			{Key: client.HeaderReceivedAt, Value: s.receivedAt},
			{Key: client.HeaderRequestID, Value: b[request:]},
			{Key: client.HeaderClient, Value: s.client},
		},
	}
}

// appendID appends 36 characters that compress as a UUIDv7 does: the time, then chance.
func appendID(dst []byte) []byte {
	ms, x, y := uint64(time.Now().UnixMilli()), rand.Uint64(), rand.Uint64()
	raw := [16]byte{
		byte(ms >> 40), byte(ms >> 32), byte(ms >> 24), byte(ms >> 16), byte(ms >> 8), byte(ms), 0x70 | byte(x>>8)&0xf, byte(x),
		0x80 | byte(y>>56)&0x3f, byte(y >> 48), byte(y >> 40), byte(y >> 32), byte(y >> 24), byte(y >> 16), byte(y >> 8), byte(y),
	}
	at := 0
	for _, n := range []int{4, 2, 2, 2, 6} {
		if at > 0 {
			dst = append(dst, '-')
		}
		dst = hex.AppendEncode(dst, raw[at:at+n])
		at += n
	}
	return dst
}
