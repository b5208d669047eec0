package order_test

import (
	"errors"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/ordersctl/ordersctl/internal/order"
)

// reference is the decoder that nobody has to believe: json v2 for the syntax, and the rules of
// an order written down as plainly as they can be, with no thought for speed. It knows no fault
// texts, only yes or no.
func reference(data []byte, statuses []string) (order.Order, error) {
	var v struct {
		ID        *string        `json:"id"`
		UserID    *string        `json:"user_id"`
		Total     jsontext.Value `json:"total"`
		Status    *string        `json:"status"`
		Timestamp *string        `json:"timestamp"`
	}
	if err := json.Unmarshal(data, &v, json.RejectUnknownMembers(true)); err != nil {
		return order.Order{}, err
	}
	if v.ID == nil || v.UserID == nil || v.Total == nil || v.Status == nil || v.Timestamp == nil {
		return order.Order{}, errRefused
	}
	total, totalOK := referenceTotal(string(v.Total))
	at, timeOK := referenceTime(*v.Timestamp)
	ok := totalOK && timeOK && referenceText(*v.ID) && referenceText(*v.UserID) &&
		wellFormedStatus.MatchString(*v.Status) &&
		(len(statuses) == 0 || slices.Contains(statuses, *v.Status))
	if !ok {
		return order.Order{}, errRefused
	}
	return order.Order{ID: *v.ID, UserID: *v.UserID, Total: total, Status: *v.Status, Timestamp: at}, nil
}

var (
	errRefused       = errors.New("refused")
	wellFormedStatus = regexp.MustCompile(`^[a-z0-9_-]{1,32}$`)
	wellFormedTime   = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$`)
	wellFormedNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)
)

func referenceText(s string) bool {
	n := utf8.RuneCountInString(s)
	return n >= 1 && n <= 128 && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

func referenceTime(s string) (time.Time, bool) {
	if !wellFormedTime.MatchString(s) {
		return time.Time{}, false
	}
	var t time.Time
	if err := json.Unmarshal([]byte(`"`+s+`"`), &t); err != nil {
		return time.Time{}, false
	}
	t = t.UTC()
	return t, t.Year() >= 1970 && t.Year() <= 9999
}

func referenceTotal(s string) (order.Total, bool) {
	if len(s) > 40 || !wellFormedNumber.MatchString(s) {
		return 0, false
	}
	mantissa, exponent, _ := strings.Cut(strings.ToLower(s), "e")
	r, ok := new(big.Rat).SetString(mantissa)
	if !ok {
		return 0, false
	}
	if r.Sign() == 0 {
		return 0, true
	}
	// A mantissa of 40 characters is out of range with any exponent of more digits than two,
	// and big.Rat would take its time to find that out.
	if len(strings.TrimLeft(exponent, "+-0")) > 2 {
		return 0, false
	}
	if r, ok = r.SetString(s); !ok {
		return 0, false
	}
	r.Mul(r, big.NewRat(10_000, 1))
	if !r.IsInt() || !r.Num().IsUint64() || r.Num().Uint64() >= 1e19 {
		return 0, false
	}
	return order.Total(r.Num().Uint64()), true
}
