package sink

import (
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Error is what a database answered, with the next step.
type Error struct {
	Doing string // "open postgres://db/orders"
	Err   error
	Class Class
	Next  string
	code  int
}

func (e *Error) Error() string {
	if e.Doing == "" {
		return e.Err.Error()
	}
	return e.Doing + ": " + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// Hint is the next step.
func (e *Error) Hint() string { return e.Next }

// ExitCode is 4 where the database can't be reached.
func (e *Error) ExitCode() int {
	if e.code != 0 {
		return e.code
	}
	return 1
}

// exitUnreachable is the exit code of a broker or database that can't be reached.
const exitUnreachable = 4

// ClassOf tells what to do about an error of a [Store]. What it does not know
// is an outage.
func ClassOf(err error) Class {
	var (
		ours     *Error
		broken   *brokenError
		postgres *pgconn.PgError
		lite     *sqlite.Error
	)
	switch {
	case errors.As(err, &broken):
		return ClassDeploy
	case errors.As(err, &postgres):
		return classOfState(postgres.Code)
	case errors.As(err, &lite):
		return classOfSQLite(lite)
	case errors.Is(err, errRaced):
		return ClassRetry
	case errors.As(err, &ours) && ours.Class != "":
		return ours.Class
	}
	return ClassOutage
}

// classOfState reads a SQLSTATE (PostgreSQL's documentation, appendix A). Those
// of five characters are exceptions to the class of their first two.
func classOfState(code string) Class {
	switch code {
	case "55P03", // lock_not_available: lock_timeout
		"0A000", // cached plan must not change result type, after a migration
		"26000": // a prepared statement is gone, the same
		return ClassRetry
	case "P0001": // raise_exception: a trigger refuses the row; of the rest of P0 nobody knows what it means
		return ClassData
	}
	if len(code) < 2 {
		return ClassOutage
	}
	switch code[:2] {
	case "22", "23":
		return ClassData
	case "40":
		return ClassRetry
	case "28", "3D", "3F", "42":
		return ClassDeploy
	}
	return ClassOutage
}

func classOfSQLite(err *sqlite.Error) Class {
	const primary = 0xff
	switch err.Code() & primary {
	case sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_MISMATCH:
		return ClassData
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_SCHEMA, sqlite3.SQLITE_PROTOCOL:
		return ClassRetry
	case sqlite3.SQLITE_ERROR, // no such table, no such column: its only others are faults of ours
		sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH, sqlite3.SQLITE_CANTOPEN,
		sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT:
		return ClassDeploy
	}
	return ClassOutage
}

// refusalOf is why the database does not take a record.
func refusalOf(err error) *Refusal {
	var postgres *pgconn.PgError
	if errors.As(err, &postgres) {
		what := postgres.ConstraintName
		if what == "" {
			what = postgres.ColumnName
		}
		if what == "" { // the message may quote a value: not the same for the same cause
			what = sqlStateName(postgres.Code)
		}
		detail := postgres.Message
		if postgres.Detail != "" {
			detail += ": " + postgres.Detail
		}
		return &Refusal{Class: RefusedDatabase, Reason: strings.TrimSpace(postgres.Code + " " + what), Detail: detail}
	}
	// "constraint failed: CHECK constraint failed: orders_total (275)"
	text := strings.TrimPrefix(err.Error(), "constraint failed: ")
	if at := strings.LastIndex(text, " ("); at > 0 {
		text = text[:at]
	}
	return &Refusal{Class: RefusedDatabase, Reason: text, Detail: err.Error()}
}

// sqlStateName is the name of a data error that names no constraint or column.
func sqlStateName(code string) string {
	switch code {
	case "22001":
		return "string_data_right_truncation"
	case "22003":
		return "numeric_value_out_of_range"
	case "22008":
		return "datetime_field_overflow"
	case "22021":
		return "character_not_in_repertoire"
	case "22P05":
		return "untranslatable_character"
	case "P0001":
		return "raise_exception"
	}
	return ""
}
