package lag

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// maxAdmin is more than /metrics and /status ever have.
const maxAdmin = 4 << 20

// Process is what a process answers to GET /status of its admin port.
type Process struct {
	Group      string     `json:"group"`
	Topic      string     `json:"topic"`
	TopicID    string     `json:"topic_id"`
	State      string     `json:"state"`  // running, draining, ended
	Reason     string     `json:"reason"` // of the whole: kafka, error
	Detail     string     `json:"detail"`
	DLQBreaker string     `json:"dlq_breaker"` // on, off; "" of one that does not tell
	Partitions []Standing `json:"partitions"`
}

// Standing is how one partition of it stands.
type Standing struct {
	Partition int32      `json:"partition"`
	State     string     `json:"state"` // claiming, running, paused
	Reason    string     `json:"reason"`
	Detail    string     `json:"detail"`
	Since     *time.Time `json:"since"`
}

// Answer is what one admin port said.
type Answer struct {
	Addr    string
	At      time.Time
	Err     error    // nobody answers there; the rest is empty
	Process *Process // nil where no process runs there
	Metrics Metrics  // nil where it has none
}

// Metrics are the families of /metrics by name.
type Metrics map[string]*dto.MetricFamily

// Ask asks admin ports, all at the same time, host:port; without a host it is
// this machine.
func Ask(ctx context.Context, addrs []string, timeout time.Duration) []Answer {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	cl := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answers := make([]Answer, len(addrs))
	var all sync.WaitGroup
	for i, addr := range addrs {
		all.Go(func() { answers[i] = ask(ctx, cl, Reachable(addr)) })
	}
	all.Wait()
	return answers
}

// Reachable is where an address can be asked that is listened on.
func Reachable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		return net.JoinHostPort("localhost", port)
	}
	return listen
}

func ask(ctx context.Context, cl *http.Client, addr string) Answer {
	a := Answer{Addr: addr}
	var process Process
	err := get(ctx, cl, "http://"+addr+"/status", func(body io.Reader) error {
		return json.NewDecoder(body).Decode(&process)
	})
	switch {
	case err == nil && process.Group != "":
		a.Process = &process
	case err != nil && !errors.Is(err, errNoSuchPage):
		a.Err = err
		return a
	}
	err = get(ctx, cl, "http://"+addr+"/metrics", func(body io.Reader) error {
		parser := expfmt.NewTextParser(model.UTF8Validation)
		families, err := parser.TextToMetricFamilies(body)
		a.Metrics = families
		return err
	})
	if err != nil && !errors.Is(err, errNoSuchPage) {
		a.Err = err
	}
	a.At = time.Now()
	return a
}

// errNoSuchPage is an answer, but not of what was asked for: an edge has no
// /status.
var errNoSuchPage = errors.New("no such page")

func get(ctx context.Context, cl *http.Client, url string, read func(io.Reader) error) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := cl.Do(req)
	if err != nil {
		return plain(err)
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusNotFound:
		return errNoSuchPage
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("%s is answered %d", url, resp.StatusCode)
	}
	if err := read(io.LimitReader(resp.Body, maxAdmin)); err != nil {
		return fmt.Errorf("%s: %w", url, err)
	}
	return nil
}

// plain is a network's error without the address, which stands beside it.
func plain(err error) error {
	var (
		op      *net.OpError
		timeout interface{ Timeout() bool }
	)
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		return errors.New("no answer in time")
	case errors.As(err, &op):
		return op.Err
	}
	return err
}

// Sum adds up a family's series whose label has that value; any series with
// label "". ok is false where there is no such family.
func (m Metrics) Sum(name, label, value string) (sum float64, ok bool) {
	f := m[name]
	if f == nil {
		return 0, false
	}
	for _, s := range f.GetMetric() {
		if label != "" && labelOf(s, label) != value {
			continue
		}
		switch {
		case s.GetCounter() != nil:
			sum += s.GetCounter().GetValue()
		case s.GetGauge() != nil:
			sum += s.GetGauge().GetValue()
		}
	}
	return sum, true
}

func labelOf(m *dto.Metric, name string) string {
	for _, l := range m.GetLabel() {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}

// Histogram is the counts of a family's buckets by their upper bounds.
func (m Metrics) Histogram(name string) map[float64]uint64 {
	f := m[name]
	if f == nil {
		return nil
	}
	counts := map[float64]uint64{}
	for _, s := range f.GetMetric() {
		for _, b := range s.GetHistogram().GetBucket() {
			counts[b.GetUpperBound()] += b.GetCumulativeCount()
		}
	}
	return counts
}
