package ingest

import "net"

// ListenOn replaces the listener of a server that does not run yet, for tests whose connections are not sockets.
func (s *Server) ListenOn(l net.Listener) {
	_ = s.listener.Close() // nothing was accepted on it
	s.listener = l
}

// AlsoLook has the server, which does not run yet, call look each time that it looks at its files.
func (s *Server) AlsoLook(look func()) { s.guard.looks = append(s.guard.looks, look) }
