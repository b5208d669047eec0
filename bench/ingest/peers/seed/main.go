// Command seed takes orders over HTTP the way that tutorials write it: net/http, encoding/json, confluent-kafka-go with
// its defaults, and 202 as soon as the library has the record in its buffer. Whether Kafka took it is only counted.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

type order struct {
	ID        string    `json:"id"`
	UserID    string    `json:"user_id"`
	Total     float64   `json:"total"`
	Status    string    `json:"status"`
	Timestamp time.Time `json:"timestamp"`
}

func main() {
	listen := flag.String("listen", "127.0.0.1:29000", "address of the HTTP endpoint")
	brokers := flag.String("brokers", "localhost:9092", "Kafka brokers, comma separated")
	topic := flag.String("topic", "orders", "topic")
	flag.Parse()
	if err := run(*listen, *brokers, *topic); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(listen, brokers, topic string) error {
	producer, err := kafka.NewProducer(&kafka.ConfigMap{"bootstrap.servers": brokers})
	if err != nil {
		return err
	}
	defer producer.Close()
	var failed atomic.Int64
	go func() {
		for e := range producer.Events() {
			if m, ok := e.(*kafka.Message); ok && m.TopicPartition.Error != nil {
				failed.Add(1)
			}
		}
	}()

	mux := http.NewServeMux()
	mux.HandleFunc("POST /order", func(w http.ResponseWriter, r *http.Request) {
		var o order
		if err := json.NewDecoder(r.Body).Decode(&o); err != nil || o.ID == "" {
			http.Error(w, "invalid order", http.StatusBadRequest)
			return
		}
		value, err := json.Marshal(o)
		if err != nil {
			http.Error(w, "internal error", http.StatusInternalServerError)
			return
		}
		err = producer.Produce(&kafka.Message{
			TopicPartition: kafka.TopicPartition{Topic: &topic, Partition: kafka.PartitionAny},
			Key:            []byte(o.ID),
			Value:          value,
		}, nil)
		if err != nil {
			http.Error(w, "internal error", http.StatusInternalServerError)
			return
		}
		w.WriteHeader(http.StatusAccepted)
	})
	server := &http.Server{Addr: listen, Handler: mux}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- server.ListenAndServe() }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	shut, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancel()
	err = server.Shutdown(shut)
	if left := producer.Flush(3000); left > 0 || failed.Load() > 0 {
		err = errors.Join(err, fmt.Errorf("%d records left, %d failed", left, failed.Load()))
	}
	return err
}
