package commands

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ordersctl/ordersctl/internal/lag"
)

func printLag(w io.Writer, r *lag.Report, wide bool) error {
	var b strings.Builder
	fmt.Fprintf(&b, "lag of group %s in %s   %s   %s\n\n", printable(r.Group.Name), r.Topic, members(r.Group), r.At.Format("2006-01-02 15:04:05Z"))
	if err := lagTable(r, wide).print(&b); err != nil {
		return err
	}
	for _, p := range r.Partitions {
		if p.Reason != "" {
			b.WriteString("! " + pausedLine(p) + "\n")
		}
	}
	for _, p := range r.Problems {
		fmt.Fprintf(&b, "! %s\n", printable(p))
	}
	fmt.Fprintf(&b, "%s%s\n", offsetsBy(r), overInterval(r.RateSeconds))
	_, err := io.WriteString(w, b.String())
	return err
}

func pausedLine(p lag.Partition) string {
	line := fmt.Sprintf("partition %d is paused", p.Partition)
	if p.PausedAt != nil {
		line += " since " + p.PausedAt.UTC().Format("2006-01-02 15:04:05Z")
	}
	line += ": " + printable(p.Reason)
	if p.Detail != "" {
		line += ", " + printable(p.Detail)
	}
	return line
}

func lagTable(r *lag.Report, wide bool) *table {
	head := []string{"PART", ">NEXT", ">END", ">LAG", ">IN/s", ">OUT/s", ">DRAIN", "MEMBER", "STATE"}
	if wide {
		head = append(head, ">START", ">DATABASE", ">KAFKA", "HOST", "MEMBER-ID")
	}
	t := newTable(head...)
	for _, p := range r.Partitions {
		member, host, id := "-", "-", "-"
		if p.Member != nil {
			member, host, id = printable(p.Member.Short()), printable(p.Member.Host), printable(p.Member.ID)
		}
		row := []string{
			fmt.Sprint(p.Partition), orDash(p.Next), orDash(p.End), orDash(p.Lag), perSecond(p.In), perSecond(p.Out),
			drainText(p.Drain), member, stateText(p),
		}
		if wide {
			row = append(row, orDash(p.Start), orDash(p.Database), orDash(p.Kafka), host, id)
		}
		t.add(row...)
	}
	row := []string{"all", "", "", orDash(r.All.Lag), perSecond(r.All.In), perSecond(r.All.Out), drainText(r.All.Drain), "", ""}
	if wide {
		row = append(row, "", "", "", "", "")
	}
	t.add(row...)
	return t
}

func stateText(p lag.Partition) string {
	switch {
	case p.Reason != "":
		return printable(p.State) + ": " + printable(p.Reason)
	case p.State != "":
		return printable(p.State)
	case p.Member == nil:
		return "no member"
	}
	return "-"
}

// drainText is when a backlog is gone: "0 s", "<1 s", "19 s", "2 h 5 min",
// "never", "-".
func drainText(d lag.Drain) string {
	switch d.State {
	case lag.DrainIdle:
		return "0 s"
	case lag.DrainSteady:
		return "<1 s"
	case lag.DrainNever:
		return "never"
	case lag.DrainSome:
		return span(time.Duration(min(*d.Seconds, 1e9) * float64(time.Second)))
	}
	return "-"
}

// span is a time in its two largest units.
func span(d time.Duration) string {
	two := func(big, small time.Duration, bigName, smallName string) string {
		text := fmt.Sprintf("%s %s", thousands(int64(d/big)), bigName)
		if rest := d % big / small; rest > 0 {
			text += fmt.Sprintf(" %d %s", rest, smallName)
		}
		return text
	}
	const day = 24 * time.Hour
	switch {
	case d < time.Second:
		return "<1 s"
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return two(time.Minute, time.Second, "min", "s")
	case d < day:
		return two(time.Hour, time.Minute, "h", "min")
	}
	return two(day, time.Hour, "d", "h")
}
