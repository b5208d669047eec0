package commands

import (
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/internal/dlq"
	"github.com/ordersctl/ordersctl/internal/sink"
)

// A hint is a command that helps: by class, and for no more letters than were
// asked for.
func TestHintsLeadSomewhere(t *testing.T) {
	for class, test := range map[string]struct{ list, show []string }{
		"database":             {[]string{"try replay  ordersctl dlq replay --reason why"}, []string{"replay it   ordersctl dlq replay 0@0", "edit it "}},
		"key_mismatch":         {[]string{"repair them ordersctl dlq export --reason why"}, []string{"edit it     ordersctl dlq export 0@0", "give it up  ordersctl dlq discard 0@0"}},
		"event_id_conflict":    {[]string{"repair them "}, []string{"edit it ", "give it up "}},
		"event_id_invalid":     {[]string{"repair them "}, []string{"edit it ", "give it up "}},
		dlq.ClassConnect:       {[]string{"give up     ordersctl dlq discard --reason why"}, []string{"give it up "}},
		"of a later ordersctl": {[]string{"try replay "}, []string{"replay it ", "edit it "}},
	} {
		t.Run(class, func(t *testing.T) {
			k := startLettered(t, 0)
			o := k.order(1)
			r := &kgo.Record{Topic: "orders", Timestamp: time.Now(), Key: []byte(o.ID), Value: []byte(`{"id":"o1","user_id":"u1","total":1,"status":"paid","timestamp":"2026-11-22T02:41:00Z"}`)}
			letter := dlq.Wrap("orders.dlq", r, dlq.Failure{Refusal: sink.Refusal{Class: class, Reason: "why"}, TopicID: k.id, At: time.Now(), Attempts: 1})
			if class == dlq.ClassConnect {
				letter = &kgo.Record{Topic: "orders.dlq", Key: r.Key, Value: r.Value, Headers: []kgo.RecordHeader{
					{Key: "__connect.errors.topic", Value: []byte("orders")}, {Key: "__connect.errors.partition", Value: []byte("0")},
					{Key: "__connect.errors.offset", Value: []byte("1")}, {Key: "__connect.errors.exception.message", Value: []byte("why")},
				}}
			}
			if err := k.cl.ProduceSync(t.Context(), letter).FirstErr(); err != nil {
				t.Fatal(err)
			}
			for command, want := range map[string][]string{"list": test.list, "show": test.show} {
				args := []string{command}
				if command == "show" {
					args = append(args, "0@0")
				}
				_, out, talk := k.run(args...)
				hints := strings.Count(talk, "hint: ") - strings.Count(talk, "hint: see one")
				for _, hint := range want {
					if !strings.Contains(talk, "hint: "+hint) {
						t.Errorf("%s has no %q:\n%s", command, hint, talk)
					}
				}
				if hints != len(want) {
					t.Errorf("%s has %d hints, want %d:\n%s%s", command, hints, len(want), out, talk)
				}
			}
		})
	}
}

func TestHintsKeepWhatWasAskedFor(t *testing.T) {
	k := startLettered(t, 2)
	_, _, talk := k.run("list", "--class", "database", "--key", "o1", "--from", "2020-01-01", "--to", "2999-01-01", "-b", k.addr, "--db", "x.db")
	for _, want := range []string{
		"hint: see one     ordersctl dlq show 0@1 --brokers " + k.addr + " --db sqlite:x.db\n",
		"hint: try replay  ordersctl dlq replay --reason '23514 x' --class database --key o1 --from 2020-01-01 --to 2999-01-01 --brokers " + k.addr + " --db sqlite:x.db   (dry",
	} {
		if !strings.Contains(talk, want) {
			t.Errorf("no %s in\n%s", want, talk)
		}
	}
	if _, _, talk = k.run("list", "0@0"); !strings.Contains(talk, "ordersctl dlq replay 0@0 --reason '23514 x'") {
		t.Error(talk)
	}
}

func TestNewerIsNotKnownOfConnectsLetters(t *testing.T) {
	k := startLettered(t, 1)
	db := k.database(k.id, 0, 99)
	letter := &kgo.Record{Topic: "orders.dlq", Key: []byte("o0"), Value: []byte("x"), Headers: []kgo.RecordHeader{
		{Key: "__connect.errors.topic", Value: []byte("orders")}, {Key: "__connect.errors.partition", Value: []byte("0")}, {Key: "__connect.errors.offset", Value: []byte("7")},
	}}
	if err := k.cl.ProduceSync(t.Context(), letter).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if _, out, _ := k.run("list", "--db", db); newer(out)["0@1"] != "-" || newer(out)["0@0"] != "yes" {
		t.Error(out)
	}
	if _, out, _ := k.run("show", "0@1", "--db", db); !strings.Contains(out, "\nnewer    -   (the letter does not tell its topic's id)\n") {
		t.Error(out)
	}
}
