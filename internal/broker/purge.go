package broker

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// keepPurgedOffsets makes kfake remember where a partition stood that was
// purged empty. Of what it wrote at its close kfake believes only what
// describes a segment file, and a purged partition has none: it would start
// again at offset 0, and whoever skips what it has read before would skip new
// records. So such a partition gets an empty segment file where its next record
// belongs.
//
// The directory must be at rest: locked by us, no kfake on it. After a kill the
// last close's word may be an old one, and the offsets go back to that.
func keepPurgedOffsets(dir string) error {
	snapshots, err := filepath.Glob(filepath.Join(dir, "partitions", "*", "snapshot.json"))
	if err != nil {
		return err
	}
	for _, path := range snapshots {
		if err := keepPurgedOffset(path); err != nil {
			return fmt.Errorf("keep a purged partition's offsets: %w", err)
		}
	}
	return nil
}

func keepPurgedOffset(path string) error {
	dir := filepath.Dir(path)
	segments, err := filepath.Glob(filepath.Join(dir, "*.dat"))
	if err != nil {
		return err
	}
	for _, segment := range segments {
		if info, err := os.Stat(segment); err != nil || info.Size() > 0 {
			return err
		}
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var snapshot map[string]json.RawMessage
	var end int64
	if json.Unmarshal(raw, &snapshot) != nil || json.Unmarshal(snapshot["high_watermark"], &end) != nil || end == 0 {
		return nil // nothing was ever there; what cannot be read kfake judges
	}
	snapshot["log_start_offset"] = snapshot["high_watermark"]
	snapshot["segments"] = fmt.Appendf(nil, `[{"base_offset":%d,"size":0}]`, end)
	if raw, err = json.Marshal(snapshot); err != nil {
		return err
	}

	// kfake wants exactly the files that are described. Empty ones from the last
	// time hold nothing; a crash anywhere in here leads here again.
	for _, segment := range segments {
		if err := os.Remove(segment); err != nil {
			return err
		}
	}
	next := path + ".tmp"
	if err := os.WriteFile(next, raw, 0o600); err != nil {
		return err
	}
	if err := os.Rename(next, path); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, strconv.FormatInt(end, 10)+".dat"), nil, 0o600)
}
