package config

import (
	"maps"
	"slices"
	"strings"
)

// nearest is the known name with the fewest edits, "" where none is near.
func nearest(name string, known map[string]bool) string {
	best, bestDist := "", 1+len(name)/3
	for _, k := range slices.Sorted(maps.Keys(known)) {
		if d := edits(name, k); d < bestDist {
			best, bestDist = k, d
		}
		// "brokers" for "kafka.brokers" is near however long the section is.
		if strings.HasSuffix(k, "."+name) && best == "" {
			best = k
		}
	}
	return best
}

// edits is the Levenshtein distance.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diag := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diag
			if a[i-1] != b[j-1] {
				cost++
			}
			diag, row[j] = row[j], min(cost, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
