package topic

import (
	"errors"
	"fmt"
)

// Config is the "new-topic" section of the configuration: what a topic gets
// that we create.
type Config struct {
	Partitions int `mapstructure:"partitions"`
	Replicas   int `mapstructure:"replicas"`
}

// DefaultConfig fits one broker; production wants Replicas 3.
func DefaultConfig() Config { return Config{Partitions: 3, Replicas: 1} }

// Validate names what is wrong with the section.
func (c Config) Validate() error {
	var errs []error
	if c.Partitions < 1 || c.Partitions > 100_000 {
		errs = append(errs, fmt.Errorf("new-topic.partitions %d is not between 1 and 100000", c.Partitions))
	}
	if c.Replicas < 1 || c.Replicas > 1000 {
		errs = append(errs, fmt.Errorf("new-topic.replicas %d is not between 1 and 1000", c.Replicas))
	}
	return errors.Join(errs...)
}
