package topic

// Agreement is how the offsets that a group committed to Kafka stand to those
// that the database holds. The database's are the truth; Kafka's follow a
// moment later, for tools that show lag.
type Agreement struct {
	Behind  int64 `json:"kafka_behind"`  // records, over the partitions where Kafka's are behind
	Ahead   int64 `json:"kafka_ahead"`   // where they are ahead: the database went back
	Missing int   `json:"kafka_missing"` // partitions of which Kafka has none
}

// Agree compares partition by partition.
func Agree(database, kafka map[int32]int64) Agreement {
	var a Agreement
	for p, want := range database {
		have, ok := kafka[p]
		switch {
		case !ok && want > 0:
			a.Missing++
		case !ok: // neither has moved yet
		case have < want:
			a.Behind += want - have
		case have > want:
			a.Ahead += have - want
		}
	}
	return a
}
