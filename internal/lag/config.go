package lag

import (
	"errors"
	"time"

	"github.com/ordersctl/ordersctl/internal/telemetry"
)

// Config is the "status" section of the configuration.
type Config struct {
	Admin   []string      `mapstructure:"admin"`
	Timeout time.Duration `mapstructure:"timeout"`
}

// DefaultConfig asks at admin.listen, on this machine.
func DefaultConfig() Config {
	// A process answers in milliseconds; a screen should not stand still for one
	// that does not.
	return Config{Timeout: 2 * time.Second}
}

// Validate names what is wrong with the section.
func (c Config) Validate() error {
	var errs []error
	for _, addr := range c.Admin {
		errs = append(errs, telemetry.ValidateListen("status.admin", addr))
	}
	if c.Timeout <= 0 {
		errs = append(errs, errors.New("status.timeout is not more than 0"))
	}
	return errors.Join(errs...)
}
