package bench

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// The exit codes of a run. Of several causes the first of this list counts.
const (
	ExitIntegrity   = 6
	ExitInvalid     = 5
	ExitCheck       = 3
	ExitFailed      = 1
	ExitInterrupted = 130
)

// Verdict is the run in a word.
type Verdict struct {
	Word     string   `json:"word"`    // PASS, FAIL, INVALID
	Reasons  []string `json:"reasons"` // the one that counts first
	ExitCode int      `json:"exit_code"`
}

// Judge sets the verdict. Call it last; again where something comes to it.
// failed are other things that make the run a failure, such as a log that could
// not be read.
func (r *Result) Judge(failed ...string) {
	r.Failed = append(r.Failed, failed...)
	type cause struct {
		code int
		text string
	}
	var causes []cause
	add := func(code int, format string, args ...any) {
		causes = append(causes, cause{code, fmt.Sprintf(format, args...)})
	}
	if r.Integrity != nil && r.Integrity.Breaches() > 0 {
		add(ExitIntegrity, "integrity: %s", r.Integrity.breaches())
	}
	if r.Database != nil && r.Database.Breaches() > 0 {
		add(ExitIntegrity, "integrity of the database: %s", r.Database.breaches())
	}
	if !r.Generator.Valid && !r.early() {
		add(ExitInvalid, "%s", r.Generator.Reason)
	}
	for _, t := range r.Thresholds {
		if !t.OK {
			add(ExitCheck, "%s", t.missed())
		}
	}
	if r.Aborted != "" && !slices.ContainsFunc(r.Thresholds, func(t Checked) bool { return t.Text == r.Aborted && !t.OK }) {
		add(ExitCheck, "%s was not met over %s", r.Aborted, Window)
	}
	if i := r.Integrity; i != nil && i.NotJudged > 0 {
		add(ExitFailed, "%s %s not judged: their receipts name topic %s", thousands(i.NotJudged), plural(int(min(i.NotJudged, 2)), "order"), i.OtherTopic)
	}
	for _, text := range r.Failed {
		add(ExitFailed, "%s", text)
	}
	switch {
	case r.early():
	case r.Orders.Acked == 0:
		add(ExitFailed, "no order was acknowledged")
	case 2*r.Orders.Acked < r.Orders.Scheduled && !r.boundsErrors():
		add(ExitFailed, "only %s of %s orders were acknowledged", thousands(r.Orders.Acked), thousands(r.Orders.Scheduled))
	}
	if r.Full && r.Setup.ends() {
		add(ExitFailed, "the ledger was full after %s, before the run's end", clockTime(r.Span))
	}
	switch {
	case r.Full, r.CutShort && r.Aborted != "":
		// It ended as it had to; the threshold has told why.
	case r.early():
		add(ExitInterrupted, "cut short in warm-up")
	case r.CutShort:
		add(ExitInterrupted, "cut short after %s", clockTime(r.Span))
	}
	if r.Interrupted {
		add(ExitInterrupted, "verification interrupted")
	}
	r.Verdict = Verdict{Word: "PASS", Reasons: []string{}}
	for _, c := range causes {
		r.Verdict.Reasons = append(r.Verdict.Reasons, c.text)
	}
	if len(causes) == 0 {
		return
	}
	r.Verdict.ExitCode = causes[0].code
	switch causes[0].code {
	case ExitInvalid:
		r.Verdict.Word = "INVALID"
	case ExitInterrupted:
	default:
		r.Verdict.Word = "FAIL"
	}
}

// ends tells whether a run was asked to end by itself.
func (s *Setup) ends() bool { return s.Duration > 0 || s.Count > 0 }

// early tells that the run was cut short in its warm-up: nothing was measured,
// so there is nothing to judge.
func (r *Result) early() bool { return r.CutShort && r.Orders.Scheduled == 0 }

// boundsErrors tells whether somebody has said how many orders may be without
// an acknowledgement. error_rate is the one figure that sees all of them: rate
// does not know what was asked for, dropped not what was refused, and a lower
// bound allows everything.
func (r *Result) boundsErrors() bool {
	return slices.ContainsFunc(r.Thresholds, func(c Checked) bool {
		t, err := ParseThreshold(c.Text)
		return err == nil && t.Metric == metricErrorRate && (t.Op == "<" || t.Op == "<=" || t.Op == "==")
	})
}

// breaches is "3 acked orders lost, 1 record duplicated".
func (i *Integrity) breaches() string {
	var parts []string
	part := func(n uint64, one, many string) {
		switch {
		case n == 1:
			parts = append(parts, "1 "+one)
		case n > 1:
			parts = append(parts, thousands(n)+" "+many)
		}
	}
	part(i.Lost, "acked order lost", "acked orders lost")
	part(i.Duplicated, "record duplicated", "records duplicated")
	part(i.Reordered, "record reordered", "records reordered")
	part(i.Scattered, "key in several partitions", "keys in several partitions")
	part(i.Corrupted, "record corrupted", "records corrupted")
	part(i.NotWrittenFound, "order found that was called not written", "orders found that were called not written")
	return strings.Join(parts, ", ")
}

// missed is "p99 61.2 ms, wanted < 50 ms".
func (c Checked) missed() string {
	at := strings.IndexAny(c.Text, "<>=!")
	if at < 0 {
		return c.Text
	}
	end := at + 1
	if end < len(c.Text) && c.Text[end] == '=' {
		end++
	}
	value := c.Value
	if value == "-" {
		value = "is not known"
	}
	return fmt.Sprintf("%s %s, wanted %s %s", c.Text[:at], value, c.Text[at:end], spaced(c.Text[end:]))
}

// line is the last line of the summary.
func (r *Result) line() string {
	v := r.Verdict
	text := strings.Join(v.Reasons, "; ")
	if v.Word == "PASS" {
		var parts []string
		valid := "valid"
		switch {
		case !r.Generator.Valid: // and cut short before it mattered
			valid = "not judged"
		case r.Generator.ShortOfCPU:
			valid = "valid, but short of CPU"
		}
		switch {
		case r.Full:
			parts = append(parts, fmt.Sprintf("ended by its full ledger after %s: %s", clockTime(r.Span), valid))
		case text != "":
			parts = append(parts, text+": "+valid)
		default:
			parts = append(parts, valid)
		}
		switch {
		case r.Integrity != nil:
			parts = append(parts, "intact")
		default:
			parts = append(parts, "not verified")
		}
		if n := len(r.Thresholds); n > 0 {
			met := n - countFunc(r.Thresholds, func(c Checked) bool { return !c.OK })
			parts = append(parts, fmt.Sprintf("%d of %d thresholds", met, n))
		}
		text = strings.Join(append(parts, r.missing()...), ", ")
	}
	if v.ExitCode != 0 {
		text += fmt.Sprintf(" (exit %d)", v.ExitCode)
	}
	return fmt.Sprintf("%-7s  %s", v.Word, text)
}

// missing is what a run that passes has to say of orders that were not
// acknowledged, whatever thresholds say of them.
func (r *Result) missing() (parts []string) {
	if n := r.Orders.NotWritten + r.Orders.Unknown; n > 0 {
		parts = append(parts, thousands(n)+" not acked")
	}
	if n := r.Orders.Dropped; n > 0 {
		parts = append(parts, thousands(n)+" dropped")
	}
	return parts
}

func countFunc[T any](list []T, is func(T) bool) int {
	n := 0
	for i := slices.IndexFunc(list, is); i >= 0; i = slices.IndexFunc(list, is) {
		n++
		list = list[i+1:]
	}
	return n
}

// clockTime is a moment of a run or its length, as a person reads it: 5m0s, 12 s.
func clockTime(d time.Duration) string {
	switch {
	case d >= time.Minute:
		return d.Round(time.Second).String()
	case d >= 10*time.Second:
		return spaced(d.Round(100 * time.Millisecond).String())
	}
	return spaced(d.Round(time.Millisecond).String())
}
