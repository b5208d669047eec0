package commands

import (
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ordersctl/ordersctl/internal/dlq"
	"github.com/ordersctl/ordersctl/internal/sink"
)

// What can be done about a letter, by its class.
type remedy int

const (
	replayIt  remedy = iota // as it is, once the cause is repaired
	editIt                  // as it is it would come back
	discardIt               // it can't be replayed at all
)

func remedyOf(class string) remedy {
	switch class {
	case dlq.ClassConnect:
		return discardIt
	case sink.RefusedDecode, sink.RefusedValidation, sink.RefusedTombstone, sink.RefusedKey, sink.RefusedEventID, sink.RefusedEventConflict:
		return editIt
	}
	return replayIt
}

// hints says what to type next.
func (o *dlqListOptions) hints(v *dlqList) {
	app := o.app
	if len(v.rows.list) > 0 && v.rows.why != "" {
		app.say("NEWER is not known: %s", v.rows.why)
	}
	groups := v.index.Groups()
	switch {
	case v.index.Len() == 0 && o.sel.isEmpty():
		app.say("there are no letters in %s", v.index.Topic)
	case v.index.Len() == 0:
		app.say("no letter of %s matches", v.index.Topic)
	case len(groups) == 0 && !o.all:
		app.say("none of them is open; --all lists them")
	case len(groups) > 0:
		o.hintsFor(&groups[0])
	}
}

// hintsFor means the letters of the first cause, and no more of them than were
// asked for.
func (o *dlqListOptions) hintsFor(g *dlq.Group) {
	where := given(o.cmd, "config", "context", "brokers")
	db := given(o.cmd, "db")
	which := ""
	for _, name := range o.args {
		which += " " + shellWord(name)
	}
	which += " --reason " + shellWord(reasonPattern(g.Reason)) + given(o.cmd, "class", "key", "since", "from", "to") + where
	app := o.app
	app.say("hint: see one     ordersctl dlq show %s%s%s", g.Letter.Short(), where, db)
	switch remedyOf(g.Class) {
	case editIt:
		app.say("hint: repair them ordersctl dlq export%s > letters.ndjson   (then dlq replay --input letters.ndjson%s%s)", which, where, db)
	case discardIt:
		app.say("hint: give up     ordersctl dlq discard%s   (they don't tell their topic's id, and can't be replayed)", which)
	default:
		app.say("hint: try replay  ordersctl dlq replay%s%s   (dry until --execute)", which, db)
	}
}

// hints says what to type next.
func (v *shownLetter) hints(app *App, cmd *cobra.Command) {
	if v.state != dlq.Open {
		return
	}
	name, where, db := v.letter.Place.Short(), given(cmd, "config", "context", "brokers"), given(cmd, "db")
	what := remedyOf(v.letter.Class)
	if what == replayIt && (len(v.faults) > 0 || v.letter.Value == nil) {
		what = editIt
	}
	if what == replayIt {
		app.say("hint: replay it   ordersctl dlq replay %s%s%s   (dry until --execute)", name, where, db)
	}
	if what != discardIt {
		app.say("hint: edit it     ordersctl dlq export %s%s > letter.ndjson   (then dlq replay --input letter.ndjson%s%s)", name, where, where, db)
	}
	if what != replayIt {
		app.say("hint: give it up  ordersctl dlq discard %s%s", name, where)
	}
}

// given are those of the flags that the command line has, as a shell reads them.
func given(cmd *cobra.Command, names ...string) string {
	var b strings.Builder
	for _, name := range names {
		f := cmd.Flags().Lookup(name)
		if f == nil || !f.Changed {
			continue
		}
		value := f.Value.String()
		if list, ok := f.Value.(pflag.SliceValue); ok {
			value = strings.Join(list.GetSlice(), ",")
		}
		if name == "db" {
			value = sink.URL(value).String() // without its password
		}
		b.WriteString(" --" + name + " " + shellWord(value))
	}
	return b.String()
}

// reasonPattern is a pattern for the reason and those like it: what stands
// before the first colon names the field.
func reasonPattern(reason string) string {
	if at := strings.Index(reason, ":"); at > 0 && strings.HasPrefix(reason, "/") {
		reason = reason[:at] + "*"
	}
	// What is no plain character is matched by ?, as nobody can type it.
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || isObeyed(r) {
			return '?'
		}
		return r
	}, reason)
}
