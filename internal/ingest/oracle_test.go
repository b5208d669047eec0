package ingest_test

import (
	"math/big"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// oracleID says whether a body is an order, and whose id it is, without a line of package order: json v2 for the
// syntax and the rules of an order as plainly as they can be written.
func oracleID(body []byte) (id string, ok bool) {
	var o struct {
		ID        *string        `json:"id"`
		UserID    *string        `json:"user_id"`
		Total     jsontext.Value `json:"total"`
		Status    *string        `json:"status"`
		Timestamp *string        `json:"timestamp"`
	}
	if err := json.Unmarshal(body, &o, json.RejectUnknownMembers(true)); err != nil {
		return "", false
	}
	if o.ID == nil || o.UserID == nil || o.Total == nil || o.Status == nil || o.Timestamp == nil {
		return "", false
	}
	return *o.ID, oracleText(*o.ID) && oracleText(*o.UserID) && oracleTotal(string(o.Total)) &&
		oracleStatus.MatchString(*o.Status) && oracleTime(*o.Timestamp)
}

var (
	oracleStatus = regexp.MustCompile(`^[a-z0-9_-]{1,32}$`)
	oracleClock  = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$`)
	// JSON's grammar is json v2's to check. An exponent of three digits moves no valid total into the range, unless
	// its zeros lead, and makes big.Rat take its time.
	oracleExponent = regexp.MustCompile(`[eE][+-]?0*[1-9][0-9]{2,}$`)
)

func oracleText(s string) bool {
	n := utf8.RuneCountInString(s)
	return n >= 1 && n <= 128 && !strings.ContainsFunc(s, unicode.IsControl)
}

func oracleTotal(s string) bool {
	mantissa, _, _ := strings.Cut(strings.ToLower(s), "e")
	zero := strings.Trim(mantissa, "-0.") == ""
	if len(s) > 40 || zero || oracleExponent.MatchString(s) {
		return len(s) <= 40 && zero
	}
	r, ok := new(big.Rat).SetString(s)
	if !ok || r.Sign() < 0 || r.Cmp(big.NewRat(1e15, 1)) >= 0 {
		return false
	}
	return r.Mul(r, big.NewRat(10_000, 1)).IsInt()
}

func oracleTime(s string) bool {
	if !oracleClock.MatchString(s) {
		return false
	}
	at, err := time.Parse(time.RFC3339Nano, s)
	return err == nil && at.UTC().Year() >= 1970 && at.UTC().Year() <= 9999
}
