package process

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ordersctl/ordersctl/internal/unit"
)

// What is done about the schema at the start.
const (
	MigrateAuto  = "auto"  // bring it up to date
	MigrateCheck = "check" // refuse to start unless it is up to date
	MigrateOff   = "off"   // don't look
)

// What is done where the log begins behind the database's next offset.
const (
	GapStop = "stop"
	GapSkip = "skip" // the missing range is booked, then on
)

// The breaker on dead letters.
const (
	BreakerOn  = "on"
	BreakerOff = "off"
)

// Config is the "process" section of the configuration.
type Config struct {
	Group        string        `mapstructure:"group"`
	BatchRecords int           `mapstructure:"batch-records"`
	BatchBytes   unit.Size     `mapstructure:"batch-bytes"`
	BatchWait    time.Duration `mapstructure:"batch-wait"`
	Migrate      string        `mapstructure:"migrate"`
	OnOffsetGap  string        `mapstructure:"on-offset-gap"`
	DLQBreaker   string        `mapstructure:"dlq-breaker"`
	CreateDLQ    bool          `mapstructure:"create-dlq"`
	DrainTimeout time.Duration `mapstructure:"drain-timeout"`
}

// DefaultConfig is of the group orders-process.
func DefaultConfig() Config {
	return Config{
		Group: "orders-process",
		// Larger ones are hardly faster, and make others wait longer.
		BatchRecords: 1000,
		// Some ten times what 1,000 usual orders take; large ones come first here.
		BatchBytes: 4 * unit.MiB,
		// An order that comes alone waits so long for company; under load a batch is
		// full before, as records gather while the one before is written.
		BatchWait:   5 * time.Millisecond,
		Migrate:     MigrateAuto,
		OnOffsetGap: GapStop,
		DLQBreaker:  BreakerOn,
		// Under the 30 s that Kubernetes gives a pod.
		DrainTimeout: 20 * time.Second,
	}
}

// Validate names what is wrong with the section.
func (c Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("process."+format, args...)) }
	if c.Group == "" || len(c.Group) > 249 {
		bad("group %q is not 1 to 249 characters long", c.Group)
	}
	if c.BatchRecords < 1 || c.BatchRecords > 100_000 {
		bad("batch-records %d is not between 1 and 100000", c.BatchRecords)
	}
	if c.BatchBytes < unit.KiB || c.BatchBytes > 256*unit.MiB {
		bad("batch-bytes %s is not between 1KiB and 256MiB", c.BatchBytes)
	}
	if c.BatchWait < 0 || c.BatchWait > 10*time.Second {
		bad("batch-wait %s is not between 0s and 10s", c.BatchWait)
	}
	if c.DrainTimeout <= 0 || c.DrainTimeout > 10*time.Minute {
		bad("drain-timeout %s is not between 0s and 10m", c.DrainTimeout)
	}
	oneOf := func(key, value string, of ...string) {
		if !slices.Contains(of, value) {
			bad("%s %q is none of %s", key, value, strings.Join(of, ", "))
		}
	}
	oneOf("migrate", c.Migrate, MigrateAuto, MigrateCheck, MigrateOff)
	oneOf("on-offset-gap", c.OnOffsetGap, GapStop, GapSkip)
	oneOf("dlq-breaker", c.DLQBreaker, BreakerOn, BreakerOff)
	return errors.Join(errs...)
}
