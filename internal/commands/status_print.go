package commands

import (
	"fmt"
	"io"
	"strings"

	"github.com/ordersctl/ordersctl/internal/lag"
)

// statusWidth is what a screen takes at most.
const statusWidth = 100

func printStatus(w io.Writer, v *statusView) error {
	var b strings.Builder
	head := "status"
	if v.Context != "" {
		head += "   context " + printable(v.Context)
	}
	fmt.Fprintf(&b, "%s   %s%s\n\n", head, v.At.Format("2006-01-02 15:04:05Z"), overInterval(v.RateSeconds))
	for _, part := range []statusPart{v.edgePart(), v.topicPart(), v.processPart(), v.databasePart(), v.dlqPart()} {
		part.print(&b)
	}
	b.WriteString("\n")
	for _, f := range v.Findings {
		for _, line := range fold("! "+printable(f), statusWidth) {
			b.WriteString(line + "\n")
		}
	}
	b.WriteString(v.verdictLine() + "\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// statusPart is one part of the pipeline: what it is, where, and its figures,
// or why there are none.
type statusPart struct {
	name, where, why string
	cells            []statusCell
}

type statusCell struct{ value, what string }

// print has a line for a part that can't be reached, else the figures three in
// a row, values above one another.
func (p statusPart) print(b *strings.Builder) {
	where := printable(p.where)
	if p.why != "" {
		for i, line := range fold(fmt.Sprintf("%-9s%s", p.name, where), statusWidth) {
			if i > 0 {
				line = strings.Repeat(" ", 9) + line
			}
			b.WriteString(line + "\n")
		}
		for _, line := range fold("-  "+printable(p.why), statusWidth-9) {
			b.WriteString(strings.Repeat(" ", 9) + line + "\n")
		}
		return
	}
	fmt.Fprintf(b, "%-9s%s\n", p.name, cutEnd(where, statusWidth-9))
	for i, c := range p.cells {
		if i%3 == 0 {
			b.WriteString(strings.Repeat(" ", 9))
		}
		text := fmt.Sprintf("%10s %-14s", c.value, c.what)
		if i%3 == 2 || i == len(p.cells)-1 {
			text = strings.TrimRight(text, " ") + "\n"
		}
		b.WriteString(text)
	}
}

func (v *statusView) edgePart() statusPart {
	p := statusPart{name: "edge", where: strings.Join(v.Edge.Addrs, ", "), why: v.Edge.Unreachable}
	if e := v.Edge.Edge; e != nil {
		p.cells = []statusCell{
			{perSecond(e.Accepted), "accepted/s"}, {ackText(e), "ack p99"}, {orDash(e.InFlight), "in flight"}, {e.Breaker, "breaker"},
		}
		if e.Instances > 1 {
			p.cells = append(p.cells, statusCell{fmt.Sprint(e.Instances), "instances"})
		}
	}
	return p
}

func (v *statusView) topicPart() statusPart {
	t := v.Topic
	return statusPart{name: "topic", where: t.Name, why: t.Unreachable, cells: []statusCell{
		{perSecond(t.In), "in/s"}, {orDash(t.Records), noun(t.Records, "record")}, {orDash(t.Partitions), noun(t.Partitions, "partition")},
	}}
}

func (v *statusView) processPart() statusPart {
	p := v.Process
	where := p.Group
	switch p.OffsetsBy {
	case lag.ByDatabase:
		where += ", by the database's offsets"
	case lag.ByKafka:
		where += ", by Kafka's offsets"
	}
	return statusPart{name: "process", where: where, why: p.Unreachable, cells: []statusCell{
		{perSecond(p.Out), "committed/s"}, {orDash(p.Lag), "lag"}, {drainText(p.Drain), "to drain"},
		{orDash(p.Members), noun(p.Members, "member")}, {pausedText(p.Paused), "paused"},
	}}
}

func (v *statusView) databasePart() statusPart {
	p := statusPart{name: "database", where: v.Database.Name, why: v.Database.Unreachable}
	if t := v.Database.Totals; t != nil {
		p.cells = []statusCell{
			{thousands(t.Orders), noun(&t.Orders, "order")}, {thousands(t.Events), noun(&t.Events, "event")}, {thousands(t.Stale), "stale"},
			{thousands(t.Duplicates), noun(&t.Duplicates, "duplicate")}, {thousands(t.DeadLettered), "dead-lettered"}, {thousands(t.Skipped), "skipped"},
		}
	}
	return p
}

func (v *statusView) dlqPart() statusPart {
	return statusPart{name: "dlq", where: v.DLQ.Topic, why: v.DLQ.Unreachable, cells: []statusCell{
		{orDash(v.DLQ.Open), "open"}, {orDash(v.DLQ.Letters), noun(v.DLQ.Letters, "letter")},
	}}
}

// noun is that of a figure beside it.
func noun(n *int64, one string) string {
	if n != nil && *n == 1 {
		return one
	}
	return one + "s"
}

// ackText is "<8 ms": the bound of the bucket in which the percentile lies.
func ackText(e *lag.Edge) string {
	switch {
	case e.AckBelow != nil:
		return "<" + figure(*e.AckBelow*1000) + " ms"
	case e.AckAbove != nil:
		return ">" + figure(*e.AckAbove) + " s"
	}
	return "-"
}

func (v *statusView) verdictLine() string {
	var silent []string
	for _, part := range []struct {
		name, why string
		seen      bool // not to be there
	}{
		{"edge", v.Edge.Unreachable, false}, {"topic", v.Topic.Unreachable, v.Topic.missing}, {"process", v.Process.Unreachable, v.Topic.missing},
		{"database", v.Database.Unreachable, false}, {"dlq", v.DLQ.Unreachable, v.DLQ.missing},
	} {
		if part.why != "" && !part.seen {
			silent = append(silent, part.name)
		}
	}
	line := fmt.Sprintf("%-4s", v.Verdict)
	if n := len(v.Findings); n > 0 {
		line += "  " + count(n, "finding")
	}
	if len(silent) > 0 {
		line += "  not seen from here: " + strings.Join(silent, ", ")
	}
	return strings.TrimRight(line, " ")
}

// fold breaks a line at spaces.
func fold(line string, width int) []string {
	var lines []string
	for len(line) > width {
		at := strings.LastIndexByte(line[:width+1], ' ')
		if at <= 0 {
			at = width
		}
		lines = append(lines, line[:at])
		line = strings.TrimLeft(line[at:], " ")
	}
	return append(lines, strings.TrimRight(line, " "))
}

func cutEnd(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n-2] + ".."
}
