// pionstun asks a STUN server what the NAT in between does, as RFC 5780
// sections 4.3 and 4.4 say, with pion's library:
//
//	pionstun HOST:PORT
//
// It prints "mapping: KIND", "filtering: KIND" and the address that the server
// sees. Each request is repeated, so that one lost datagram changes nothing.
package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/pion/stun/v3"
)

// Bits of CHANGE-REQUEST.
const (
	changePort = 0x2
	changeIP   = 0x4
)

var errSilent = errors.New("no answer")

// socket is one local port. All that is asked from it goes through one NAT
// mapping, if the NAT is of that kind.
type socket struct{ *net.UDPConn }

func open(local netip.Addr) (socket, error) {
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(local, 0)))
	return socket{c}, err
}

// ask sends a request up to three times and returns the answer to it.
func (s socket) ask(to netip.AddrPort, change byte) (*stun.Message, error) {
	req := stun.MustBuild(stun.TransactionID, stun.BindingRequest)
	if change != 0 {
		req.Add(stun.AttrChangeRequest, []byte{0, 0, 0, change})
	}
	buf := make([]byte, 2048)
	for range 3 {
		if _, err := s.WriteToUDPAddrPort(req.Raw, to); err != nil {
			return nil, err
		}
		s.SetReadDeadline(time.Now().Add(time.Second))
		for {
			n, err := s.Read(buf)
			if err != nil {
				break
			}
			m := &stun.Message{Raw: append([]byte{}, buf[:n]...)}
			if m.Decode() == nil && m.TransactionID == req.TransactionID {
				return m, nil
			}
		}
	}
	return nil, errSilent
}

// mapped returns the address in an answer.
func mapped(m *stun.Message) (netip.AddrPort, error) {
	if m.Type != stun.BindingSuccess {
		var code stun.ErrorCodeAttribute
		code.GetFrom(m)
		return netip.AddrPort{}, fmt.Errorf("error %d", code.Code)
	}
	var a stun.XORMappedAddress
	if err := a.GetFrom(m); err != nil {
		return netip.AddrPort{}, err
	}
	ip, _ := netip.AddrFromSlice(a.IP)
	return netip.AddrPortFrom(ip.Unmap(), uint16(a.Port)), nil
}

// see asks for the address that a server sees.
func (s socket) see(to netip.AddrPort) (netip.AddrPort, error) {
	m, err := s.ask(to, 0)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("%v: %w", to, err)
	}
	return mapped(m)
}

// other returns OTHER-ADDRESS.
func (s socket) other(to netip.AddrPort) (netip.AddrPort, error) {
	m, err := s.ask(to, 0)
	if err != nil {
		return netip.AddrPort{}, err
	}
	var a stun.OtherAddress
	if err := a.GetFrom(m); err != nil {
		return netip.AddrPort{}, fmt.Errorf("OTHER-ADDRESS: %w", err)
	}
	ip, _ := netip.AddrFromSlice(a.IP)
	return netip.AddrPortFrom(ip.Unmap(), uint16(a.Port)), nil
}

// localIP returns the address by which a server is reached.
func localIP(to netip.AddrPort) (netip.Addr, error) {
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		return netip.Addr{}, err
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap(), nil
}

func mapping(s socket, to, other netip.AddrPort) (string, error) {
	first, err := s.see(to)
	if err != nil {
		return "", err
	}
	fmt.Printf("mapped: %v\n", first)
	if first == s.LocalAddr().(*net.UDPAddr).AddrPort() {
		return "none", nil
	}
	second, err := s.see(netip.AddrPortFrom(other.Addr(), to.Port()))
	if err != nil {
		return "", err
	}
	if second == first {
		return "endpoint-independent", nil
	}
	third, err := s.see(other)
	if err != nil {
		return "", err
	}
	if third == second {
		return "address-dependent", nil
	}
	return "address-and-port-dependent", nil
}

// answered tells whether a change of the answer's source is let in. An error
// from the server says nothing about the NAT.
func answered(s socket, to netip.AddrPort, change byte) (bool, error) {
	m, err := s.ask(to, change)
	if errors.Is(err, errSilent) {
		return false, nil
	}
	if err == nil {
		_, err = mapped(m)
	}
	return err == nil, err
}

func filtering(s socket, to netip.AddrPort) (string, error) {
	if _, err := s.see(to); err != nil {
		return "", err
	}
	for _, test := range []struct {
		change byte
		kind   string
	}{
		{changeIP | changePort, "endpoint-independent"},
		{changePort, "address-dependent"},
	} {
		if in, err := answered(s, to, test.change); err != nil {
			return "", err
		} else if in {
			return test.kind, nil
		}
	}
	return "address-and-port-dependent", nil
}

func run(server string) error {
	to, err := netip.ParseAddrPort(server)
	if err != nil {
		return err
	}
	local, err := localIP(to)
	if err != nil {
		return err
	}
	// A socket each: an answer from the other address would let a NAT see a
	// flow that the mapping test must be the first to open.
	forFiltering, err := open(local)
	if err != nil {
		return err
	}
	forMapping, err := open(local)
	if err != nil {
		return err
	}
	other, err := forMapping.other(to)
	if err != nil {
		return err
	}
	kind, err := filtering(forFiltering, to)
	if err != nil {
		return fmt.Errorf("filtering: %w", err)
	}
	fmt.Printf("filtering: %s\n", kind)
	if kind, err = mapping(forMapping, to, other); err != nil {
		return fmt.Errorf("mapping: %w", err)
	}
	fmt.Printf("mapping: %s\n", kind)
	return nil
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: pionstun HOST:PORT")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "pionstun:", err)
		os.Exit(1)
	}
}
