package interop

import (
	"crypto/rand"
	"net"
	"strings"
	"testing"

	"tailscale.com/net/stun"
)

// forEachSTUN runs f for stund, and for the STUN server inside each relay, on
// both address families.
func forEachSTUN(t *testing.T, f func(t *testing.T, name, addr string)) {
	hosts := []string{"127.0.0.1", "::1"}
	t.Run("stund", func(t *testing.T) {
		t.Parallel()
		for i, addr := range startStund(t, hosts...).addr {
			t.Run(hosts[i], func(t *testing.T) { f(t, "stund", addr) })
		}
	})
	forEach(t, bothServers, func(t *testing.T, v variant) {
		for _, host := range hosts {
			t.Run(host, func(t *testing.T) {
				s := Start(t, v, Options{Host: host, STUN: true})
				f(t, v.name, s.addrOf(s.STUNPort))
			})
		}
	})
}

// Tailscale's request is answered with the address that it came from, and with
// nothing else: 32 bytes over IPv4, 44 over IPv6.
func TestSTUN(t *testing.T) {
	forEachSTUN(t, func(t *testing.T, name, addr string) { checkSTUN(t, addr) })
}

// One stund serves several addresses, of both families.
func TestStundListeners(t *testing.T) {
	t.Parallel()
	for _, addr := range startStund(t, "127.0.0.1", "::1", "127.0.0.1").addr {
		checkSTUN(t, addr)
	}
}

// Datagrams that are not a request are met with silence, and the server goes
// on. What Tailscale's own server answers is less than what the standard says:
// only stund answers the bare request of other clients.
func TestSTUNSilence(t *testing.T) {
	forEachSTUN(t, func(t *testing.T, name, addr string) {
		good := stun.Request(stun.NewTxID())
		badSum := append([]byte{}, good...)
		badSum[len(badSum)-1] ^= 1
		response := append([]byte{}, good...)
		response[0] = 1
		badLength := append([]byte{}, good...)
		badLength[3]++
		noCookie := append([]byte{}, good...)
		noCookie[4] ^= 1
		random := make([]byte, 1200)
		rand.Read(random)
		random[0] |= 0xc0
		for _, d := range [][]byte{
			{}, {0}, good[:19], good[:20], good[:39], append(append([]byte{}, good...), 0, 0, 0, 0),
			badSum, response, badLength, noCookie, random,
		} {
			if b, _, err := askSTUN(addr, d, quietTime/3); err == nil {
				t.Errorf("%d bytes %.24x: answer %x, want silence", len(d), d, b)
			}
		}
		checkSTUN(t, addr)
	})
}

// The bare request of other clients, 20 bytes: stund answers it, Tailscale's
// server (and so a relay's built-in one) may stay silent, so that the relay is
// not found by scanners.
func TestSTUNBareRequest(t *testing.T) {
	t.Parallel()
	addr := startStund(t, "127.0.0.1").addr[0]
	tx := stun.NewTxID()
	req := append([]byte{0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42}, tx[:]...)
	answer, local, err := askSTUN(addr, req, patience)
	if err != nil {
		t.Fatal(err)
	}
	gotTx, got, err := stun.ParseResponse(answer)
	if err != nil || gotTx != tx || got != local {
		t.Errorf("answer %x: %v, want %v (%v)", answer, got, local, err)
	}
}

// Tailscale's stunc, the program, against each server.
func TestStunc(t *testing.T) {
	forEachSTUN(t, func(t *testing.T, name, addr string) {
		host, port, _ := net.SplitHostPort(addr)
		out, err := runProgram(t, patience, nil, program(t, "STUNC"), host, port)
		if err != nil || !strings.Contains(out, "stun addr: "+strings.TrimSuffix(net.JoinHostPort(host, "x"), "x")) {
			t.Errorf("stunc: %v\n%s", err, out)
		}
	})
}
