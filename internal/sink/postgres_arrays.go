package sink

import (
	"slices"
	"strings"
)

// The parameters of the statements in postgres_write.go, in their order.

// pgPlainArrays has the events in the order of their ids, as plan.sortRows says.
func pgPlainArrays(b *Batch) [][]byte {
	n := len(b.Entries)
	events, ids, hashes := newArray(oidText, n, 40), newArray(oidText, n, 24), newArray(oidBytea, n, 32)
	offsets, received := newArray(oidInt8, n, 8), newArray(oidTimestamptz, n, 8)
	sorted := make([]*Entry, n)
	for i := range sorted {
		sorted[i] = &b.Entries[i]
	}
	slices.SortFunc(sorted, func(x, y *Entry) int { return strings.Compare(x.EventID, y.EventID) })
	for _, e := range sorted {
		events.text(e.EventID)
		ids.text(e.Order.ID)
		hashes.raw(e.Hash[:])
		offsets.int8(e.Offset)
		received.time(e.Received)
	}
	return [][]byte{[]byte(b.TopicID), four(b.Partition), events.bytes(), ids.bytes(), hashes.bytes(), offsets.bytes(), received.bytes()}
}

func pgEventArrays(b *Batch, list []newEvent) [][]byte {
	n := len(list)
	events, ids, hashes := newArray(oidText, n, 40), newArray(oidText, n, 24), newArray(oidBytea, n, 32)
	offsets, received, stale := newArray(oidInt8, n, 8), newArray(oidTimestamptz, n, 8), newArray(oidBool, n, 1)
	originIDs, originPartitions, originOffsets := newArray(oidText, n, 22), newArray(oidInt4, n, 4), newArray(oidInt8, n, 8)
	for _, v := range list {
		e := &b.Entries[v.entry]
		events.text(e.EventID)
		ids.text(e.Order.ID)
		hashes.raw(e.Hash[:])
		offsets.int8(e.Offset)
		received.time(e.Received)
		stale.bool(v.stale)
		if e.Origin == nil {
			originIDs.null()
			originPartitions.null()
			originOffsets.null()
			continue
		}
		originIDs.text(e.Origin.TopicID)
		originPartitions.int4(e.Origin.Partition)
		originOffsets.int8(e.Origin.Offset)
	}
	return [][]byte{
		[]byte(b.TopicID), four(b.Partition), events.bytes(), ids.bytes(), hashes.bytes(), offsets.bytes(), received.bytes(),
		stale.bytes(), originIDs.bytes(), originPartitions.bytes(), originOffsets.bytes(),
	}
}

// pgRowArrays has the rows' places where they were planned, else the entries'
// own. The guard is the statement's last parameter, nil for NULL.
func pgRowArrays(b *Batch, rows []newRow, guard []byte) [][]byte {
	n := len(rows)
	ids, users, totals, statuses := newArray(oidText, n, 24), newArray(oidText, n, 24), newArray(oidNumeric, n, 14), newArray(oidText, n, 12)
	times, nanos := newArray(oidTimestamptz, n, 8), newArray(oidInt2, n, 2)
	events, offsets, versions := newArray(oidText, n, 40), newArray(oidInt8, n, 8), newArray(oidInt8, n, 8)
	topicIDs, partitions := newArray(oidText, n, 22), newArray(oidInt4, n, 4)
	for i := range rows {
		e, from := &b.Entries[rows[i].entry], rows[i].from
		if from.TopicID == "" {
			from = Place{b.TopicID, b.Partition, e.Offset}
		}
		ids.text(e.Order.ID)
		users.text(e.Order.UserID)
		totals.total(e.Order.Total)
		statuses.text(e.Order.Status)
		times.time(e.Order.Timestamp)
		nanos.int2(int16(e.Order.Timestamp.Nanosecond() % 1000))
		events.text(e.EventID)
		offsets.int8(from.Offset)
		versions.int8(rows[i].changes)
		topicIDs.text(from.TopicID)
		partitions.int4(from.Partition)
	}
	return [][]byte{
		ids.bytes(), users.bytes(), totals.bytes(), statuses.bytes(), times.bytes(), nanos.bytes(),
		events.bytes(), offsets.bytes(), versions.bytes(), topicIDs.bytes(), partitions.bytes(), guard,
	}
}

func pgOutcomeArrays(b *Batch, list []newOutcome) [][]byte {
	n := len(list)
	offsets, outcomes, events := newArray(oidInt8, n, 8), newArray(oidText, n, 12), newArray(oidText, n, 40)
	ids, reasons := newArray(oidText, n, 24), newArray(oidText, n, 40)
	for _, v := range list {
		e := &b.Entries[v.entry]
		eventID, orderID := e.nameable(v.outcome)
		offsets.int8(e.Offset)
		outcomes.text(string(v.outcome))
		events.textOrNull(eventID)
		ids.textOrNull(orderID)
		reasons.textOrNull(v.reason)
	}
	return [][]byte{[]byte(b.TopicID), four(b.Partition), offsets.bytes(), outcomes.bytes(), events.bytes(), ids.bytes(), reasons.bytes()}
}
