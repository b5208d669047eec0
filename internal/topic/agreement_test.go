package topic

import "testing"

func TestAgreement(t *testing.T) {
	type at = map[int32]int64
	for _, test := range []struct {
		name            string
		database, kafka at
		want            string
	}{
		{"the same", at{0: 5, 1: 7}, at{0: 5, 1: 7}, "Kafka's agree"},
		{"Kafka's commit is still to come", at{0: 5, 1: 7}, at{0: 3, 1: 7}, "Kafka's are 2 behind"},
		{"the database was restored", at{0: 5, 1: 7}, at{0: 5, 1: 9}, "Kafka's are 2 ahead"},
		{"both, and one does not make up for the other", at{0: 5, 1: 7}, at{0: 3, 1: 9}, "Kafka's are 2 ahead and 2 behind"},
		{"nothing was read yet", at{0: 0}, at{}, "Kafka's agree"},
		{"Kafka's were deleted", at{0: 5}, at{}, "Kafka has none"},
		{"a partition that only Kafka knows", at{0: 5}, at{0: 5, 1: 3}, "Kafka's agree"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := Agree(test.database, test.kafka).String(); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
