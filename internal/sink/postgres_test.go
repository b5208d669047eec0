package sink

import "testing"

func TestPoolConfig(t *testing.T) {
	for _, c := range []struct {
		url  string
		want int32
	}{
		{"postgres://u@h/d", maxConnections},
		{"postgres://u@h/d?pool_max_conns=3", 3},
		{"postgres://u@h/d?pool_max_conns=4", 4}, // pgx's own default on a small machine
		{"postgres://u@h/d?pool_max_conns=64", 64},
	} {
		target, err := URL(c.url).parse()
		if err != nil {
			t.Fatal(err)
		}
		if pc, err := poolConfig(DefaultConfig(), target); err != nil || pc.MaxConns != c.want {
			t.Errorf("%s has %d connections, wanted %d, %v", c.url, pc.MaxConns, c.want, err)
		}
	}
}
