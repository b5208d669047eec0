package bench

import "time"

func processTime() (time.Duration, bool) { return 0, false }

func openFiles() (uint64, bool) { return 0, false }
