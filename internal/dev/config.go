package dev

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/ordersctl/ordersctl/internal/broker"
	"github.com/ordersctl/ordersctl/internal/sink"
)

// Config is the "dev" section of the configuration.
type Config struct {
	DataDir     string   `mapstructure:"data-dir"`
	KafkaListen string   `mapstructure:"kafka-listen"`
	Sync        bool     `mapstructure:"sync"`
	DB          sink.URL `mapstructure:"db"` // of dev alone; "" is a SQLite file in the data directory
}

// DefaultConfig keeps its data in the user's data folder.
func DefaultConfig() Config { return Config{KafkaListen: "localhost:9092"} }

// Validate names what is wrong with the section.
func (c Config) Validate() error {
	kafka := broker.DefaultConfig()
	kafka.Listen = c.KafkaListen
	if err := kafka.Validate(); err != nil {
		return fmt.Errorf("dev.kafka-listen: %w", err)
	}
	if c.DB != "" {
		db := sink.DefaultConfig()
		db.URL = c.DB
		if err := db.Validate(); err != nil {
			return fmt.Errorf("dev.db: %w", err)
		}
	}
	return nil
}

// Dir is the data directory: the one that is set, or ordersctl in the user's
// data folder (XDG Base Directory).
func (c Config) Dir() (string, error) {
	if c.DataDir != "" {
		return c.DataDir, nil
	}
	if base := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(base) {
		return filepath.Join(base, "ordersctl"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("find the data folder: %w", err)
	}
	return filepath.Join(home, ".local", "share", "ordersctl"), nil
}
