package bench

import (
	"strings"
	"testing"
)

type metricsOf map[string]float64

func (m metricsOf) Metric(name string) (float64, bool) {
	v, ok := m[name]
	return v, ok
}

func TestThreshold(t *testing.T) {
	m := metricsOf{
		"p99": 8.93e6, "p99.9": 61.2e6, "max": 2003e6, "error_rate": 0.0005, "lost": 0, "duplicated": 3, "rate": 4999.6, "dropped": 12,
	}
	for _, tt := range []struct {
		in    string
		value string
		ok    bool
	}{
		{"p99<50ms", "8.93 ms", true},
		{"p99<8.93ms", "8.93 ms", false},
		{"p99<=8.93ms", "8.93 ms", true},
		{"p99.9 < 50ms", "61.2 ms", false},
		{"max<3s", "2,003 ms", true},
		{"error_rate<0.1%", "0.0500 %", true},
		{"error_rate<0.0005", "0.0500 %", false},
		{"error_rate==0", "0.0500 %", false},
		{"error_rate<=100%", "0.0500 %", true},
		{"lost==0", "0", true},
		{"lost!=0", "0", false},
		{"duplicated==0", "3", false},
		{"rate>=4900", "5,000/s", true},
		{"rate>5k", "5,000/s", false},
		{"dropped<=12", "12", true},
		{"corrupted==0", "-", false}, // what nobody knows is not met
		{"p50<1h", "-", false},
	} {
		th, err := ParseThreshold(tt.in)
		if err != nil {
			t.Errorf("%s: %s", tt.in, err)
			continue
		}
		if value, ok := th.Eval(m); value != tt.value || ok != tt.ok {
			t.Errorf("%s: %s, %t, want %s, %t", tt.in, value, ok, tt.value, tt.ok)
		}
	}
}

func TestParseThresholdRefuses(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"", "compares nothing"},
		{"p99", "compares nothing"},
		{"p99=5ms", `no operator "="`},
		{"p99!5ms", `no operator "!"`},
		{"p99<", `bound "" that does not fit p99`},
		{"p99<50", `bound "50" that does not fit p99`},
		{"p99<-1ms", "does not fit"},
		{"p100<1ms", `names no figure "p100"`},
		{"p0<1ms", `names no figure "p0"`},
		{"p<1ms", `names no figure "p"`},
		{"latency<1ms", "p99.99"},
		{"error_rate<NaN", "does not fit"},
		{"error_rate<5", `bound "5" above 100 %`}, // 500 %: it could never be missed
		{"error_rate<101%", "above 100 %"},
		{"lost==0.5", "does not fit"},
		{"rate>=max", "has no bound"},
		{"rate>=x", "does not fit"},
	} {
		if _, err := ParseThreshold(tt.in); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v, want %q", tt.in, err, tt.want)
		}
	}
}
