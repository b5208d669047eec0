package commands

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ordersctl/ordersctl/internal/lag"
	"github.com/ordersctl/ordersctl/internal/topic"
)

// judge makes the verdict. What can't be asked from here may be well: only what
// is seen to be wrong is a finding.
func (v *statusView) judge() {
	v.Verdict = "ok"
	find := func(verdict, format string, args ...any) {
		v.Findings = append(v.Findings, fmt.Sprintf(format, args...))
		if v.Verdict != "FAIL" {
			v.Verdict = verdict
		}
	}
	if v.Topic.Unreachable != "" {
		find("FAIL", "topic: %s", v.Topic.Unreachable)
	}
	if v.Edge.Edge != nil && v.Edge.Breaker != "closed" {
		find("FAIL", "edge: the breaker is %s, Kafka acknowledges nothing", v.Edge.Breaker)
	}
	for _, reason := range slices.Sorted(maps.Keys(v.Process.Paused)) {
		find("FAIL", "process: %s paused (%s)", count(v.Process.Paused[reason], "partition"), reason)
	}
	for _, p := range v.Process.Problems {
		find("warn", "process: %s", p)
	}
	p := &v.Process
	if len(p.unread) > 0 {
		find("warn", "process: nobody reads what waits in partition %s: %s", topic.JoinIDs(p.unread), count(p.waiting, "record"))
	}
	switch {
	case p.Members == nil:
	case *p.Members == 0 && p.Lag != nil && *p.Lag > 0:
		find("warn", "process: nobody reads what waits: %s", count(*p.Lag, "record"))
	case *p.Members == 0 && p.OffsetsBy == "" && v.Topic.Records != nil && *v.Topic.Records > 0:
		find("warn", "process: nobody has ever read this topic: %s wait", count(*v.Topic.Records, "record"))
	case len(p.Paused) == 0 && p.Drain.State == lag.DrainNever:
		find("warn", "process: at this speed the backlog does not end")
	}
	if v.DLQ.missing {
		find("FAIL", "dlq: %s: the next record that can't be applied stops its partition", v.DLQ.Unreachable)
	}
	if v.DLQ.Open != nil && *v.DLQ.Open > 0 {
		find("warn", "dlq: %s", count(*v.DLQ.Open, "open letter"))
	}
}

// pausedText is "none", "breaker 1, outage 2".
func pausedText(paused map[string]int) string {
	switch {
	case paused == nil:
		return "-"
	case len(paused) == 0:
		return "none"
	}
	var parts []string
	for _, reason := range slices.Sorted(maps.Keys(paused)) {
		parts = append(parts, fmt.Sprintf("%s %d", printable(reason), paused[reason]))
	}
	return strings.Join(parts, ", ")
}
