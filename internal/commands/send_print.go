package commands

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"github.com/ordersctl/ordersctl/internal/client"
	"github.com/ordersctl/ordersctl/internal/send"
)

// sendNamed is how many bad lines, and how many failed orders, are named one
// by one. The rest is in --rejects and in -o json.
const sendNamed = 20

// sendTalk says what became of the orders: receipts on stdout, what went wrong
// and the verdict on stderr.
type sendTalk struct {
	opts *sendOptions
	in   *sendInput
	bar  *sendBar // nil without a terminal

	mu       sync.Mutex // guards all below: reports and ticks come from several goroutines
	out      *bufio.Writer
	outErr   error // stdout takes no more
	rejected int64
	failed   int64
}

func newSendTalk(o *sendOptions, in *sendInput) *sendTalk {
	t := &sendTalk{opts: o, in: in, out: bufio.NewWriterSize(o.app.Out, 64<<10)}
	if o.app.ErrTTY && !o.oneSet {
		t.bar = newSendBar(o, in)
	}
	return t
}

// say writes to stderr, above the bar where there is one.
func (t *sendTalk) say(format string, args ...any) {
	w := t.opts.app.Err
	if t.bar != nil {
		w = t.bar.progress
	}
	_, _ = fmt.Fprintf(w, format+"\n", args...) // stderr gone: nobody is left to tell
}

func (t *sendTalk) report(rec send.Receipt) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.opts.dryRun && rec.Outcome == client.Acked {
		return // nothing was sent
	}
	if t.opts.wait != nil {
		t.opts.wait.saw(rec)
	}
	switch {
	case t.opts.output == "json":
		t.printJSON(rec)
	case rec.Outcome == client.Acked && t.opts.oneSet:
		t.print(receiptLine(rec))
	}
	switch {
	case rec.Rejected:
		if t.rejected++; t.named(t.rejected) {
			t.say("%s: %s", printable(rec.At.String()), printable(rec.Error))
		}
	case rec.Outcome != client.Acked && !rec.Halted:
		if t.failed++; t.named(t.failed) {
			t.say("%s", t.failure(rec))
		}
	}
}

func (t *sendTalk) note(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.say("note: %s", printable(text))
}

// named tells whether the nth failure is named: all of them, but a screen has
// room for some.
func (t *sendTalk) named(n int64) bool { return !t.opts.app.ErrTTY || n <= sendNamed }

// receiptLine is "order-001  orders/2@17".
func receiptLine(rec send.Receipt) string {
	place := "-"
	switch {
	case rec.Offset != nil:
		place = fmt.Sprintf("%s/%d@%d", rec.Topic, *rec.Partition, *rec.Offset)
	case rec.Enqueued:
		place = "enqueued"
	}
	return printable(rec.ID) + "  " + printable(place)
}

func (t *sendTalk) failure(rec send.Receipt) string {
	where := ""
	if rec.At.File != "" {
		where = rec.At.String() + ": "
	}
	names := ""
	if rec.EventID != "" {
		names = ", event " + rec.EventID
	}
	if rec.RequestID != "" && rec.RequestID != rec.EventID {
		names += ", request " + rec.RequestID
	}
	return printable(fmt.Sprintf("%sorder %s is %s: %s%s", where, rec.ID, rec.Outcome, rec.Error, names))
}

func (t *sendTalk) printJSON(rec send.Receipt) {
	b, err := json.Marshal(rec)
	if err != nil {
		t.outErr = errors.Join(t.outErr, err)
		return
	}
	t.print(string(b))
}

// print goes on without stdout when that breaks: the orders matter more than
// the telling.
func (t *sendTalk) print(line string) {
	if t.outErr != nil {
		return
	}
	_, t.outErr = t.out.WriteString(line + "\n")
}

func (t *sendTalk) tick(s send.Stats) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.flush()
	if t.bar != nil {
		t.bar.set(s)
	}
}

func (t *sendTalk) flush() {
	if t.outErr == nil {
		t.outErr = t.out.Flush()
	}
}

// end says how it went. err is why the run ended early, nil where it did not.
func (t *sendTalk) end(ctx context.Context, sum send.Summary, err error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.flush()
	if t.bar != nil {
		t.bar.stop()
		t.bar = nil
	}
	if more := t.rejected - sendNamed; !t.named(t.rejected) {
		t.say("and %s more that are not orders", thousands(more))
	}
	if more := t.failed - sendNamed; !t.named(t.failed) {
		t.say("and %s more that were not acknowledged (-o json names each)", thousands(more))
	}
	o := t.opts
	if err == nil && o.piped && sum.Taken+sum.Rejected == 0 {
		return usageError("name an order by flags (--total 149.99), files (orders.ndjson), or --count N for made-up ones",
			"no orders given: nothing came on the standard input")
	}
	interrupted := err != nil && ctx.Err() != nil
	if err != nil && !interrupted {
		printError(o.app.Err, err) // what follows is the verdict, and that comes last
	}
	if t.outErr != nil && !errors.Is(t.outErr, syscall.EPIPE) {
		t.say("error: write receipts: %s", t.outErr)
	}
	if o.wait != nil && o.wait.stopped && o.wait.left > 0 {
		interrupted = true
	}
	code := t.code(sum, err, interrupted)
	if o.oneSet && code == exitOK {
		if o.wait != nil {
			t.say("%s", o.wait.verdict())
		}
		return nil
	}
	if err != nil {
		t.sayResume(sum, interrupted)
	} else if sum.Rejected > 0 && o.rejects == "" {
		t.say("hint: --rejects FILE keeps what is not an order; mend it there and send that file")
	}
	t.say("%s", t.verdict(sum, code, interrupted))
	if code == exitOK {
		return nil
	}
	return &doneError{code: code}
}

// code is the exit code: a failed item counts before an interruption.
func (t *sendTalk) code(sum send.Summary, err error, interrupted bool) int {
	broken := t.outErr != nil && !errors.Is(t.outErr, syscall.EPIPE)
	switch {
	case t.opts.wait != nil && t.opts.wait.failed():
		return exitFailed
	case sum.Rejected+sum.Unknown > 0 || t.failed > 0 || broken || err != nil && !interrupted:
		return exitFailed
	case interrupted:
		return exitInterrupted
	}
	return exitOK
}

// sayResume tells where to go on.
func (t *sendTalk) sayResume(sum send.Summary, interrupted bool) {
	at := sum.Resume
	word := "ended"
	if interrupted {
		word = "interrupted"
	}
	if sum.Taken+sum.Rejected == 0 {
		t.say("%s before anything was sent", word)
		return
	}
	if at.N == 0 || t.opts.dryRun || t.opts.oneSet {
		t.say("%s", word)
		return
	}
	except := ""
	switch {
	case !t.named(t.rejected) || !t.named(t.failed):
		except = ", but for failures that -o json names one by one"
	case sum.Rejected > 0 || t.failed > 0:
		except = " or named above"
	}
	t.say("%s: everything before %s is acknowledged%s", word, printable(at.String()), except)
	if at.File == "" || at.Element || at.File == "stdin" || len(t.opts.files) != 1 || filepath.Ext(at.File) == ".gz" {
		return
	}
	t.say("hint: go on with  tail -n +%d %s | %s", at.N, shellQuote(at.File), t.opts.again)
}

// commandAgain is the command line with the flags that were given, reading
// stdin: without them the rest would go to another topic or cluster.
func commandAgain(fs *pflag.FlagSet) string {
	parts := []string{"ordersctl", "send"}
	fs.Visit(func(f *pflag.Flag) {
		value := f.Value.String()
		if list, ok := f.Value.(pflag.SliceValue); ok {
			value = strings.Join(list.GetSlice(), ",")
		}
		switch {
		case f.Name == "rejects": // which holds those of the first part
			parts = append(parts, "--rejects", shellQuote(value+".2"))
		case f.Value.Type() == "bool":
			parts = append(parts, "--"+f.Name+"="+value)
		default:
			parts = append(parts, "--"+f.Name, shellQuote(value))
		}
	})
	return strings.Join(append(parts, "-"), " ")
}

func shellQuote(s string) string {
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/+,:@%=", r)
	}) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// verdict is the last line.
func (t *sendTalk) verdict(sum send.Summary, code int, interrupted bool) string {
	word := "ok   "
	switch {
	case code == exitFailed:
		word = "FAIL "
	case interrupted:
		word = "warn "
	}
	var parts []string
	part := func(n int64, one, many string) {
		switch {
		case n == 1:
			parts = append(parts, "1 "+one)
		case n > 1:
			parts = append(parts, thousands(n)+" "+many)
		}
	}
	acked := "acknowledged"
	if t.opts.dryRun {
		acked = "fine"
	}
	parts = append(parts, fmt.Sprintf("%s %s %s", thousands(sum.Acked), plural(sum.Acked, "order"), acked))
	part(sum.Enqueued, "of them only enqueued by the server", "of them only enqueued by the server")
	rejects := ""
	if t.opts.rejects != "" {
		rejects = " (in " + printable(t.opts.rejects) + ")"
	}
	part(sum.Rejected, "is not an order"+rejects, "are not orders"+rejects)
	part(sum.NotWritten, "not written", "not written")
	part(sum.Unknown, "unknown", "unknown")
	if t.opts.dryRun {
		parts = append(parts, "nothing was sent")
	}
	if t.opts.wait != nil && sum.Acked > 0 {
		parts = append(parts, t.opts.wait.verdict())
	}
	line := word + " " + strings.Join(parts, ", ")
	if !t.opts.dryRun && sum.Acked > 0 {
		line += fmt.Sprintf("   %s, %s/s", roundElapsed(sum.Elapsed), thousands(int64(float64(sum.Acked)/max(sum.Elapsed.Seconds(), 1e-3))))
	}
	if t.opts.count > 0 {
		line += fmt.Sprintf("   seed %d", t.in.seed)
	}
	return line
}

func roundElapsed(d time.Duration) time.Duration {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond)
	case d < time.Minute:
		return d.Round(10 * time.Millisecond)
	}
	return d.Round(time.Second)
}

func plural(n int64, word string) string {
	if n == 1 {
		return word
	}
	return word + "s"
}
