package process

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/ordersctl/ordersctl/internal/sink"
)

// SchemaError says that the database's schema is not the one of this program.
type SchemaError struct{ Have, Want int64 }

func (e *SchemaError) Error() string {
	return fmt.Sprintf("the database's schema is %d, this program wants %d", e.Have, e.Want)
}

// Hint is the next step.
func (e *SchemaError) Hint() string {
	if e.Have > e.Want {
		return "a newer program has migrated it: use that one"
	}
	return `run "ordersctl db migrate", or let process do it with --migrate auto`
}

// OpenStore does with the schema what migrate says and opens the database.
func OpenStore(ctx context.Context, migrate string, db sink.Config, log *slog.Logger) (sink.Store, error) {
	switch migrate {
	case MigrateAuto:
		from, to, err := sink.Migrate(ctx, db, log)
		if err != nil {
			return nil, err
		}
		if from != to {
			log.Info("the database's schema was migrated", "from", from, "to", to)
		}
	case MigrateCheck:
		have, want, err := sink.Schema(ctx, db)
		if err != nil {
			return nil, err
		}
		if have != want {
			return nil, &SchemaError{have, want}
		}
	}
	return sink.Open(ctx, db, sink.OpenOptions{Log: log})
}
