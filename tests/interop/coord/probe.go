package coord

// This file owns the traffic between clients: what passes, and by which way.

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// Of traffic that must not pass: so long it is tried.
const denied = 1500 * time.Millisecond

// probeOnce bounds one attempt of something that is tried again.
const probeOnce = time.Second

// echo sends one ICMP echo request to an address and awaits the reply.
func (s *space) echo(t testing.TB, to string, limit time.Duration) error {
	addr := netip.MustParseAddr(to)
	network, any, proto := "ip4:icmp", "0.0.0.0", 1
	var kind, reply icmp.Type = ipv4.ICMPTypeEcho, ipv4.ICMPTypeEchoReply
	if addr.Is6() {
		network, any, proto = "ip6:ipv6-icmp", "::", 58
		kind, reply = ipv6.ICMPTypeEchoRequest, ipv6.ICMPTypeEchoReply
	}
	var c *icmp.PacketConn
	var err error
	s.do(t, func() { c, err = icmp.ListenPacket(network, any) })
	if err != nil {
		return err
	}
	defer c.Close()
	id := os.Getpid() & 0xffff
	m := icmp.Message{Type: kind, Body: &icmp.Echo{ID: id, Seq: 1, Data: []byte("campusnet")}}
	b, err := m.Marshal(nil)
	if err != nil {
		return err
	}
	c.SetDeadline(time.Now().Add(limit))
	if _, err := c.WriteTo(b, &net.IPAddr{IP: addr.AsSlice()}); err != nil {
		return err
	}
	buf := make([]byte, 1500)
	for {
		n, from, err := c.ReadFrom(buf)
		if err != nil {
			return err
		}
		got, err := icmp.ParseMessage(proto, buf[:n])
		if err != nil || got.Type != reply || from.String() != to {
			continue
		}
		if e, ok := got.Body.(*icmp.Echo); ok && e.ID == id {
			return nil
		}
	}
}

// pings awaits that an ICMP echo to the address is answered.
func (c *client) pings(to string) {
	c.w.Helper()
	await(c.w, c.name+" pings "+to, func() error { return c.echo(c.w, to, probeOnce) })
}

// serve makes a TCP server on all addresses of the host, which sends its name
// to whoever connects.
func (s *space) serve(t testing.TB, port int) {
	t.Helper()
	var l net.Listener
	var err error
	s.do(t, func() { l, err = net.Listen("tcp", fmt.Sprintf(":%d", port)) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			io.WriteString(c, s.name)
			c.Close()
		}
	}()
}

// connect connects once and returns what the server of serve says.
func (s *space) connect(t testing.TB, to string, port int, limit time.Duration) (string, error) {
	var c net.Conn
	var err error
	at := net.JoinHostPort(to, fmt.Sprint(port))
	s.do(t, func() { c, err = net.DialTimeout("tcp", at, limit) })
	if err != nil {
		return "", err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(limit))
	b, err := io.ReadAll(c)
	return string(b), err
}

// reaches awaits that a TCP connection comes about.
func (c *client) reaches(to *client, port int) {
	c.w.Helper()
	for _, version := range []int{4, 6} {
		c.reachesAt(to.ip(version), port, to.name)
	}
}

// reachesAt awaits that the server of that name answers at an address.
func (c *client) reachesAt(ip string, port int, name string) {
	c.w.Helper()
	await(c.w, fmt.Sprintf("%s reaches %s port %d", c.name, ip, port), func() error {
		got, err := c.connect(c.w, ip, port, probeOnce)
		if err == nil && got != name {
			err = fmt.Errorf("the server there is %q, want %q", got, name)
		}
		return err
	})
}

// deniedAt awaits that a TCP connection no longer comes about.
func (c *client) deniedAt(ip string, port int) {
	c.w.Helper()
	await(c.w, fmt.Sprintf("%s is kept from %s port %d", c.name, ip, port), func() error {
		if _, err := c.connect(c.w, ip, port, denied); err == nil {
			return errors.New("it connects")
		}
		return nil
	})
}

// denied awaits that TCP connections no longer come about.
func (c *client) denied(to *client, port int) {
	c.w.Helper()
	c.deniedAt(to.ip(4), port)
	c.deniedAt(to.ip(6), port)
}

// cut drops all UDP packets that the client sends, where its router gets
// them: it sees nothing of that.
func (c *client) cut() { c.rule("add") }

// mend undoes cut.
func (c *client) mend() { c.rule("del") }

func (c *client) rule(verb string) {
	c.w.Helper()
	for _, family := range []string{"-4", "-6"} {
		c.w.servers.sh(c.w, fmt.Sprintf("ip %s rule %s pref 5 iif v%d ipproto 17 blackhole",
			family, verb, c.n))
	}
}

// via is how a pong of `tailscale ping` came.
var via = regexp.MustCompile(`(?m)^pong from (\S+) \((\S+)\) via (\S+) in `)

// awaitPath runs `tailscale ping` until the pong comes by a path that fits.
func (c *client) awaitPath(to *client, want func(path string) bool, what string) {
	c.w.Helper()
	ip := to.ip(4)
	await(c.w, fmt.Sprintf("tailscale ping from %s to %s %s", c.name, to.name, what), func() error {
		out, err := c.cli("ping", "--c=1", "--until-direct=false", "--timeout=2s", ip)
		if found := via.FindStringSubmatch(out); found == nil {
			return fmt.Errorf("%v: %s", err, out)
		} else if found[2] != ip || !want(found[3]) {
			return errors.New(strings.TrimSpace(out))
		}
		return nil
	})
}

func (c *client) awaitDirect(to *client) {
	c.w.Helper()
	c.awaitPath(to, func(path string) bool {
		at, err := netip.ParseAddrPort(path)
		return err == nil && (at.Addr().String() == fmt.Sprintf("10.77.%d.2", to.n) ||
			at.Addr().String() == fmt.Sprintf("fd77:0:0:%d::2", to.n))
	}, "goes direct")
}

func (c *client) awaitRelayed(to *client) {
	c.w.Helper()
	c.awaitPath(to, func(path string) bool { return strings.HasPrefix(path, "DERP(") }, "goes by the relay")
}

// lookup asks the C library of the host, as every program there does.
// database is ahostsv4 or ahostsv6.
func (c *client) lookup(database, name string) ([]string, error) {
	out, err := c.try("getent " + database + " " + name)
	if err != nil {
		return nil, fmt.Errorf("getent %s %s: %v %s", database, name, err, out)
	}
	var found []string
	for _, line := range strings.Split(out, "\n") {
		if strings.Contains(line, " STREAM") {
			found = append(found, strings.Fields(line)[0])
		}
	}
	return found, nil
}

// resolves awaits that a name stands for this one address.
func (c *client) resolves(database, name, want string) {
	c.w.Helper()
	await(c.w, fmt.Sprintf("on %s, %s is %s", c.name, name, want), func() error {
		got, err := c.lookup(database, name)
		if err == nil && (len(got) != 1 || got[0] != want) {
			err = fmt.Errorf("got %v", got)
		}
		return err
	})
}

// resolvesNot awaits that a name is unknown.
func (c *client) resolvesNot(name string) {
	c.w.Helper()
	await(c.w, fmt.Sprintf("on %s, %s is unknown", c.name, name), func() error {
		if got, err := c.lookup("ahosts", name); err == nil {
			return fmt.Errorf("it is %v", got)
		}
		return nil
	})
}

// resolver makes a DNS server on an address of the host. It knows one name,
// which has the IPv4 address; all else does not exist.
func (s *space) resolver(t testing.TB, at, name, ip string) {
	t.Helper()
	var c net.PacketConn
	var err error
	s.do(t, func() { c, err = net.ListenPacket("udp", net.JoinHostPort(at, "53")) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	go func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			if answer := answerDNS(buf[:n], name+".", netip.MustParseAddr(ip)); answer != nil {
				c.WriteTo(answer, from)
			}
		}
	}()
}

func answerDNS(query []byte, name string, ip netip.Addr) []byte {
	var m dnsmessage.Message
	if m.Unpack(query) != nil || len(m.Questions) != 1 {
		return nil
	}
	q := m.Questions[0]
	m.Response, m.Authoritative, m.RecursionAvailable = true, true, true
	m.Additionals = nil
	if !strings.EqualFold(q.Name.String(), name) {
		m.RCode = dnsmessage.RCodeNameError
	} else if q.Type == dnsmessage.TypeA {
		m.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 60},
			Body:   &dnsmessage.AResource{A: ip.As4()},
		}}
	}
	b, err := m.Pack()
	if err != nil {
		return nil
	}
	return b
}
