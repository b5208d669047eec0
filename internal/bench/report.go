package bench

import (
	"bytes"
	"fmt"
	"io"
	"strings"
)

// ReportOptions say how a summary is printed.
type ReportOptions struct {
	File  string // where the JSON is, told behind the verdict
	Color bool
}

// WriteText writes the summary, the verdict last.
func (r *Result) WriteText(w io.Writer, opts ReportOptions) error {
	var b bytes.Buffer
	r.writeHead(&b)
	r.writeOrders(&b)
	r.writeLatency(&b)
	r.writeStages(&b)
	r.writeIntegrity(&b)
	r.writeThresholds(&b)
	r.writeSlowest(&b)
	r.writeGaps(&b)
	for _, note := range r.Generator.Notes {
		fmt.Fprintf(&b, "note: %s\n", note)
	}
	if len(r.Generator.Notes) > 0 {
		b.WriteByte('\n')
	}
	b.WriteString(r.lastLine(opts))
	_, err := w.Write(b.Bytes())
	return err
}

func (r *Result) lastLine(opts ReportOptions) string {
	line := r.line()
	if opts.File != "" {
		line += strings.Repeat(" ", max(76-len(line), 3)) + opts.File
	}
	if opts.Color {
		color := map[string]string{"PASS": "32", "FAIL": "31", "INVALID": "33"}[r.Verdict.Word]
		line = strings.Replace(line, r.Verdict.Word, "\x1b["+color+"m"+r.Verdict.Word+"\x1b[0m", 1)
	}
	return line + "\n"
}

func (r *Result) writeHead(b *bytes.Buffer) {
	warm := ""
	if r.Warmup > 0 {
		warm = fmt.Sprintf(" (after %s of warm-up)", clockTime(r.Warmup))
	}
	if r.CutShort {
		warm += ", cut short"
	}
	fmt.Fprintf(b, "run %s   %sZ + %s%s   ordersctl %s   seed %d\n", r.Run, r.StartedAt.UTC().Format("2006-01-02 15:04:05"), clockTime(r.Span), warm, r.Build.Version, r.Setup.Seed)
	fmt.Fprintf(b, "%s   %s   %s\n\n", r.Setup.where(), r.Setup.load(), r.Setup.through())
}

// where is the target in words.
func (s *Setup) where() string {
	if s.Target == "kafka" {
		return fmt.Sprintf("topic %s at %s", s.Topic, strings.Join(s.Brokers, ","))
	}
	return s.Target
}

// load is "asked 5,000/s open loop".
func (s *Setup) load() string {
	switch {
	case s.Unlimited:
		return "as fast as it is taken"
	case s.Loop == "closed":
		return fmt.Sprintf("closed loop of %s", thousands(uint64(s.Concurrency)))
	}
	asked := strings.Join(s.Stages, " ")
	if s.Rate > 0 {
		asked = perSecond(s.Rate)
	}
	text := "asked " + asked + " open loop"
	if s.Arrivals == string(Poisson) {
		text += ", poisson"
	}
	return text
}

// through is "64 connections   context stage".
func (s *Setup) through() string {
	var parts []string
	if s.Target != "kafka" {
		parts = append(parts, fmt.Sprintf("%s %s", thousands(uint64(s.Connections)), plural(s.Connections, "connection")))
	}
	if s.Batch > 1 {
		parts = append(parts, fmt.Sprintf("batches of %s", thousands(uint64(s.Batch))))
	}
	return strings.Join(append(parts, "context "+s.Context), "   ")
}

func plural(n int, word string) string {
	if n == 1 {
		return word
	}
	return word + "s"
}

func (r *Result) writeOrders(b *bytes.Buffer) {
	o := r.Orders
	g := newGrid(0, 4)
	share := func(n uint64) string {
		if o.Scheduled == 0 {
			return "-"
		}
		return fmt.Sprintf("%.4f %%", 100*float64(n)/float64(o.Scheduled))
	}
	g.add("ORDERS", "COUNT", "SHARE", "RATE")
	g.add("scheduled", thousands(o.Scheduled), share(o.Scheduled), perSecond(rate(o.Scheduled, r.Span)))
	g.add("acked", thousands(o.Acked), share(o.Acked), perSecond(r.Rate()))
	g.add("not_written", thousands(o.NotWritten), share(o.NotWritten), "", r.causes(NotWritten))
	g.add("unknown", thousands(o.Unknown), share(o.Unknown), "", r.unknown())
	g.add("dropped", thousands(o.Dropped), share(o.Dropped), "", r.dropped())
	g.write(b)
	b.WriteByte('\n')
}

// causes is "503 overloaded 30, refused 2".
func (r *Result) causes(of State) string {
	var parts []string
	for _, c := range r.Orders.Causes {
		if c.Outcome == of.String() {
			parts = append(parts, fmt.Sprintf("%s %s", c.Cause, thousands(c.Orders)))
		}
	}
	const most = 3
	if more := len(parts) - most; more > 0 {
		parts = append(parts[:most], fmt.Sprintf("%d more (--json)", more))
	}
	return strings.Join(parts, ", ")
}

func (r *Result) unknown() string {
	text := strings.Replace(r.causes(Unknown), "timeout ", "timeout after "+spaced(r.Setup.Timeout.String())+" ", 1)
	if i := r.Integrity; i != nil && i.UnknownWritten+i.UnknownAbsent > 0 {
		text += fmt.Sprintf("; %s were in the log, %s were not", thousands(i.UnknownWritten), thousands(i.UnknownAbsent))
		if i.UnknownWritten+i.UnknownAbsent != r.Orders.Unknown {
			text += " (with warm-up)"
		}
	}
	return strings.TrimPrefix(text, "; ")
}

func (r *Result) dropped() string {
	switch {
	case r.Orders.Dropped > 0:
		return fmt.Sprintf("%s were in flight (--max-in-flight)", thousands(uint64(r.Setup.MaxInFlight)))
	case r.Setup.Loop == "closed":
		return ""
	case r.Generator.Valid:
		return "the generator kept to its schedule"
	}
	return ""
}

// shown are the percentiles of the summary.
func shown() []float64 { return []float64{50, 90, 99, 99.9, 99.99, 99.999} }

func headings(title string) []string {
	cells := []string{title}
	for _, p := range shown() {
		cells = append(cells, fmt.Sprintf("p%g", p))
	}
	return append(cells, "max", "SAMPLES", "CLOCK")
}

func row(name string, d *Distribution, clock string) []string {
	cells := []string{name}
	for _, p := range shown() {
		if v, ok := d.At(p); ok {
			cells = append(cells, millis(v))
		} else {
			cells = append(cells, "-")
		}
	}
	if d == nil || d.Count == 0 {
		return append(cells, "-", "0", clock)
	}
	most := millis(d.Max)
	if d.Dropped > 0 { // one of them may have been beyond it
		most = "-"
	}
	return append(cells, most, thousands(d.Count), clock)
}

func (r *Result) writeLatency(b *bytes.Buffer) {
	g := newGrid(0, len(shown())+3)
	g.add(headings("LATENCY ms")...)
	from := "from schedule"
	if r.Setup.Loop == "closed" {
		from = "from send" // nothing is intended but what the answer before it lets go
	}
	g.add(row(from, r.Latency, "ours")...)
	g.add(row("service time", r.Service, "ours")...)
	if r.Refused != nil && r.Refused.Count > 0 {
		g.add(row("refused", r.Refused, "ours")...)
	}
	if r.Setup.Loop != "closed" {
		g.add(row("generator lag", r.Lag, "ours")...)
	}
	g.write(b)
	if n := r.Orders.Dropped; n > 0 && r.Orders.Scheduled > 0 {
		fmt.Fprintf(b, "note: %s dropped orders (%s %%) are in none of these: what they may have been above is not known\n",
			thousands(n), threeDigits(100*float64(n)/float64(r.Orders.Scheduled)))
	}
	b.WriteByte('\n')
}

func (r *Result) writeStages(b *bytes.Buffer) {
	if len(r.Stages) == 0 {
		return
	}
	g := newGrid(0, len(shown())+3)
	g.add(headings("STAGES ms")...)
	var absent []string
	for _, s := range r.Stages {
		if s.Times == nil {
			absent = append(absent, fmt.Sprintf("%s   not measured: %s", s.Name, s.Absent))
			continue
		}
		g.add(row(s.Name, s.Times, s.Clock)...)
	}
	if len(g.rows) > 1 {
		g.write(b)
	} else {
		b.WriteString("STAGES ms\n")
	}
	for _, line := range absent {
		fmt.Fprintln(b, line)
	}
	b.WriteByte('\n')
}

func (r *Result) writeIntegrity(b *bytes.Buffer) {
	i := r.Integrity
	if i == nil {
		fmt.Fprintf(b, "INTEGRITY   not known: %s\n\n", r.Unverified)
		return
	}
	left := []int{0, 2}
	if r.Database != nil {
		left = []int{0, 3}
	}
	g := newGrid(left...)
	add := func(name string, of func(*Integrity) uint64, note string) {
		cells := []string{name, thousands(of(i))}
		switch {
		case r.Database != nil && (name == kindReordered || name == kindScattered):
			cells = append(cells, "-") // rows have no order
		case r.Database != nil:
			cells = append(cells, thousands(of(r.Database)))
		}
		g.add(append(cells, note)...)
	}
	if r.Database == nil {
		g.add("INTEGRITY", "log")
	} else {
		g.add("INTEGRITY", "log", "db")
	}
	add("expected", func(i *Integrity) uint64 { return i.Expected }, i.expected(r.Warmup > 0))
	add(kindLost, func(i *Integrity) uint64 { return i.Lost }, "acked, not found")
	add(kindDuplicated, func(i *Integrity) uint64 { return i.Duplicated }, "one event more than once")
	add(kindReordered, func(i *Integrity) uint64 { return i.Reordered }, "within a key")
	if i.Scattered > 0 {
		add(kindScattered, func(i *Integrity) uint64 { return i.Scattered }, "keys in more than one partition: their order is nobody's promise")
	}
	add(kindCorrupted, func(i *Integrity) uint64 { return i.Corrupted }, "content is not what was sent")
	add("not_written but found", func(i *Integrity) uint64 { return i.NotWrittenFound }, `the client was told "not written"`)
	add("others' records", func(i *Integrity) uint64 { return i.Others }, "in the same offsets, not ours, not judged")
	g.write(b)
	fmt.Fprintln(b, i.reading("log", "unknown orders might still have been written"))
	if i.Elsewhere > 0 {
		fmt.Fprintf(b, "note: %s %s at another place than the acknowledgement told\n", thousands(i.Elsewhere), map[bool]string{true: "order stands", false: "orders stand"}[i.Elsewhere == 1])
	}
	i.writeExamples(b)
	r.writeDatabase(b)
	b.WriteByte('\n')
}

// writeDatabase is what there is to say of the database beyond its column.
func (r *Result) writeDatabase(b *bytes.Buffer) {
	switch {
	case r.Database != nil:
		fmt.Fprintln(b, r.Database.reading("database", "it caught up"))
		r.Database.writeExamples(b)
	case r.NoDatabase != "":
		fmt.Fprintf(b, "database    not known: %s\n", r.NoDatabase)
	}
}

// expected is "acked 1,499,964 + unknown that were written 4".
func (i *Integrity) expected(warmup bool) string {
	text := "acked " + thousands(i.Acked)
	if i.UnknownWritten > 0 {
		text += " + unknown that were written " + thousands(i.UnknownWritten)
	}
	if warmup {
		text += ", warm-up included"
	}
	return text
}

// reading is "read back 1,499,980 records in 1.2 s, 1,249,983/s".
func (i *Integrity) reading(from, meanwhile string) string {
	text := fmt.Sprintf("read %s %s back from the %s", thousands(i.Records), plural(int(min(i.Records, 2)), "record"), from)
	if i.Took > 0 {
		text += fmt.Sprintf(" in %s, %s", short(i.Took), perSecond(rate(i.Records, i.Took)))
	}
	if i.Settled > 0 {
		text += fmt.Sprintf(", after %s in which %s", clockTime(i.Settled), meanwhile)
	}
	return text
}

// examplesShown is how many of each kind stand in the summary; the JSON has more.
const examplesShown = 5

func (i *Integrity) writeExamples(b *bytes.Buffer) {
	if len(i.Examples) == 0 {
		return
	}
	b.WriteByte('\n')
	g := newGrid(0, 1, 2, 3)
	g.add("BREACH", "WHERE", "USER_ID", "DETAIL")
	of := map[string]int{}
	for _, x := range i.Examples {
		if of[x.Kind]++; of[x.Kind] <= examplesShown {
			g.add(x.Kind, orDash(x.Where), orDash(x.UserID), x.Detail)
		}
	}
	g.write(b)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func (r *Result) writeThresholds(b *bytes.Buffer) {
	if len(r.Thresholds) == 0 {
		return
	}
	g := newGrid(0, 1, 3)
	g.add("THRESHOLDS", "", "")
	for _, t := range r.Thresholds {
		word, note := "ok", ""
		if !t.OK {
			word = "FAIL"
		}
		switch {
		case strings.HasPrefix(t.Text, metricErrorRate):
			note = "(not_written + unknown + dropped) / scheduled"
		case t.Value == "-":
			note = r.unknownBecause(t.Text)
		}
		g.add(word, t.Text, t.Value, note)
	}
	b.WriteString("THRESHOLDS\n")
	g.rows = g.rows[1:]
	g.write(b)
	b.WriteByte('\n')
}

// unknownBecause is why a figure can't be told.
func (r *Result) unknownBecause(threshold string) string {
	name := threshold[:max(strings.IndexAny(threshold, "<>=!"), 0)]
	p, percentile := percentileOf(name)
	dropped := kindOf(name) == latencyMetric && r.Latency != nil && r.Latency.Dropped > 0
	switch {
	case dropped && (!percentile || hidden(p, r.Latency.Count, r.Latency.Dropped)):
		return "the dropped orders may have been above it"
	case percentile:
		return "fewer than 10 samples above it"
	}
	return "not known"
}

func (r *Result) writeSlowest(b *bytes.Buffer) {
	if len(r.Slowest) == 0 {
		return
	}
	const most = 5
	g := newGrid(1, 2, 3)
	g.add("SLOWEST", "OUTCOME", "WHERE", "USER_ID")
	for i, s := range r.Slowest {
		if i == most {
			break
		}
		g.add(millis(s.Latency)+" ms", s.Outcome, orDash(s.Where), s.UserID)
	}
	g.write(b)
	b.WriteByte('\n')
}

func (r *Result) writeGaps(b *bytes.Buffer) {
	if len(r.Gaps) == 0 {
		return
	}
	const most = 5
	g := newGrid(0, 2)
	g.add("GAPS", "LENGTH", "WITHOUT AN ACKNOWLEDGEMENT")
	for i, s := range r.Gaps {
		if i == most {
			g.add("", "", fmt.Sprintf("%d more (--json)", uint64(len(r.Gaps)-most)+r.GapsMissed))
			break
		}
		what := "of any order"
		if s.Partition != nil {
			what = fmt.Sprintf("of partition %d", *s.Partition)
		}
		if s.What != "" {
			what += ": " + s.What
		}
		g.add(stamp(s.At), millis(s.For)+" ms", what)
	}
	g.write(b)
	b.WriteByte('\n')
}
