package dlq

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/ordersctl/ordersctl/internal/order"
)

// Filter says which letters are meant; all that it names must hold. The zero
// Filter means every letter.
type Filter struct {
	From, To time.Time // when the letter was written, From on and before To; zero for no bound
	Classes  []string  // any of these
	Reasons  []Glob    // any of these
	Key      *string   // the record's key or the order's id, which may differ
	Letters  []Place   // these alone; each has to be there
	Edits    *Edits    // those that have a line there
}

// matchesKind judges what many letters have in common.
func (f *Filter) matchesKind(k *kind) bool {
	if len(f.Classes) > 0 && !slices.Contains(f.Classes, k.Class) {
		return false
	}
	return len(f.Reasons) == 0 || slices.ContainsFunc(f.Reasons, func(g Glob) bool { return g.Match(k.Reason) })
}

// matches judges the rest.
func (f *Filter) matches(l *Letter, dec *order.Decoder) bool {
	switch {
	case !f.From.IsZero() && l.Written.Before(f.From), !f.To.IsZero() && !l.Written.Before(f.To):
		return false
	case f.Key != nil && string(l.Key) != *f.Key && (*f.Key == "" || l.OrderID(dec) != *f.Key):
		return false
	}
	if f.Edits != nil && !f.Edits.Has(l.Place) {
		return false
	}
	return len(f.Letters) == 0 || slices.Contains(f.Letters, l.Place)
}

// Glob is a pattern: * for any characters, ? for one, all else for itself.
type Glob struct{ re *regexp.Regexp }

// ParseGlob reads a pattern, which has to match the whole text.
func ParseGlob(pattern string) (Glob, error) {
	if pattern == "" {
		return Glob{}, fmt.Errorf("the pattern is empty; * matches everything")
	}
	text := regexp.QuoteMeta(pattern)
	text = strings.NewReplacer(`\*`, `.*`, `\?`, `.`).Replace(text)
	re, err := regexp.Compile(`(?s)^` + text + `$`)
	return Glob{re}, err
}

// Match tells whether the whole text matches.
func (g Glob) Match(text string) bool { return g.re.MatchString(text) }
