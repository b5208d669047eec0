package topic

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// problems says in words what is wrong with the topic's replicas. Partitions
// with the same trouble share a line.
func problems(d *Description) []string {
	var order []string
	same := map[string][]string{}
	for _, p := range d.Partitions {
		template := trouble(p, d.MinInsyncReplicas)
		if template == "" {
			continue
		}
		if _, ok := same[template]; !ok {
			order = append(order, template)
		}
		same[template] = append(same[template], strconv.Itoa(int(p.Partition)))
	}
	// The worst first: what is offline, then what refuses writes.
	slices.SortStableFunc(order, func(a, b string) int { return severity(a) - severity(b) })
	out := []string{}
	for _, template := range order {
		word := "partition "
		if len(same[template]) > 1 {
			word = "partitions "
		}
		out = append(out, strings.Replace(template, "%P", word+strings.Join(same[template], ","), 1))
	}
	return out
}

func severity(problem string) int {
	switch {
	case strings.HasPrefix(problem, "offline"), strings.HasPrefix(problem, "no answer"):
		return 0
	case strings.HasPrefix(problem, "below"):
		return 1
	}
	return 2
}

// trouble is a line with %P where the partitions' numbers go, "" without any.
func trouble(p Partition, minISR *int64) string {
	missing := p.Missing()
	switch {
	case p.Leader == nil:
		return fmt.Sprintf("offline: %%P without a leader, nothing can be written or read there; replicas on %s", brokers(p.Replicas))
	case p.EndOffset == nil:
		return fmt.Sprintf("no answer: the leader of %%P, broker %d, can't be reached or did not answer in time", *p.Leader)
	case len(missing) == 0:
		return ""
	}
	what := fmt.Sprintf("%s missing from %%P; %d in sync", brokersAre(missing), len(p.ISR))
	if minISR == nil {
		return "under-replicated: " + what
	}
	// Kafka asks for no more replicas than there are (Partition.effectiveMinIsr).
	needed := min(int(*minISR), len(p.Replicas))
	what += fmt.Sprintf(", %d needed: ", needed)
	switch spare := len(p.ISR) - needed; {
	case spare < 0:
		return "below min.insync.replicas: " + what + "writes with acks=all are refused"
	case spare == 0:
		return "under-replicated: " + what + "no reserve"
	default:
		return "under-replicated: " + what + fmt.Sprintf("reserve %d", spare)
	}
}

func brokersAre(ids []int32) string {
	if len(ids) == 1 {
		return brokers(ids) + " is"
	}
	return brokers(ids) + " are"
}

func brokers(ids []int32) string {
	word := "broker "
	if len(ids) != 1 {
		word = "brokers "
	}
	return word + JoinIDs(ids)
}

// JoinIDs writes broker ids as "1,2,3", "-" for none.
func JoinIDs(ids []int32) string {
	if len(ids) == 0 {
		return "-"
	}
	parts := make([]string, len(ids))
	for i, id := range ids {
		parts[i] = strconv.Itoa(int(id))
	}
	return strings.Join(parts, ",")
}
