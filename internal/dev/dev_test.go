package dev

import "testing"

func TestAddressesAreShownAsPeopleReachThem(t *testing.T) {
	for addr, want := range map[string]string{
		"127.0.0.1:8080":   "localhost:8080",
		"[::1]:8080":       "localhost:8080",
		"0.0.0.0:8080":     "localhost:8080",
		"[::]:8080":        "localhost:8080",
		"127.0.0.2:8080":   "127.0.0.2:8080",
		"192.168.1.5:8080": "192.168.1.5:8080",
	} {
		if got := shown(addr); got != want {
			t.Errorf("shown(%q) = %q, want %q", addr, got, want)
		}
	}
}

func TestOnlyAHostThatIsNamedLeavesThisMachine(t *testing.T) {
	for listen, want := range map[string]string{
		":8080":          "localhost:8080",
		"0.0.0.0:8080":   "0.0.0.0:8080",
		"127.0.0.2:8080": "127.0.0.2:8080",
	} {
		if got := local(listen); got != want {
			t.Errorf("local(%q) = %q, want %q", listen, got, want)
		}
	}
}

func TestTheBrokerStaysOnLoopback(t *testing.T) {
	for listen, ok := range map[string]bool{"localhost:9092": true, "127.0.0.1:0": true, "0.0.0.0:9092": false, "9092": false, ":9092": false} {
		c := DefaultConfig()
		c.KafkaListen = listen
		if err := c.Validate(); (err == nil) != ok {
			t.Errorf("dev.kafka-listen %q: %v", listen, err)
		}
	}
}
