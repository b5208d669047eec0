package bench

import "time"

// lookAfter is when a server may have closed an idle connection.
const lookAfter = 500 * time.Millisecond

// looker has nothing here.
type looker struct{}

// look can't look without waiting here: a connection that lay idle is made
// anew.
func (c *conn) look() connState { return connClosed }

func (c *conn) take([]byte) (int, error) { return 0, errNothing }
