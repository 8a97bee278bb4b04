// client.go: a raw DERP client. It owns one TLS connection and speaks frames; it knows no load and no statistics.
//
// derphttp is left out on purpose: its locks, timers and rate limiter would cost more than the servers under test.
// What is left costs one TLS record and one write() per packet sent, and one TLS record per packet received.

package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"go4.org/mem"
	"tailscale.com/derp"
	"tailscale.com/types/key"
)

const (
	headLen   = derp.FrameHeaderLen
	patience  = 10 * time.Second // for anything that a healthy server does at once
	smallBuf  = 1 << 10          // enough for a handshake and pongs: idle connections should be cheap here too
	loadBuf   = 32 << 10
	clientVer = `{"version":2,"CanAckPings":true,"IsProber":false}`
)

// wire lies below TLS. It reads ahead, so that many records cost one read(), and can hold records back, so that many
// cost one write(). With hold off, each TLS record is written at once.
type wire struct {
	net.Conn
	in   *bufio.Reader
	out  *bufio.Writer
	hold bool
}

func (w *wire) Read(p []byte) (int, error) { return w.in.Read(p) }

func (w *wire) Write(p []byte) (int, error) {
	n, err := w.out.Write(p)
	if err == nil && !w.hold {
		err = w.out.Flush()
	}
	return n, err
}

type client struct {
	wire *wire
	tls  *tls.Conn
	in   *bufio.Reader
	used int // bytes of the frame that next() lent
	pub  key.NodePublic
}

// dial connects as a stock client does: TLS 1.3, server key from the meta certificate, fast start, and the wait for
// ServerInfo. leaf is the certificate that the server must present.
func dial(addr string, leaf []byte, curves []tls.CurveID, bufSize int) (*client, error) {
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return nil, err
	}
	c := &client{wire: &wire{
		Conn: conn,
		in:   bufio.NewReaderSize(conn, bufSize),
		out:  bufio.NewWriterSize(conn, bufSize),
	}}
	// The certificate is compared byte by byte in login, which is stricter than a chain and cheaper.
	c.tls = tls.Client(c.wire, &tls.Config{
		InsecureSkipVerify: true,
		MinVersion:         tls.VersionTLS13,
		CurvePreferences:   curves,
	})
	c.in = bufio.NewReaderSize(c.tls, bufSize)
	conn.SetDeadline(time.Now().Add(patience))
	if err := c.login(addr, leaf); err != nil {
		conn.Close()
		return nil, err
	}
	conn.SetDeadline(time.Time{})
	return c, nil
}

func (c *client) login(addr string, leaf []byte) error {
	if err := c.tls.Handshake(); err != nil {
		return fmt.Errorf("TLS: %w", err)
	}
	serverKey, err := metaKey(c.tls.ConnectionState(), leaf)
	if err != nil {
		return err
	}
	priv := key.NewNode()
	c.pub = priv.Public()
	msg := []byte("GET /derp HTTP/1.1\r\nHost: " + addr + "\r\nConnection: Upgrade\r\nUpgrade: DERP\r\n" +
		derp.FastStartHeader + ": 1\r\n\r\n")
	box := priv.SealTo(serverKey, []byte(clientVer))
	msg = appendHead(msg, derp.FrameClientInfo, derp.KeyLen+len(box))
	msg = append(c.pub.AppendTo(msg), box...)
	if _, err := c.tls.Write(msg); err != nil {
		return err
	}

	typ, b, err := c.next()
	if err != nil {
		return fmt.Errorf("waiting for ServerKey: %w", err)
	}
	if typ != derp.FrameServerKey || !bytes.Equal(b, serverKey.AppendTo([]byte(derp.Magic))) {
		return fmt.Errorf("first frame is %#x with %d bytes, not the ServerKey of the meta certificate", typ, len(b))
	}
	typ, b, err = c.next()
	if err != nil {
		return fmt.Errorf("waiting for ServerInfo: %w", err)
	}
	info, ok := priv.OpenFrom(serverKey, b)
	var v struct{ Version int }
	if typ != derp.FrameServerInfo || !ok || json.Unmarshal(info, &v) != nil || v.Version != derp.ProtocolVersion {
		return fmt.Errorf("second frame is %#x with %d bytes, not a ServerInfo of version 2", typ, len(b))
	}
	return nil
}

// metaKey finds the server's DERP key, which is the common name of the chain's last certificate.
func metaKey(cs tls.ConnectionState, leaf []byte) (key.NodePublic, error) {
	chain := cs.PeerCertificates
	if !bytes.Equal(chain[0].Raw, leaf) {
		return key.NodePublic{}, errors.New("server presents a certificate that it was not given")
	}
	hex, ok := strings.CutPrefix(chain[len(chain)-1].Subject.CommonName, "derpkey")
	if !ok {
		return key.NodePublic{}, errors.New("server presents no meta certificate, so no fast start")
	}
	return key.ParseNodePublicUntyped(mem.S(hex))
}

func appendHead(b []byte, typ derp.FrameType, n int) []byte {
	return binary.BigEndian.AppendUint32(append(b, byte(typ)), uint32(n))
}

// next lends one frame's payload until the following call.
func (c *client) next() (derp.FrameType, []byte, error) {
	c.in.Discard(c.used)
	c.used = 0
	head, err := c.in.Peek(headLen)
	if err != nil {
		return 0, nil, err
	}
	typ, n := derp.FrameType(head[0]), int(binary.BigEndian.Uint32(head[1:]))
	if headLen+n > c.in.Size() {
		return 0, nil, fmt.Errorf("frame %#x of %d bytes is larger than any that was sent", typ, n)
	}
	b, err := c.in.Peek(headLen + n)
	if err != nil {
		return 0, nil, err
	}
	c.used = headLen + n
	return typ, b[headLen:], nil
}

// ping proves that the connection is alive and that the server still answers on it.
func (c *client) ping(n uint64) error {
	c.wire.SetDeadline(time.Now().Add(patience))
	b := appendHead(nil, derp.FramePing, 8)
	b = binary.BigEndian.AppendUint64(b, n)
	if _, err := c.tls.Write(b); err != nil {
		return err
	}
	for {
		typ, p, err := c.next()
		if err != nil {
			return fmt.Errorf("waiting for Pong: %w", err)
		}
		if typ == derp.FramePong {
			if !bytes.Equal(p, b[headLen:]) {
				return errors.New("Pong does not echo its Ping")
			}
			return nil
		}
	}
}

func (c *client) close() { c.tls.Close() }
