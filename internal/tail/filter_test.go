package tail

import (
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ordersctl/ordersctl/internal/order"
)

const goodValue = `{"id":"ord-1","user_id":"u-7","total":99.99,"status":"pending","timestamp":"2024-10-01T12:34:56Z"}`

func viewOf(r *kgo.Record) *view {
	v := &view{decoder: order.NewDecoder(order.Rules{})}
	v.reset(r)
	return v
}

func good() *kgo.Record {
	return &kgo.Record{Topic: "orders", Key: []byte("ord-1"), Value: []byte(goodValue), Headers: []kgo.RecordHeader{
		{Key: "client", Value: []byte("shop-web")}, {Key: "tag", Value: []byte("a")}, {Key: "tag", Value: []byte("b")},
	}}
}

func TestWhereOnAnOrder(t *testing.T) {
	now := at("2024-10-01T13:00:00Z")
	for _, tt := range []struct {
		where string
		want  bool
	}{
		{"status=pending", true},
		{"status==pending", true},
		{" status = pending ", true},
		{"status=paid", false},
		{"status!=paid", true},
		{`status="pending"`, true},
		{"status = 'pending'", true},
		{`status!="pending"`, false},
		{`status="paid"`, false},
		{`status~ "^pen" `, true},
		{`status="pending'`, false},
		{`status="pending`, false},
		{`status="`, false},
		{`key='"ord-1"'`, false}, // one pair is taken off
		{`key="ord-1"`, true},
		{`total > "99.98"`, true},
		{`timestamp>'2024-10-01'`, true},
		{`header.client = "shop-web"`, true},
		{"status~^pen", true},
		{"id=ord-1", true},
		{"user_id~^u-[0-9]$", true},
		{"key=ord-1", true},
		{"key!=ord-1", false},
		{"total=99.99", true},
		{"total=99.9900", true},
		{"total=9999e-2", true},
		{"total>99.9899", true},
		{"total>99.99", false},
		{"total>=99.99", true},
		{"total<100", true},
		{"total<=99.9899", false},
		{"total!=1", true},
		{"total~[.]99$", true},
		{"timestamp=2024-10-01T14:34:56+02:00", true},
		{"timestamp>2024-10-01", true},
		{"timestamp<2024-10-01", false},
		{"timestamp>=30m", true},
		{"timestamp<10m", true},
		{"timestamp~:56Z$", true},
		{"header.client=shop-web", true},
		{"header.client~web$", true},
		{"header.tag=b", true},
		{"header.tag!=b", false},
		{"header.none!=b", true},
		{"header.none=", false},
	} {
		var f Filter
		if err := f.Where(tt.where, now); err != nil {
			t.Errorf("%s: %v", tt.where, err)
			continue
		}
		if show, judged := f.match(viewOf(good())); show != tt.want || !judged {
			t.Errorf("%s: shown %v, judged %v, wants %v, true", tt.where, show, judged, tt.want)
		}
	}
}

func TestFilterNeverHidesWhatItCannotJudge(t *testing.T) {
	bad := &kgo.Record{Topic: "orders", Key: []byte("k"), Value: []byte("not json")}
	for _, tt := range []struct {
		where        string
		record       *kgo.Record
		show, judged bool
	}{
		{"total>100", bad, true, false},
		{"status=paid", bad, true, false},
		{"status=paid", &kgo.Record{Key: []byte("k")}, true, false},
		{"key=k", bad, true, true},
		{"key=other", bad, false, true},
		{"header.x=y", bad, false, true},
		// The order is there, whatever the key says.
		{"total>100", &kgo.Record{Key: []byte("k"), Value: []byte(goodValue)}, false, true},
	} {
		var f Filter
		if err := f.Where(tt.where, time.Time{}); err != nil {
			t.Fatal(err)
		}
		if show, judged := f.match(viewOf(tt.record)); show != tt.show || judged != tt.judged {
			t.Errorf("%s of %s: shown %v, judged %v, wants %v, %v", tt.where, tt.record.Value, show, judged, tt.show, tt.judged)
		}
	}
}

func TestGrep(t *testing.T) {
	for _, tt := range []struct {
		grep string
		want bool
	}{
		{"k:^ord", true},
		{"!k:^ord", false},
		{`v:"status":"pending"`, true},
		{"v:a:b", false},
		{"hk:^cli", true},
		{"!hk:^none$", true},
		{"hv:shop", true},
		{"h:tag=^b$", true},
		{"h:tag=c", false},
		{"!h:tag=c", true},
		{"t:^orders$", true},
	} {
		var f Filter
		if err := f.Grep(tt.grep); err != nil {
			t.Errorf("%s: %v", tt.grep, err)
			continue
		}
		if show, _ := f.match(viewOf(good())); show != tt.want {
			t.Errorf("%s: shown %v, wants %v", tt.grep, show, tt.want)
		}
	}
}

func TestSeveralConditionsMustAllHold(t *testing.T) {
	var f Filter
	for _, where := range []string{"status=pending", "total>50"} {
		if err := f.Where(where, time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Grep("k:ord-2"); err != nil {
		t.Fatal(err)
	}
	if show, _ := f.match(viewOf(good())); show {
		t.Error("shown, though one of three does not hold")
	}
}

func TestBadFiltersSayWhatWouldDo(t *testing.T) {
	for _, tt := range []struct{ where, want string }{
		{"", "not FIELD OPERATOR VALUE"},
		{"status", "not FIELD OPERATOR VALUE"},
		{"=pending", "not FIELD OPERATOR VALUE"},
		{"stat=pending", "one of id, user_id"},
		{"Status=pending", "one of id, user_id"},
		{"status>pending", "use =, != or ~"},
		{"header.x>1", "use =, != or ~"},
		{"total>ten", "not a JSON number"},
		{"total>-1", "is negative"},
		{"total=1.00001", "decimals"},
		{"timestamp>yesterday", "not a time"},
		{"id~[", "not a regular expression"},
		{"header.=1", "not FIELD OPERATOR VALUE"},
	} {
		var f Filter
		if err := f.Where(tt.where, time.Time{}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Where(%q) is %v, wants %q in it", tt.where, err, tt.want)
		}
	}
	for _, tt := range []struct{ grep, want string }{
		{"", "PLACE:REGEXP"}, {"!", "PLACE:REGEXP"}, {"k", "PLACE:REGEXP"}, {"x:a", "none of k:"}, {"h:tag", "PLACE:REGEXP"}, {"k:(", "not a regular expression"}, {":a", "none of k:"},
	} {
		var f Filter
		if err := f.Grep(tt.grep); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Grep(%q) is %v, wants %q in it", tt.grep, err, tt.want)
		}
	}
}

func FuzzFilters(f *testing.F) {
	for _, s := range []string{"status=pending", "total>100", "timestamp<1d", "header.a~b", "!k:x", "h:a=b", "key!="} {
		f.Add(s, []byte(goodValue))
	}
	f.Add("total~9", []byte("nonsense"))
	f.Fuzz(func(_ *testing.T, text string, value []byte) {
		var filter Filter
		_ = filter.Where(text, time.Unix(0, 0)) // must not panic, nor must the match
		_ = filter.Grep(text)
		r := good()
		r.Value = value
		filter.match(viewOf(r))
	})
}
