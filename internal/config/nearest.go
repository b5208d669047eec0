package config

import (
	"maps"
	"slices"
	"strings"

	"github.com/ordersctl/ordersctl/internal/unit"
)

// nearest is the known name that may be meant, "" where none is near.
func nearest(name string, known map[string]bool) string {
	names := slices.Sorted(maps.Keys(known))
	if near := unit.Nearest(name, names); near != "" {
		return near
	}
	// "brokers" for "kafka.brokers" is near however long the section is.
	for _, k := range names {
		if strings.HasSuffix(k, "."+name) {
			return k
		}
	}
	return ""
}
