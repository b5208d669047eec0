package topic

import "testing"

func TestAgreement(t *testing.T) {
	type at = map[int32]int64
	for _, test := range []struct {
		name            string
		database, kafka at
		want            Agreement
	}{
		{"the same", at{0: 5, 1: 7}, at{0: 5, 1: 7}, Agreement{}},
		{"Kafka's commit is still to come", at{0: 5, 1: 7}, at{0: 3, 1: 7}, Agreement{Behind: 2}},
		{"the database was restored", at{0: 5, 1: 7}, at{0: 5, 1: 9}, Agreement{Ahead: 2}},
		{"both, and one does not make up for the other", at{0: 5, 1: 7}, at{0: 3, 1: 9}, Agreement{Behind: 2, Ahead: 2}},
		{"nothing was read yet", at{0: 0}, at{}, Agreement{}},
		{"Kafka's were deleted", at{0: 5}, at{}, Agreement{Missing: 1}},
		{"a partition that only Kafka knows", at{0: 5}, at{0: 5, 1: 3}, Agreement{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := Agree(test.database, test.kafka); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}
