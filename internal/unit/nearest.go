package unit

// Nearest is the name with the fewest edits, "" where none is near.
func Nearest(name string, names []string) string {
	best, bestDist := "", 1+len(name)/3
	for _, n := range names {
		if d := edits(name, n); d < bestDist {
			best, bestDist = n, d
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
