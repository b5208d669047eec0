package topic

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ordersctl/ordersctl/internal/unit"
)

// Alteration is what should change in a topic.
type Alteration struct {
	Name       string
	Partitions int           // 0 leaves them
	Set        []ConfigEntry // configs with their new values
	Reset      []string      // configs that go back to the broker's default
	Force      bool          // more partitions although a group has lag
}

// Change is one line of a Plan.
type Change struct {
	What string `json:"what"` // "partitions" or the key of a config
	From string `json:"from"`
	To   string `json:"to"`
}

// Plan is what an Alteration does to the topic as it is. No Changes: it is so
// already.
type Plan struct {
	Topic   string   `json:"topic"`
	Changes []Change `json:"changes"`
	// Moved is the share of keys that more partitions move, from 0 to 1.
	Moved   float64  `json:"keys_moved_share"`
	Readers []Reader `json:"groups"`

	from    int // partitions
	to      int
	configs []kadm.AlterConfig
}

// Grows tells whether the plan adds partitions.
func (p *Plan) Grows() bool { return p.to > p.from }

// Barrier is the end of a partition that was there before more were added: what
// lies before it was placed by the old count.
type Barrier struct {
	Partition int32 `json:"partition"`
	Offset    int64 `json:"offset"`
}

// LagError refuses more partitions while groups still have records to read
// that were placed by the old count.
type LagError struct {
	Topic   string
	Readers []Reader // those with lag
	Err     error    // set where the groups could not be looked at
}

func (e *LagError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("add partitions to topic %s: whether a group has lag is not known: %v", e.Topic, e.Err)
	}
	var parts []string
	for _, r := range e.Readers {
		parts = append(parts, fmt.Sprintf("group %s is %d records behind", r.Group, r.Lag))
	}
	return fmt.Sprintf("add partitions to topic %s: %s, and keys that move would overtake their older events", e.Topic, strings.Join(parts, ", "))
}

// Unwrap gives the cause.
func (e *LagError) Unwrap() error { return e.Err }

// Hint is the next step.
func (e *LagError) Hint() string {
	return "pause the producers until the groups are at the end; --force goes on without"
}

// PlanAlter finds out what a does and lets the broker check it; nothing is
// changed yet.
func PlanAlter(ctx context.Context, adm *kadm.Client, a Alteration) (*Plan, error) {
	_, d, err := find(ctx, adm, a.Name)
	if err != nil {
		return nil, err
	}
	plan := &Plan{Topic: a.Name, Changes: []Change{}, Readers: []Reader{}, from: len(d.Partitions), to: len(d.Partitions)}
	if len(a.Set)+len(a.Reset) > 0 {
		have, err := configsOf(ctx, adm, a.Name)
		if err != nil {
			return nil, err
		}
		if err := plan.addConfigs(a, have); err != nil {
			return nil, err
		}
	}
	if a.Partitions > 0 {
		if err := plan.addPartitions(ctx, adm, a, d); err != nil {
			return nil, err
		}
	}
	return plan, plan.check(ctx, adm)
}

func (p *Plan) addConfigs(a Alteration, have []kadm.Config) error {
	known := make([]string, len(have))
	at := map[string]kadm.Config{}
	for i, c := range have {
		known[i], at[c.Key] = c.Key, c
	}
	for _, key := range append(keys(a.Set), a.Reset...) {
		// A broker that does not list what it does not know (Kafka lists all)
		// is asked by check.
		if near := unit.Nearest(key, known); len(have) > 0 && !slices.Contains(known, key) && near != "" {
			return &BrokerError{Op: "alter", Topic: a.Name, Err: fmt.Errorf("unknown config %q", key), Next: fmt.Sprintf("did you mean %s?", near)}
		}
	}
	isOwn := func(c kadm.Config) bool { return c.Source == kmsg.ConfigSourceDynamicTopicConfig }
	for _, want := range a.Set {
		c, ok := at[want.Key]
		if ok && isOwn(c) && !c.Sensitive && sameValue(want.Key, c.MaybeValue(), want.Value) {
			continue
		}
		p.Changes = append(p.Changes, Change{want.Key, shown(c, ok), want.Value})
		p.configs = append(p.configs, kadm.AlterConfig{Op: kadm.SetConfig, Name: want.Key, Value: &want.Value})
	}
	for _, key := range a.Reset {
		c, ok := at[key]
		if ok && !isOwn(c) {
			continue
		}
		p.Changes = append(p.Changes, Change{key, shown(c, ok), "default" + defaultOf(c)})
		p.configs = append(p.configs, kadm.AlterConfig{Op: kadm.DeleteConfig, Name: key})
	}
	return nil
}

func keys(entries []ConfigEntry) []string {
	out := make([]string, len(entries))
	for i, e := range entries {
		out[i] = e.Key
	}
	return out
}

func shown(c kadm.Config, known bool) string {
	switch {
	case !known || c.Value == nil && !c.Sensitive:
		return "-"
	case c.Sensitive:
		return "***"
	}
	return c.MaybeValue()
}

// defaultOf is what holds once a topic's own value is gone, " (1)".
func defaultOf(c kadm.Config) string {
	for _, s := range c.Synonyms {
		if s.Source != kmsg.ConfigSourceDynamicTopicConfig && s.Value != nil {
			return fmt.Sprintf(" (%s)", *s.Value)
		}
	}
	return ""
}

func (p *Plan) addPartitions(ctx context.Context, adm *kadm.Client, a Alteration, d kadm.TopicDetail) error {
	if a.Partitions < p.from {
		return &BrokerError{
			Op: "alter", Topic: a.Name,
			Err:  fmt.Errorf("it has %d partitions, and Kafka can't make them %d: partitions are never taken away", p.from, a.Partitions),
			Next: "create another topic with fewer partitions and send the orders there",
		}
	}
	if a.Partitions == p.from {
		return nil
	}
	p.to = a.Partitions
	p.Moved = MovedShare(p.from, p.to)
	p.Changes = append(p.Changes, Change{"partitions", strconv.Itoa(p.from), strconv.Itoa(p.to)})
	return p.checkLag(ctx, adm, a.Force, d)
}

func (p *Plan) checkLag(ctx context.Context, adm *kadm.Client, force bool, d kadm.TopicDetail) error {
	logs, err := fullSpans(ctx, adm, d)
	if err != nil {
		return err
	}
	found, err := readers(ctx, adm, p.Topic, logs)
	if err != nil && !force {
		return &LagError{Topic: p.Topic, Err: err}
	}
	p.Readers = append([]Reader{}, found...)
	behind := slices.DeleteFunc(slices.Clone(found), func(r Reader) bool { return r.Lag == 0 })
	if len(behind) > 0 && !force {
		slices.SortFunc(behind, func(a, b Reader) int { return cmp.Compare(b.Lag, a.Lag) })
		return &LagError{Topic: p.Topic, Readers: behind}
	}
	return nil
}

// check lets the broker say whether it would do it.
func (p *Plan) check(ctx context.Context, adm *kadm.Client) error {
	if len(p.configs) > 0 {
		rs, err := adm.ValidateAlterTopicConfigs(ctx, p.configs, p.Topic)
		if err := p.configError(rs, err); err != nil {
			return err
		}
	}
	if p.Grows() {
		rs, err := adm.ValidateUpdatePartitions(ctx, p.to, p.Topic)
		return p.partitionsError(rs, err)
	}
	return nil
}

// Apply does what the plan says. Where partitions are added it gives the ends
// of the old ones, measured right before: see [Barrier]. Configs come first;
// with an error behind them they are changed.
func (p *Plan) Apply(ctx context.Context, adm *kadm.Client) ([]Barrier, error) {
	if len(p.configs) > 0 {
		rs, err := adm.AlterTopicConfigs(ctx, p.configs, p.Topic)
		if err := p.configError(rs, err); err != nil {
			return nil, err
		}
	}
	if !p.Grows() {
		return nil, nil
	}
	_, d, err := find(ctx, adm, p.Topic)
	if err != nil {
		return nil, err
	}
	if len(d.Partitions) != p.from {
		return nil, &BrokerError{Op: "alter", Topic: p.Topic, Err: fmt.Errorf("it has %d partitions by now, it had %d: someone else is changing it", len(d.Partitions), p.from)}
	}
	barriers, err := measureBarriers(ctx, adm, d)
	if err != nil {
		return nil, err
	}
	rs, err := adm.UpdatePartitions(ctx, p.to, p.Topic)
	if err := p.partitionsError(rs, err); err != nil {
		return nil, err
	}
	return barriers, awaitLeaders(ctx, adm, p.Topic, p.to)
}

func measureBarriers(ctx context.Context, adm *kadm.Client, d kadm.TopicDetail) ([]Barrier, error) {
	ends, err := listOffsets(ctx, d, adm.ListEndOffsets)
	if err != nil {
		return nil, err
	}
	var out []Barrier
	for _, p := range d.Partitions.Sorted() {
		end, ok := ends[p.Partition]
		if !ok {
			return nil, &BrokerError{Op: "alter", Topic: d.Topic, Err: fmt.Errorf("the end of partition %d is not known", p.Partition)}
		}
		out = append(out, Barrier{p.Partition, end})
	}
	return out, nil
}

func (p *Plan) configError(rs kadm.AlterConfigsResponses, err error) error {
	if err != nil {
		return &BrokerError{Op: "alter", Topic: p.Topic, Err: err}
	}
	r, err := rs.On(p.Topic, nil)
	if err = errors.Join(err, r.Err); err != nil {
		return &BrokerError{Op: "alter", Topic: p.Topic, Err: err, Msg: r.ErrMessage}
	}
	return nil
}

func (p *Plan) partitionsError(rs kadm.CreatePartitionsResponses, err error) error {
	if err != nil {
		return &BrokerError{Op: "add partitions to", Topic: p.Topic, Err: err}
	}
	r, err := rs.On(p.Topic, nil)
	if err = errors.Join(err, r.Err); err != nil {
		return &BrokerError{Op: "add partitions to", Topic: p.Topic, Err: err, Msg: r.ErrMessage}
	}
	return nil
}

// MovedShare is the share of keys that live in another partition when from
// partitions become to. A key lives in its hash modulo the count; of the
// lcm(from,to) residues, which are equally likely, a hash keeps its place in
// one for each of min(from,to): gcd/max in all.
func MovedShare(from, to int) float64 {
	if from < 1 || to < 1 {
		return 0
	}
	return 1 - float64(gcd(from, to))/float64(max(from, to))
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
