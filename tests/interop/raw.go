package interop

// This file is a DERP client that may break every rule: frames are written as
// bytes, nothing is sent that the test did not ask for, and nothing reconnects.

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"go4.org/mem"
	"tailscale.com/derp"
	"tailscale.com/disco"
	"tailscale.com/types/key"
)

// Raw is one connection to a relay.
type Raw struct {
	net.Conn
	br        *bufio.Reader
	Key       key.NodePrivate
	Pub       key.NodePublic
	ServerKey key.NodePublic // known once ReadServerKey has run
}

// Dial connects to the relay's main listener, and makes the TLS handshake
// unless the relay is a plain one. conf may be nil.
func Dial(t testing.TB, s *Server, conf *tls.Config) *Raw {
	t.Helper()
	nc, err := net.DialTimeout("tcp", s.Addr(), patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return wrap(t, s, nc, conf)
}

func wrap(t testing.TB, s *Server, nc net.Conn, conf *tls.Config) *Raw {
	t.Helper()
	if !s.Plain {
		if conf == nil {
			conf = insecureTLS()
		}
		tc := tls.Client(nc, conf)
		tc.SetDeadline(time.Now().Add(patience))
		if err := tc.Handshake(); err != nil {
			t.Fatalf("TLS handshake: %v", err)
		}
		tc.SetDeadline(time.Time{})
		nc = tc
	}
	priv := key.NewNode()
	return &Raw{Conn: nc, br: bufio.NewReader(nc), Key: priv, Pub: priv.Public()}
}

// head returns the request head that a stock client sends, with more header
// lines appended.
func head(s *Server, lines ...string) []byte {
	all := append([]string{
		"GET /derp HTTP/1.1", "Host: " + s.Addr(), "User-Agent: Go-http-client/1.1",
		"Connection: Upgrade", "Upgrade: DERP",
	}, lines...)
	return []byte(strings.Join(all, "\r\n") + "\r\n\r\n")
}

const fastStart = derp.FastStartHeader + ": 1"

// Login connects with fast start and becomes a client of the relay.
func Login(t testing.TB, s *Server) *Raw {
	t.Helper()
	return LoginAs(t, s, key.NewNode())
}

// LoginAs is Login with a key of the caller's choice.
func LoginAs(t testing.TB, s *Server, priv key.NodePrivate) *Raw {
	t.Helper()
	c := Dial(t, s, nil)
	c.login(t, s, priv)
	return c
}

func (c *Raw) login(t testing.TB, s *Server, priv key.NodePrivate) {
	t.Helper()
	c.Key, c.Pub = priv, priv.Public()
	c.WriteAll(t, head(s, fastStart))
	c.ReadServerKey(t)
	c.WriteAll(t, c.ClientInfo([]byte(`{"version":2}`)))
	c.ReadServerInfo(t)
}

// WriteAll writes bytes as they are, in one call: one TLS record if they fit.
func (c *Raw) WriteAll(t testing.TB, b []byte) {
	t.Helper()
	c.SetWriteDeadline(time.Now().Add(patience))
	if _, err := c.Write(b); err != nil {
		t.Fatalf("write: %v", err)
	}
}

// ReadResponse reads the head of an HTTP response.
func (c *Raw) ReadResponse(t testing.TB) *http.Response {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(patience))
	res, err := http.ReadResponse(c.br, nil)
	if err != nil {
		t.Fatalf("HTTP response: %v", err)
	}
	return res
}

// frame makes the bytes of a frame.
func frame(typ derp.FrameType, parts ...[]byte) []byte {
	b := []byte{byte(typ), 0, 0, 0, 0}
	for _, p := range parts {
		b = append(b, p...)
	}
	binary.BigEndian.PutUint32(b[1:], uint32(len(b)-derp.FrameHeaderLen))
	return b
}

func rawKey(k key.NodePublic) []byte { return k.AppendTo(nil) }

// ClientInfo makes the ClientInfo frame whose box holds the given text.
func (c *Raw) ClientInfo(text []byte) []byte {
	return frame(derp.FrameClientInfo, rawKey(c.Pub), c.Key.SealTo(c.ServerKey, text))
}

// SendPacket makes a SendPacket frame.
func SendPacket(dst key.NodePublic, data []byte) []byte {
	return frame(derp.FrameSendPacket, rawKey(dst), data)
}

// Send sends a packet.
func (c *Raw) Send(t testing.TB, dst key.NodePublic, data []byte) {
	t.Helper()
	c.WriteAll(t, SendPacket(dst, data))
}

// Next reads a frame within the limit.
func (c *Raw) Next(limit time.Duration) (derp.FrameType, []byte, error) {
	c.SetReadDeadline(time.Now().Add(limit))
	typ, n, err := derp.ReadFrameHeader(c.br)
	if err != nil {
		return 0, nil, err
	}
	if n > derp.MaxInfoLen {
		return typ, nil, errors.New("frame of more than 1 MiB")
	}
	b := make([]byte, n)
	_, err = io.ReadFull(c.br, b)
	return typ, b, err
}

// Expect reads the next frame other than KeepAlive, which must be of the type.
func (c *Raw) Expect(t testing.TB, want derp.FrameType) []byte {
	t.Helper()
	for {
		typ, b, err := c.Next(patience)
		if err != nil {
			t.Fatalf("waiting for frame %#02x: %v", want, err)
		}
		if typ == derp.FrameKeepAlive && want != typ {
			continue
		}
		if typ != want {
			t.Fatalf("got frame %#02x of %d bytes, want %#02x", typ, len(b), want)
		}
		return b
	}
}

// ReadServerKey reads the server's greeting.
func (c *Raw) ReadServerKey(t testing.TB) {
	t.Helper()
	b := c.Expect(t, derp.FrameServerKey)
	if len(b) < len(derp.Magic)+derp.KeyLen || string(b[:len(derp.Magic)]) != derp.Magic {
		t.Fatalf("bad greeting: %x", b)
	}
	c.ServerKey = key.NodePublicFromRaw32(mem.B(b[len(derp.Magic):][:derp.KeyLen]))
}

// ReadServerInfo reads the frame that says that the client is admitted.
func (c *Raw) ReadServerInfo(t testing.TB) {
	t.Helper()
	text, ok := c.Key.OpenFrom(c.ServerKey, c.Expect(t, derp.FrameServerInfo))
	if !ok {
		t.Fatal("the box of ServerInfo does not open")
	}
	var info derp.ServerInfo
	if err := json.Unmarshal(text, &info); err != nil {
		t.Fatalf("ServerInfo %q: %v", text, err)
	}
	if info.Version != derp.ProtocolVersion {
		t.Fatalf("ServerInfo %q: version %d, want %d", text, info.Version, derp.ProtocolVersion)
	}
}

// ExpectPacket reads the next packet, which must be this one.
func (c *Raw) ExpectPacket(t testing.TB, src key.NodePublic, data []byte) {
	t.Helper()
	b := c.Expect(t, derp.FrameRecvPacket)
	if !bytes.Equal(b[:derp.KeyLen], rawKey(src)) {
		t.Fatalf("packet from %x, want %x", b[:derp.KeyLen], rawKey(src))
	}
	if !bytes.Equal(b[derp.KeyLen:], data) {
		t.Fatalf("packet of %d bytes differs from the %d bytes sent", len(b)-derp.KeyLen, len(data))
	}
}

// PeerGone is the content of a PeerGone frame.
type PeerGone struct {
	Peer   key.NodePublic
	Reason derp.PeerGoneReasonType
}

func parsePeerGone(t testing.TB, b []byte) PeerGone {
	t.Helper()
	if len(b) != derp.KeyLen+1 {
		t.Fatalf("PeerGone of %d bytes, want %d", len(b), derp.KeyLen+1)
	}
	return PeerGone{
		key.NodePublicFromRaw32(mem.B(b[:derp.KeyLen])),
		derp.PeerGoneReasonType(b[derp.KeyLen]),
	}
}

// ExpectPeerGone reads the next frame, which must say this.
func (c *Raw) ExpectPeerGone(t testing.TB, peer key.NodePublic, reason derp.PeerGoneReasonType) {
	t.Helper()
	want := PeerGone{peer, reason}
	if got := parsePeerGone(t, c.Expect(t, derp.FramePeerGone)); got != want {
		t.Fatalf("got PeerGone %v, want %v", got, want)
	}
}

// ExpectAlive proves by ping and pong that the connection still works and that
// nothing else was waiting to be read.
func (c *Raw) ExpectAlive(t testing.TB) {
	t.Helper()
	data := []byte("pingpong")
	c.WriteAll(t, frame(derp.FramePing, data))
	if got := c.Expect(t, derp.FramePong); !bytes.Equal(got, data) {
		t.Fatalf("pong %x, want %x", got, data)
	}
}

// quietTime is how long a test listens before it says that nothing came.
const quietTime = 300 * time.Millisecond

// ExpectQuiet reads for a short while: nothing but KeepAlive may arrive.
func (c *Raw) ExpectQuiet(t testing.TB) {
	t.Helper()
	deadline := time.Now().Add(quietTime)
	for {
		typ, b, err := c.Next(time.Until(deadline))
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
		if err != nil {
			t.Fatalf("quiet connection: %v", err)
		}
		if typ != derp.FrameKeepAlive {
			t.Fatalf("got frame %#02x of %d bytes, want silence", typ, len(b))
		}
	}
}

// ExpectClosed reads until the relay has closed the connection, and returns
// the types of the frames that came before.
func (c *Raw) ExpectClosed(t testing.TB, limit time.Duration) []derp.FrameType {
	t.Helper()
	var seen []derp.FrameType
	deadline := time.Now().Add(limit)
	for {
		typ, _, err := c.Next(time.Until(deadline))
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("connection still open after %v", limit)
		}
		if err != nil {
			return seen
		}
		seen = append(seen, typ)
	}
}

// discoPacket makes a payload of n bytes (at least 6) that the relay takes for
// a discovery message if it is long enough.
func discoPacket(n int) []byte {
	b := bytes.Repeat([]byte{0xd1}, n)
	copy(b, disco.Magic)
	return b
}

func looksDisco(b []byte) bool { return disco.LooksLikeDiscoWrapper(b) }
