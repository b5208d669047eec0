package process

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/internal/sink"
)

// gapError is an offset of the database that is not in the log.
type gapError struct {
	topic            string
	partition        int32
	next, start, end int64
}

func (e *gapError) Error() string {
	if e.next > e.end {
		return fmt.Sprintf("the log of %s/%d ends at %d, the database has records up to %d: Kafka has lost %d of them", e.topic, e.partition, e.end, e.next-1, e.next-e.end)
	}
	return fmt.Sprintf("the log of %s/%d begins at %d, the database wants %d next: %d records are missing that were never applied", e.topic, e.partition, e.start, e.next, e.start-e.next)
}

// Hint is the next step.
func (e *gapError) Hint() string {
	if e.next > e.end {
		return "offsets will be given to other records than those that the database has: find out what Kafka lost before anything is applied"
	}
	return fmt.Sprintf("retention or a purge took them; --on-offset-gap skip books %s/%d@%d..%d as missing and goes on", e.topic, e.partition, e.next, e.start-1)
}

// madeAnewError is a topic whose name stands for another one now.
type madeAnewError struct{ topic, group, had, now string }

func (e *madeAnewError) Error() string {
	return fmt.Sprintf("topic %s was deleted and made anew: its id is %s, the offsets of group %s in the database are of %s", e.topic, e.now, e.group, e.had)
}

// Hint is the next step.
func (e *madeAnewError) Hint() string {
	return "its records are other ones under the same offsets: consume it with another --group, or into another database (--db)"
}

// lossError is what the client found out about records that Kafka lost.
type lossError struct {
	topic string
	loss  *kgo.ErrDataLoss
}

func (e *lossError) Error() string {
	return fmt.Sprintf("Kafka has lost records of %s/%d: it was read up to %d and ends at %d now", e.topic, e.loss.Partition, e.loss.ConsumedTo, e.loss.ResetTo)
}

// Hint is the next step.
func (e *lossError) Hint() string {
	return "was an unclean leader elected? find out what is lost before anything more is applied"
}

// Unwrap gives the cause.
func (e *lossError) Unwrap() error { return e.loss }

// positionError says that the client did not go where it was sent.
type positionError struct {
	partition int32
	next      int64
}

func (e *positionError) Error() string {
	return fmt.Sprintf("the Kafka client did not go to offset %d of partition %d", e.next, e.partition)
}

// Hint is the next step.
func (e *positionError) Hint() string { return "start again: nothing was read from a wrong place" }

// kafkaError tells Kafka's faults from the database's.
type kafkaError struct{ err error }

func (e *kafkaError) Error() string { return e.err.Error() }
func (e *kafkaError) Unwrap() error { return e.err }

// blame says why a partition has to wait after an error, and counts those of
// the database.
func (w *Worker) blame(err error) string {
	var (
		kafka  *kafkaError
		letter *letterError
	)
	switch {
	case errors.As(err, &letter):
		return pausedLetters
	case errors.As(err, &kafka):
		return pausedKafka
	}
	class := sink.ClassOf(err)
	w.metrics.dbErrors.WithLabelValues(string(class)).Inc()
	if class == sink.ClassDeploy {
		return pausedDeploy
	}
	return pausedOutage
}

// say logs an error that holds a partition up: a misdeployment loudly, others
// as warnings, and none of them over and over.
func (w *Worker) say(reason string, err error, args ...any) {
	if w.again(reason + err.Error()) {
		return
	}
	level, msg := slog.LevelWarn, "waiting for Kafka"
	switch reason {
	case pausedDeploy:
		level, msg = slog.LevelError, "the database is not as it should be, nothing is applied until it is"
	case pausedOutage:
		msg = "waiting for the database"
	case pausedLetters:
		level, msg = slog.LevelError, "dead letters can't be written, nothing is applied until they can"
	}
	args = append(args, "err", err)
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) && hinted.Hint() != "" {
		args = append(args, "hint", hinted.Hint())
	}
	w.log.Log(context.Background(), level, msg, args...) //nolint:forbidigo // slog wants one
}

// again tells whether this was logged just now.
func (w *Worker) again(what string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if last, told := w.told[what]; told && time.Since(last) < sayEvery {
		return true
	}
	if len(w.told) > 100 { // errors with numbers in them
		clear(w.told)
	}
	w.told[what] = time.Now()
	return false
}

// sayEvery is how often the same error is logged.
const sayEvery = 10 * time.Second
