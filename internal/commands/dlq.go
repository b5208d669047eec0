package commands

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/config"
	"github.com/ordersctl/ordersctl/internal/dlq"
	"github.com/ordersctl/ordersctl/internal/unit"
)

func newDLQ(app *App) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dlq",
		Short: "List, show, replay, export and discard dead letters",
		Long: `List, show, replay, export and discard dead letters: records that "process" could
not apply, kept in a topic of their own (dlq-topic) with the reason.

A letter is open until it is replayed or discarded; that is a mark beside it, and
nothing is deleted. It is named by its place: orders.dlq/1@884, or 1@884. Kafka
alone is enough; with the database it is also said which letters are stale.`,
		Example: `  ordersctl dlq list --since 6h
  ordersctl dlq show 1@884
  ordersctl dlq export --reason '/total*' > letters.ndjson
  ordersctl dlq replay --input letters.ndjson --execute`,
	}
	asGroup(cmd)
	cmd.AddCommand(
		newDLQList(app, nil), newDLQShow(app, nil), newDLQReplay(app, nil),
		newDLQExport(app, nil), newDLQDiscard(app, nil),
	)
	return cmd
}

// selection is which letters are meant.
type selection struct {
	letters []string
	reasons []string
	classes []string
	key     string
	keySet  bool
	since   string
	from    string
	to      string
}

func addSelectionFlags(cmd *cobra.Command, s *selection) {
	fs := cmd.Flags()
	fs.StringArrayVar(&s.reasons, "reason", nil, "only letters whose reason matches this `PATTERN` (* and ?; repeatable)")
	fs.StringSliceVar(&s.classes, "class", nil, "only letters of these `classes`, comma separated: decode, validation, database, ...")
	fs.StringVar(&s.key, "key", "", "only letters of this order or key (`ID`)")
	fs.StringVar(&s.since, "since", "", "only letters written since this `TIME` or for this age (2h); as --from")
	fs.StringVar(&s.from, "from", "", "only letters written at this `TIME` or later")
	fs.StringVar(&s.to, "to", "", "only letters written before this `TIME`")
}

// isEmpty tells that every letter is meant.
func (s *selection) isEmpty() bool {
	return len(s.letters)+len(s.reasons)+len(s.classes) == 0 && !s.keySet && s.since+s.from+s.to == ""
}

// filter reads the flags and arguments.
func (s *selection) filter(cmd *cobra.Command, args []string, dlqTopic string, now time.Time) (dlq.Filter, error) {
	s.letters, s.keySet = args, cmd.Flags().Changed("key")
	f := dlq.Filter{Classes: s.classes}
	if err := notEmpty(cmd, "class", "since", "from", "to", "input", "output-file"); err != nil {
		return f, err
	}
	if s.keySet {
		f.Key = &s.key
	}
	for _, text := range s.letters {
		p, err := dlq.ParsePlace(text, dlqTopic)
		if err != nil {
			return f, usageError(`"ordersctl dlq list" shows their names; the topic is dlq-topic of the configuration`, "%s", err)
		}
		f.Letters = append(f.Letters, p)
	}
	for _, text := range s.reasons {
		g, err := dlq.ParseGlob(text)
		if err != nil {
			return f, usageError("", "--reason: %s", err)
		}
		f.Reasons = append(f.Reasons, g)
	}
	if s.since != "" && s.from != "" {
		return f, usageError("leave one of them out", "--since and --from both say where to begin")
	}
	for _, bound := range []struct {
		flag, text string
		into       *time.Time
	}{{"since", s.since, &f.From}, {"from", s.from, &f.From}, {"to", s.to, &f.To}} {
		if bound.text == "" {
			continue
		}
		at, _, err := unit.ParseTime(bound.text, now)
		if err != nil {
			return f, usageError("", "--%s: %s", bound.flag, err)
		}
		*bound.into = at
	}
	if !f.To.IsZero() && !f.From.Before(f.To) {
		return f, usageError("", "--to %s is not after the beginning", s.to)
	}
	return f, nil
}

// letters is what every dlq command works with.
type letters struct {
	config *config.Loaded
	client *kgo.Client
	queue  *dlq.Queue
	filter dlq.Filter
}

// onLetters loads the configuration, reads the selection, dials and runs do.
func (a *App) onLetters(ctx context.Context, cmd *cobra.Command, args []string, s *selection, do func(*letters) error) error {
	l, err := a.Load(cmd)
	if err != nil {
		return err
	}
	f, err := s.filter(cmd, args, l.DLQTopic, a.now())
	if err != nil {
		return err
	}
	opts, err := dlq.ClientOptions(l.Kafka, l.DLQTopic)
	if err != nil {
		return err
	}
	cl, err := a.Dial(ctx, l, opts...)
	if err != nil {
		return err
	}
	defer cl.Close()
	q, err := dlq.OpenQueue(ctx, cl, l.DLQTopic, l.Order)
	if err != nil {
		return explainTopic(err, l)
	}
	return explainTopic(do(&letters{l, cl, q, f}), l)
}

// notCompacted refuses to mark letters where a mark would delete others.
func (l *letters) notCompacted(ctx context.Context) error {
	if !l.queue.Compacted(ctx) {
		return nil
	}
	name := l.config.DLQTopic
	return failed("ordersctl topic alter "+shellWord(name)+" -c cleanup.policy=delete",
		"topic %s is compacted: a letter's mark would delete every letter of its key", name)
}

// patience is how long the last answers of a run are waited for: until the
// client has given up on each record and its mark.
func patience(cfg client.Config) time.Duration {
	return 2*(cfg.DeliveryTimeout+cfg.RequestTimeout) + time.Second
}

// teller says lines that come from several goroutines, and no more than a
// screen of them.
type teller struct {
	app *App

	mu   sync.Mutex
	said int // guarded by mu
}

const maxTold = 20

func (t *teller) tell(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.said++; t.said <= maxTold {
		t.app.say("%s", printable(line))
	}
}

// waiting tells whoever presses Ctrl-C why it does not end at once. The function
// that it gives ends that, before anything else is said.
func (t *teller) waiting(ctx context.Context) (stop func()) {
	said := make(chan struct{})
	cancel := context.AfterFunc(ctx, func() {
		defer close(said)
		t.tell("ending: waiting for the answers to what was handed over; a second Ctrl-C does not wait")
	})
	return func() {
		if !cancel() {
			<-said
		}
	}
}

// end says how many lines were kept back.
func (t *teller) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.said > maxTold {
		t.app.say("%s more of these", thousands(int64(t.said-maxTold)))
	}
}

// dayTime leaves out the day where it is today.
func dayTime(t, now time.Time) string {
	if t.Format(time.DateOnly) == now.Format(time.DateOnly) {
		return t.Format(time.TimeOnly)
	}
	return t.Format("2006-01-02 15:04")
}

// cutText shortens a text to so many characters.
func cutText(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-3]) + "..."
	}
	return s
}

// shellWord quotes what a shell would take apart.
func shellWord(s string) string {
	if s != "" && !strings.ContainsAny(s, " \t\n'\"\\$`*?[]{}()<>|&;#~!") {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// perTime is "2.1/s", "4.2/min" or "3.1/h", what reads best; "" of less than a
// second, the time of a batch or two.
func perTime(n int, over time.Duration) string {
	if n < 2 || over < time.Second {
		return ""
	}
	r := float64(n) / over.Seconds()
	for _, u := range []struct {
		name    string
		seconds float64
	}{{"s", 1}, {"min", 60}} {
		if r*u.seconds >= 1 {
			return figure(r*u.seconds) + "/" + u.name
		}
	}
	return figure(r*3600) + "/h"
}
