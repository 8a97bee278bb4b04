package interop

import (
	"context"
	"encoding/json"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"tailscale.com/derp"
	"tailscale.com/net/netcheck"
	"tailscale.com/net/netmon"
	"tailscale.com/tailcfg"
	"tailscale.com/types/logger"
)

// report runs a stock client's network check against a DERP map.
func report(t *testing.T, dm *tailcfg.DERPMap) *netcheck.Report {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c := &netcheck.Client{
		NetMon: netmon.NewStatic(), Logf: logger.Discard, SkipExternalNetwork: true,
	}
	if err := c.Standalone(ctx, ""); err != nil {
		t.Fatal(err)
	}
	r, err := c.GetReport(ctx, dm, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// testNode makes netcheck use the loopback address although it is no way to
// the network: a machine without any other address can run the tests.
func testNode(n *tailcfg.DERPNode, host string) *tailcfg.DERPNode {
	n.STUNTestIP = host
	return n
}

// A stock client that has only a DERP map finds that UDP works and how far the
// relay is, from the relay's built-in STUN server.
func TestNetcheck(t *testing.T) {
	forEach(t, bothServers, func(t *testing.T, v variant) {
		for _, host := range []string{"127.0.0.1", "::1"} {
			s := Start(t, v, Options{Host: host, STUN: true})
			checkReport(t, report(t, mapOf(testNode(s.Node(t), host))), host)
		}
	})
}

// The same with stund beside the relay.
func TestNetcheckStund(t *testing.T) {
	forEach(t, bothServers, func(t *testing.T, v variant) {
		for _, host := range []string{"127.0.0.1", "::1"} {
			s := Start(t, v, Options{Host: host})
			n := testNode(s.Node(t), host)
			n.STUNPort = int(netip.MustParseAddrPort(startStund(t, host).addr[0]).Port())
			checkReport(t, report(t, mapOf(n)), host)
		}
	})
}

func checkReport(t *testing.T, r *netcheck.Report, host string) {
	t.Helper()
	if !r.UDP {
		t.Error("UDP is reported as blocked")
	}
	if r.RegionLatency[regionID] <= 0 || r.PreferredDERP != regionID {
		t.Errorf("latency %v, preferred region %d", r.RegionLatency, r.PreferredDERP)
	}
	global, v4 := r.GlobalV6, r.RegionV6Latency
	if netip.MustParseAddr(host).Is4() {
		global, v4 = r.GlobalV4, r.RegionV4Latency
	}
	if v4[regionID] <= 0 || global.Addr().String() != host {
		t.Errorf("latency %v, own address %v, want %s", v4, global, host)
	}
}

// Where UDP is blocked the client measures over HTTPS, with the pin.
func TestNetcheckHTTPS(t *testing.T) {
	forEach(t, bothServers, func(t *testing.T, v variant) {
		s := Start(t, v, Options{})
		r := report(t, mapOf(s.Node(t))) // STUNPort -1: no STUN, and no ICMP
		if r.UDP {
			t.Error("UDP is reported as working, though there is no STUN server")
		}
		if r.RegionLatency[regionID] <= 0 || r.PreferredDERP != regionID || !r.IPv4 {
			t.Errorf("latency %v, preferred region %d, IPv4 %v", r.RegionLatency, r.PreferredDERP, r.IPv4)
		}
	})
}

// derpprobe, Tailscale's monitoring tool: STUN, TLS with the certificate's
// validity, a packet between two clients, and a megabyte of them. It insists
// on a host name (localhost is one that resolves everywhere) and on a
// certificate that the system trusts.
func TestDerpprobe(t *testing.T) {
	const host = "localhost"
	forEach(t, bothServers, func(t *testing.T, v variant) {
		dir, _ := prepareNamed(t, host)
		s := Start(t, v, Options{Dir: dir, Hostname: host, STUN: true})
		n := withoutPin(s.Node(t))
		n.IPv6 = "" // derpprobe takes "none" for an address
		b, err := json.Marshal(mapOf(n))
		if err != nil {
			t.Fatal(err)
		}
		mapFile := filepath.Join(dir, "map.json")
		writeFile(t, mapFile, b)
		args := []string{"-once", "-spread=false", "-derp-map", "file://" + mapFile, "-bw-interval", "15s"}
		probes := []string{"derpmap-probe", "derp/test/900a/udp", "derp/test/900a/900a/mesh", "derp/test/900a/900a/bw"}
		// The TLS probe, and only that, looks the name up.
		if addrs, _ := net.LookupHost(host); slices.Contains(addrs, s.Host) {
			probes = append(probes, "derp/test/900a/tls")
		} else {
			t.Logf("%s resolves to %v here: no TLS probe", host, addrs)
			args = append(args, "-tls-interval", "0")
		}
		out, err := runProgram(t, 2*patience,
			[]string{"SSL_CERT_FILE=" + filepath.Join(dir, "ca.pem"), "SSL_CERT_DIR=" + t.TempDir()},
			program(t, "DERPPROBE"), args...)
		if err != nil {
			t.Fatalf("derpprobe: %v\n%s", err, out)
		}
		for _, probe := range probes {
			if !strings.Contains(out, "good: "+probe+":") {
				t.Errorf("probe %s did not pass:\n%s", probe, out)
			}
		}
	})
}

func withoutPin(n *tailcfg.DERPNode) *tailcfg.DERPNode {
	n.CertName = ""
	return n
}

// TestMakeRunMap proves the project's promise: two stock clients that are given
// only the DERP map that "make run" prints exchange 1,000 packets of 0 to
// 65,536 bytes, and all arrive intact. The script that runs "make run" puts
// the map into a file and names it in DERPMAP_FILE.
func TestMakeRunMap(t *testing.T) {
	path := os.Getenv("DERPMAP_FILE")
	if path == "" {
		t.Skip("DERPMAP_FILE is not set: it must be a file with the DERP map that make run prints")
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	dm := new(tailcfg.DERPMap)
	if err := json.Unmarshal(b, dm); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	if len(dm.Regions) == 0 {
		t.Fatalf("%s: no region", path)
	}
	for id, region := range dm.Regions {
		t.Run(strconv.Itoa(id), func(t *testing.T) {
			ExchangeThroughRegion(t, region)
			for _, n := range region.Nodes {
				if ip, err := netip.ParseAddr(n.IPv4); err == nil && ip.IsLoopback() {
					testNode(n, n.IPv4)
				}
			}
			r := report(t, dm)
			if !r.UDP || r.RegionLatency[id] <= 0 || r.RegionLatency[id] > time.Minute {
				t.Errorf("network check: UDP %v, latency %v", r.UDP, r.RegionLatency)
			}
		})
	}
}

// ExchangeThroughRegion sends 1,000 packets of 0 to 65,536 bytes between two
// stock clients that know nothing but a region of a DERP map.
func ExchangeThroughRegion(t *testing.T, region *tailcfg.DERPRegion) {
	t.Helper()
	c, pub := newRegionClient(t, region)
	a := runPeer(t, c, pub)
	c, pub = newRegionClient(t, region)
	b := runPeer(t, c, pub)
	transfer(t, a, b, makePackets(uint64(time.Now().UnixNano()), 1000, derp.MaxPacketSize), 16)
}
