package interop

import (
	"context"
	"net"
	"strings"
	"sync"
)

// recorder remembers the order of reads and writes of one connection.
type recorder struct {
	mu  sync.Mutex
	ops strings.Builder // r and w
}

type recordedConn struct {
	net.Conn
	rec *recorder
}

func (r *recorder) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, network, addr)
	return recordedConn{nc, r}, err
}

func (r *recorder) note(op byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ops.WriteByte(op)
}

func (c recordedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.rec.note('r')
	return n, err
}

func (c recordedConn) Write(p []byte) (int, error) {
	c.rec.note('w')
	return c.Conn.Write(p)
}

func (r *recorder) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ops.String()
}

func (r *recorder) writesAfterLastRead() int {
	ops := r.String()
	return len(ops) - 1 - strings.LastIndexByte(ops, 'r')
}
