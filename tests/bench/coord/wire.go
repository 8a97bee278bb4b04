// wire.go: a client's connection to a coordinator: TCP, the upgrade to Noise, and HTTP/2 inside. It knows no JSON.
//
// Handshake and records are the stock client's own code. Its HTTP/2 is not: net/http would cost the swarm several times
// what it costs the coordinator, and both share the cores. What is sent, and in which order, is what net/http sends.

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"tailscale.com/control/controlbase"
	"tailscale.com/control/ts2021"
	"tailscale.com/tailcfg"
	"tailscale.com/types/key"
)

const (
	dialLimit    = 10 * time.Second // a stock client's, for everything up to the end of the Noise handshake
	streamWindow = 4 << 20
	connWindow   = 1 << 30
	refillAt     = 1 << 20
	answerLimit  = 64 << 10 // of what is no map
)

// ahead reads what a connection has into a buffer, so that many records cost one read().
type ahead struct {
	net.Conn
	in *bufio.Reader
}

func (a *ahead) Read(p []byte) (int, error) { return a.in.Read(p) }

type wire struct {
	conn *ts2021.Conn
	fr   *http2.Framer // reads from conn, writes to out
	done chan struct{} // closed when the connection is over

	mu     sync.Mutex
	room   *sync.Cond // window was opened, or the connection is over
	out    bytes.Buffer
	enc    *hpack.Encoder
	encBuf bytes.Buffer
	open   map[uint32]*exchange
	last   uint32
	window int64 // what the server takes of bodies
	err    error
}

// exchange is one request and its answer. Only the reader of the connection touches it until done is closed.
type exchange struct {
	id     uint32
	take   func(data []byte) // gets the body of a 200; without it the body is kept
	status int
	answer []byte
	unread int // of the stream's window
	err    error
	done   chan struct{}
}

// route is the way to a coordinator.
type route struct {
	addr      string
	from      netip.Addr // without one, any address of this machine
	connected func()     // called for every TCP connection
}

func (r route) connect(ctx context.Context) (net.Conn, error) {
	d := net.Dialer{Timeout: dialLimit}
	if r.from.IsValid() {
		d.LocalAddr = &net.TCPAddr{IP: r.from.AsSlice()}
	}
	conn, err := d.DialContext(ctx, "tcp", r.addr)
	if err == nil {
		r.connected()
	}
	return conn, err
}

// fetchKey asks for the coordinator's Noise key, on a connection of its own, as a stock client does once.
func (r route) fetchKey(ctx context.Context) (key.MachinePublic, error) {
	conn, err := r.connect(ctx)
	if err != nil {
		return key.MachinePublic{}, err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(dialLimit))
	fmt.Fprintf(conn, "GET /key?v=%d HTTP/1.1\r\nHost: %s\r\nUser-Agent: Go-http-client/1.1\r\nConnection: close\r\n\r\n",
		tailcfg.CurrentCapabilityVersion, r.addr)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return key.MachinePublic{}, fmt.Errorf("GET /key: %w", err)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, answerLimit))
	if err != nil || res.StatusCode != 200 {
		return key.MachinePublic{}, fmt.Errorf("GET /key: %s: %.100s %v", res.Status, body, err)
	}
	_, text, _ := strings.Cut(string(body), `"publicKey":"`)
	text, _, _ = strings.Cut(text, `"`)
	var k key.MachinePublic
	if err := k.UnmarshalText([]byte(text)); err != nil {
		return k, fmt.Errorf("GET /key: %.100s: %w", body, err)
	}
	return k, nil
}

// dial connects and returns once HTTP/2 may be used.
func (r route) dial(ctx context.Context, machine key.MachinePrivate, server key.MachinePublic) (*wire, error) {
	conn, err := r.connect(ctx)
	if err != nil {
		return nil, err
	}
	w, err := upgrade(ctx, conn, r.addr, machine, server)
	if err != nil {
		conn.Close()
		return nil, err
	}
	return w, nil
}

func upgrade(ctx context.Context, conn net.Conn, addr string, machine key.MachinePrivate,
	server key.MachinePublic) (*wire, error) {
	first, finish, err := controlbase.ClientDeferred(machine, server, uint16(tailcfg.CurrentCapabilityVersion))
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(time.Now().Add(dialLimit))
	if _, err := fmt.Fprintf(conn, "POST /ts2021 HTTP/1.1\r\nHost: %s\r\nUser-Agent: Go-http-client/1.1\r\n"+
		"Content-Length: 0\r\nConnection: upgrade\r\nUpgrade: tailscale-control-protocol\r\nX-Tailscale-Handshake: %s\r\n\r\n",
		addr, base64.StdEncoding.EncodeToString(first)); err != nil {
		return nil, err
	}
	a := &ahead{conn, bufio.NewReaderSize(conn, 16<<10)}
	res, err := http.ReadResponse(a.in, nil)
	if err != nil {
		return nil, fmt.Errorf("POST /ts2021: %w", err)
	}
	if res.StatusCode != http.StatusSwitchingProtocols {
		return nil, fmt.Errorf("POST /ts2021: %s", res.Status)
	}
	noise, err := finish(ctx, a)
	if err != nil {
		return nil, fmt.Errorf("Noise: %w", err)
	}
	conn.SetDeadline(time.Time{})

	w := &wire{conn: ts2021.NewConn(noise, func() {}), open: map[uint32]*exchange{}, window: 65535, done: make(chan struct{})}
	w.room = sync.NewCond(&w.mu)
	w.enc = hpack.NewEncoder(&w.encBuf)
	w.fr = http2.NewFramer(&w.out, w.conn)
	w.fr.SetReuseFrames()
	w.fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	w.out.WriteString(http2.ClientPreface)
	w.fr.WriteSettings(http2.Setting{ID: http2.SettingEnablePush, Val: 0},
		http2.Setting{ID: http2.SettingInitialWindowSize, Val: streamWindow},
		http2.Setting{ID: http2.SettingMaxFrameSize, Val: 16 << 10},
		http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: 10 << 20})
	w.fr.WriteWindowUpdate(0, connWindow)
	if err := w.flush(); err != nil {
		return nil, err
	}
	go w.read()
	return w, nil
}

// flush writes what is in out. The caller holds the lock, or is alone.
func (w *wire) flush() error {
	_, err := w.conn.Write(w.out.Bytes())
	w.out.Reset()
	return err
}

// start sends a request. For a 200 take gets the body as it comes; done of the exchange is closed at its end.
func (w *wire) start(path string, body []byte, nodeKey string, take func([]byte)) (*exchange, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.err == nil && w.window < int64(len(body)) {
		w.room.Wait()
	}
	if w.err != nil {
		return nil, w.err
	}
	w.window -= int64(len(body))
	w.encBuf.Reset()
	for _, h := range [][2]string{{":authority", "coordinator"}, {":method", "POST"}, {":path", path}, {":scheme", "https"},
		{"ts-lb", nodeKey}, {"content-length", strconv.Itoa(len(body))}, {"accept-encoding", "gzip"},
		{"user-agent", "Go-http-client/2.0"}} {
		w.enc.WriteField(hpack.HeaderField{Name: h[0], Value: h[1]})
	}
	w.last += 2
	x := &exchange{id: w.last - 1, take: take, done: make(chan struct{})}
	w.open[x.id] = x
	w.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: x.id, BlockFragment: w.encBuf.Bytes(), EndHeaders: true})
	w.fr.WriteData(x.id, true, body)
	if err := w.flush(); err != nil {
		delete(w.open, x.id)
		return nil, err
	}
	return x, nil
}

// post sends a request and waits for its whole answer.
func (w *wire) post(path string, body []byte, nodeKey string) ([]byte, error) {
	x, err := w.start(path, body, nodeKey, nil)
	if err != nil {
		return nil, fmt.Errorf("POST %s: %w", path, err)
	}
	<-x.done
	if x.err != nil {
		return nil, fmt.Errorf("POST %s: %w", path, x.err)
	}
	if x.status != 200 {
		return nil, fmt.Errorf("POST %s: status %d: %.200s", path, x.status, x.answer)
	}
	return x.answer, nil
}

// close ends the connection; the exchanges that are open fail.
func (w *wire) close() { w.conn.Close() }

// read is the connection's goroutine.
func (w *wire) read() {
	err := w.readFrames()
	w.conn.Close()
	w.mu.Lock()
	w.err = fmt.Errorf("connection lost: %w", err)
	open := w.open
	w.open = nil
	w.room.Broadcast()
	w.mu.Unlock()
	for _, x := range open {
		x.err = w.err
		close(x.done)
	}
	close(w.done)
}

func (w *wire) readFrames() error {
	for {
		f, err := w.fr.ReadFrame()
		if err != nil {
			return err
		}
		switch f := f.(type) {
		case *http2.DataFrame:
			err = w.gotData(f)
		case *http2.MetaHeadersFrame:
			if x := w.exchange(f.StreamID); x != nil {
				if x.status, err = strconv.Atoi(f.PseudoValue("status")); err != nil {
					return fmt.Errorf("bad status: %w", err)
				}
				if f.StreamEnded() {
					w.finish(x, nil)
				}
			}
		case *http2.RSTStreamFrame:
			if x := w.exchange(f.StreamID); x != nil {
				w.finish(x, fmt.Errorf("reset: %v", f.ErrCode))
			}
		case *http2.SettingsFrame:
			if !f.IsAck() {
				size, ok := f.Value(http2.SettingHeaderTableSize)
				err = w.send(func() {
					if ok {
						w.enc.SetMaxDynamicTableSize(size)
					}
					w.fr.WriteSettingsAck()
				})
			}
		case *http2.PingFrame:
			if !f.IsAck() {
				err = w.send(func() { w.fr.WritePing(true, f.Data) })
			}
		case *http2.WindowUpdateFrame:
			if f.StreamID == 0 {
				w.mu.Lock()
				w.window += int64(f.Increment)
				w.room.Broadcast()
				w.mu.Unlock()
			}
		case *http2.PushPromiseFrame:
			err = errors.New("the server pushes")
		}
		if err != nil {
			return err
		}
	}
}

func (w *wire) send(write func()) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	write()
	return w.flush()
}

func (w *wire) exchange(id uint32) *exchange {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.open[id]
}

func (w *wire) finish(x *exchange, err error) {
	w.mu.Lock()
	delete(w.open, x.id)
	w.mu.Unlock()
	x.err = err
	close(x.done)
}

func (w *wire) gotData(f *http2.DataFrame) error {
	x := w.exchange(f.StreamID)
	if x == nil {
		return nil
	}
	switch {
	case x.status == 200 && x.take != nil:
		x.take(f.Data())
	case len(x.answer)+len(f.Data()) > answerLimit:
		return errors.New("an answer is too long")
	default:
		x.answer = append(x.answer, f.Data()...)
	}
	if f.StreamEnded() {
		w.finish(x, nil)
		return nil
	}
	if x.unread += int(f.Length); x.unread < refillAt {
		return nil
	}
	n := uint32(x.unread)
	x.unread = 0
	return w.send(func() {
		w.fr.WriteWindowUpdate(0, n)
		w.fr.WriteWindowUpdate(x.id, n)
	})
}
