package commands

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/ordersctl/ordersctl/internal/lag"
)

func printLag(w io.Writer, r *lag.Report, wide bool) error { return printLagIn(w, r, wide, 0) }

// printLagIn makes do with so many lines, 0 for any number: it leaves out the
// partitions that are best off.
func printLagIn(w io.Writer, r *lag.Report, wide bool, room int) error {
	paused := pausedLines(r, room)
	const others = 5 // heading, empty line, columns, all, by whose offsets
	shown, left := worst(r.Partitions, room, others+len(paused)+len(r.Problems))
	var b strings.Builder
	fmt.Fprintf(&b, "lag of group %s in %s   %s   %s\n\n", printable(r.Group.Name), r.Topic, members(r.Group), r.At.Format("2006-01-02 15:04:05Z"))
	if err := lagTable(r, shown, wide).print(&b); err != nil {
		return err
	}
	if left != "" {
		b.WriteString(left + "\n")
	}
	for _, line := range paused {
		b.WriteString("! " + line + "\n")
	}
	for _, p := range r.Problems {
		fmt.Fprintf(&b, "! %s\n", printable(p))
	}
	fmt.Fprintf(&b, "%s%s\n", offsetsBy(r), overInterval(r.RateSeconds))
	_, err := io.WriteString(w, b.String())
	return err
}

// pausedLines takes a quarter of the room.
func pausedLines(r *lag.Report, room int) []string {
	var lines []string
	for _, p := range r.Partitions {
		if p.Reason != "" {
			lines = append(lines, pausedLine(p))
		}
	}
	if most := max(2, room/4); room > 0 && len(lines) > most {
		lines = append(lines[:most-1], count(len(lines)-most+1, "partition")+" more are paused")
	}
	return lines
}

// worst are the partitions that there is room for beside the other lines, in
// their order, and what the rest is like.
func worst(all []lag.Partition, room, others int) (shown []lag.Partition, rest string) {
	if room <= 0 || len(all)+others <= room {
		return all, ""
	}
	order := slices.Clone(all)
	slices.SortStableFunc(order, func(a, b lag.Partition) int { return cmp.Compare(trouble(b), trouble(a)) })
	n := max(1, room-others-1)
	if n >= len(order) {
		return all, ""
	}
	most := trouble(order[n])
	shown = order[:n]
	slices.SortFunc(shown, func(a, b lag.Partition) int { return cmp.Compare(a.Partition, b.Partition) })
	rest = count(len(order)-n, "partition") + " more"
	switch {
	case most == 0:
		rest += ", none of them paused or behind"
	case most < math.MaxInt64-1:
		rest += fmt.Sprintf(", none of them paused or more than %s behind", thousands(most))
	}
	return shown, rest
}

// trouble is how many records a partition is behind, and more where that is not
// known or it stands still.
func trouble(p lag.Partition) int64 {
	switch {
	case p.Reason != "":
		return math.MaxInt64
	case p.Lag == nil || p.Member == nil:
		return math.MaxInt64 - 1
	}
	return *p.Lag
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

func lagTable(r *lag.Report, shown []lag.Partition, wide bool) *table {
	head := []string{"PART", ">NEXT", ">END", ">LAG", ">IN/s", ">OUT/s", ">DRAIN", "MEMBER", "STATE"}
	if wide {
		head = append(head, ">START", ">DATABASE", ">KAFKA", "HOST", "MEMBER-ID")
	}
	t := newTable(head...)
	for _, p := range shown {
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
