package bench

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ordersctl/ordersctl/internal/client"
)

// Frame draws a run that goes on, a line each, none wider than width.
func Frame(run string, s Setup, now Snapshot, width int) []string {
	lines := []string{
		ends(fmt.Sprintf("bench %s   %s   context %s", run, s.where(), s.Context), progress(now), width),
		ends(s.inOneLine(), bar(now), width),
		"",
	}
	lines = append(lines, counters(now)...)
	lines = append(lines, "")
	lines = append(lines, latencies(now)...)
	if text := standing(now.Thresholds); text != "" {
		lines = append(lines, "", text)
	}
	if n := len(now.Gaps); n > 0 {
		lines = append(lines, now.Gaps[n-1].line(now.Leaders, n))
	}
	lines = append(lines, "Ctrl-C ends early with a valid, shorter result; twice aborts")
	for i, line := range lines {
		lines[i] = clip(line, width)
	}
	return lines
}

// ends puts one text to the left end of a line and one to the right.
func ends(left, right string, width int) string {
	// Wider than this the eye does not find from one to the other.
	const comfortable = 100
	return left + strings.Repeat(" ", max(min(width, comfortable)-len(left)-len(right), 2)) + right
}

func clip(line string, width int) string {
	if runes := []rune(line); len(runes) > width {
		return string(runes[:width])
	}
	return line
}

func progress(now Snapshot) string {
	text := stamp(now.Now)
	if now.Length > 0 {
		text += " of " + stamp(now.Length)
	}
	if now.Warming {
		text = "warming up   " + text
	}
	return text
}

func bar(now Snapshot) string {
	if now.Length <= 0 {
		return ""
	}
	const cells = 22
	share := min(float64(now.Now)/float64(now.Length), 1)
	full := int(share * cells)
	return fmt.Sprintf("[%s%s] %.0f %%", strings.Repeat("#", full), strings.Repeat(".", cells-full), 100*share)
}

// inOneLine is the load in a line.
func (s *Setup) inOneLine() string {
	parts := []string{strings.TrimPrefix(s.load(), "asked ")}
	if s.Target != "kafka" {
		parts = append(parts, fmt.Sprintf("%d %s", s.Connections, plural(s.Connections, "connection")))
	}
	keys := s.KeyDist
	if s.Zipf > 0 {
		keys = fmt.Sprintf("%s(%g)", keys, s.Zipf)
	}
	if s.Keys > 0 {
		keys += " of " + thousands(s.Keys)
	}
	return strings.Join(append(parts, fmt.Sprintf("seed %d", s.Seed), "keys "+keys), ", ")
}

func counters(now Snapshot) []string {
	causes := func(o client.Outcome) string {
		var parts []string
		for _, c := range now.Causes {
			if c.Outcome == string(o) {
				parts = append(parts, fmt.Sprintf("%s %s", c.Cause, thousands(c.Count)))
			}
		}
		return strings.Join(parts, ", ")
	}
	row := func(name, last, middle, run, what string, n uint64, note string) string {
		return fmt.Sprintf("%-16s %10s %8s %10s      %-12s %12s   %s", name, last, middle, run, what, thousands(n), note)
	}
	asked, run := perSecond(now.Last.Due), perSecond(now.Run.Due)
	lines := []string{
		fmt.Sprintf("%-16s %10s %19s", "", "last 1 s", "run so far"),
		row("asked", asked, "", run, "scheduled", now.Due, ""),
		row("sent", perSecond(now.Last.Sent), "", perSecond(now.Run.Sent), "acked", now.Acked, ""),
		row("acked", perSecond(now.Last.Acked), "", perSecond(now.Run.Acked), "not_written", now.NotWritten, causes(client.NotWritten)),
		row("in flight", thousands(now.Flying), "max", thousands(now.MaxFlying), "unknown", now.Unknown, causes(client.Unknown)),
		row("waiting for conn", thousands(now.Waiting), "max", thousands(now.MaxWaiting), "dropped", now.Dropped, ""),
	}
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " ")
	}
	return lines
}

func latencies(now Snapshot) []string {
	row := func(name string, q Quantiles, note string) string {
		cells := []time.Duration{q.P50, q.P90, q.P99, q.P999, q.Max}
		line := fmt.Sprintf("%-14s", name)
		for _, d := range cells {
			text := "-"
			if q.Count > 0 {
				text = millis(d)
			}
			line += fmt.Sprintf(" %7s", text)
		}
		return strings.TrimRight(line+"      "+note, " ")
	}
	chart, worst := strip(now.Seconds)
	lag := "ok"
	if now.Lag.P99 > now.LagLimit {
		lag = "TOO LATE"
	}
	lag += fmt.Sprintf(" (limit p99 %s)", millis(now.LagLimit))
	if now.CPU >= 0 {
		lag += fmt.Sprintf(", cpu %.0f %%", 100*now.CPU)
	}
	if now.Lag.Count == 0 {
		lag = ""
	}
	return []string{
		fmt.Sprintf("%-14s %7s %7s %7s %7s %7s      p99 per second, last %d s", "latency ms", "p50", "p90", "p99", "p99.9", "max", len(now.Seconds)),
		row("last 10 s", now.Recent, chart),
		row("run so far", now.Latency, worst),
		row("generator lag", now.Lag, lag),
	}
}

// strip draws the p99 of each second against the median of them all, and names
// the worst.
func strip(seconds []Second) (chart, worst string) {
	var all []time.Duration
	for _, s := range seconds {
		if s.P99 > 0 {
			all = append(all, s.P99)
		}
	}
	if len(all) == 0 {
		return "", ""
	}
	slices.Sort(all)
	median := all[len(all)/2]
	var b strings.Builder
	top := seconds[0]
	for _, s := range seconds {
		b.WriteByte(level(s.P99, median))
		if s.P99 > top.P99 {
			top = s
		}
	}
	worst = fmt.Sprintf("^ %s  max %s ms", stamp(top.At), millis(top.Max))
	if failed := top.NotWritten + top.Unknown; failed > 0 {
		worst += fmt.Sprintf(", %s not acked", thousands(failed))
	}
	return b.String(), worst
}

func level(d, median time.Duration) byte {
	switch {
	case d == 0:
		return ' '
	case d < median*3/2:
		return '.'
	case d < median*3:
		return ':'
	case d < median*6:
		return '='
	case d < median*12:
		return '*'
	}
	return '@'
}

// standing is "p99<50ms  ok  8.93 ms      lost==0  after the run".
func standing(thresholds []ThresholdState) string {
	var parts []string
	for _, t := range thresholds {
		text := "after the run"
		switch {
		case t.Known && t.OK:
			text = "ok  " + t.Value
		case t.Known:
			text = "FAIL  " + t.Value
		}
		parts = append(parts, t.Text+"  "+text)
	}
	return strings.Join(parts, "      ")
}

// line is "gap 1:42   no acknowledgement of partition 2 for 239 ms (leader of
// partition 2: 1 -> 3)   1 so far".
func (g Gap) line(leaders []LeaderChange, n int) string {
	text := fmt.Sprintf("gap %s   no acknowledgement", stamp(g.At))
	if g.Partition >= 0 {
		text += fmt.Sprintf(" of partition %d", g.Partition)
	}
	text += fmt.Sprintf(" for %s ms", millis(g.For))
	if what := g.changes(leaders); what != "" {
		text += " (" + what + ")"
	}
	return text + fmt.Sprintf("   %d so far", n)
}
