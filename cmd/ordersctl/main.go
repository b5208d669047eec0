// Command ordersctl runs and load-tests an order pipeline on Apache Kafka.
package main

import (
	"os"

	"github.com/ordersctl/ordersctl/internal/commands"
)

var version string // set by the linker at a release

func main() { os.Exit(commands.Main(version)) }
