package coord

// What clients resolve beside the names of nodes.

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tailscale.com/cmd/tailscale/cli/jsonoutput"
)

// dnsStatus is what `tailscale dns status` tells.
func (c *client) dnsStatus() (s jsonoutput.DNSStatusResult) {
	c.w.Helper()
	out := c.run("dns", "status", "--json")
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		c.w.Fatalf("tailscale dns status: %v: %s", err, out)
	}
	return s
}

// resolvConf is what the client made of /etc/resolv.conf.
func (c *client) resolvConf() string {
	c.w.Helper()
	b, err := os.ReadFile(filepath.Join(c.dir, "etc/resolv.conf"))
	if err != nil {
		c.w.Fatal(err)
	}
	return string(b)
}

// TestDNS: split DNS, search domains and records of the campus's own.
func TestDNS(t *testing.T) {
	t.Parallel()
	w := newWorld(t, config{args: []string{
		"-dns-split", "corp.test=" + serverIP4,
		"-dns-search", "corp.test",
		"-dns-record", "wiki." + domain + "=192.168.1.7",
		"-dns-record", "wiki." + domain + "=fd55::7",
		"-dns-record", "docs.other.test=192.168.1.8",
	}})
	w.servers.resolver(t, serverIP4, "printer.corp.test", "10.1.2.3")
	a := w.join("a", "robots")
	a.resolves("ahostsv4", "printer.corp.test", "10.1.2.3")
	a.resolves("ahostsv4", "printer", "10.1.2.3")
	a.resolves("ahostsv4", "wiki."+domain, "192.168.1.7")
	a.resolves("ahostsv6", "wiki."+domain, "fd55::7")
	a.resolves("ahostsv4", "wiki", "192.168.1.7")
	a.resolves("ahostsv4", "docs.other.test", "192.168.1.8")
	a.resolves("ahostsv4", "a", a.ip(4))
	a.resolvesNot("scanner.corp.test")
	a.resolvesNot("printer.corp.example")

	s := a.dnsStatus()
	if !s.TailscaleDNS || s.CurrentTailnet == nil || !s.CurrentTailnet.MagicDNSEnabled ||
		s.CurrentTailnet.MagicDNSSuffix != domain || s.CurrentTailnet.SelfDNSName != "a."+domain+"." {
		t.Errorf("MagicDNS: %+v %+v", s, s.CurrentTailnet)
	}
	if split := s.SplitDNSRoutes["corp.test"]; len(split) != 1 || split[0].Addr != serverIP4 {
		t.Errorf("split DNS: %+v", s.SplitDNSRoutes)
	}
	for _, want := range []string{domain, "corp.test"} {
		if !slices.Contains(s.SearchDomains, want) {
			t.Errorf("search domains %v lack %s", s.SearchDomains, want)
		}
		if !strings.Contains(a.resolvConf(), want) {
			t.Errorf("resolv.conf lacks %s:\n%s", want, a.resolvConf())
		}
	}
	if len(s.ExtraRecords) != 3 {
		t.Errorf("extra records: %+v", s.ExtraRecords)
	}
}

// TestDNSResolver: a resolver for all names, and MagicDNS beside it.
func TestDNSResolver(t *testing.T) {
	t.Parallel()
	w := newWorld(t, config{args: []string{"-dns-resolver", serverIP4}})
	w.servers.resolver(t, serverIP4, "www.example.test", "203.0.113.5")
	all := w.joinAll("robots", "a", "b")
	a, b := all[0], all[1]
	a.seePeer("b", "is there", nil)
	a.resolves("ahostsv4", "www.example.test", "203.0.113.5")
	a.resolves("ahostsv4", "b", b.ip(4))
	if s := a.dnsStatus(); len(s.Resolvers) != 1 || s.Resolvers[0].Addr != serverIP4 {
		t.Errorf("resolvers: %+v", s.Resolvers)
	}
}

// TestNoMagicDNS: nodes have names all the same, but no client resolves them.
func TestNoMagicDNS(t *testing.T) {
	t.Parallel()
	w := newWorld(t, config{args: []string{"-magic-dns=false"}})
	all := w.joinAll("robots", "a", "b")
	a, b := all[0], all[1]
	a.seePeer("b", "is there", nil)
	a.awaitDirect(b)
	a.resolvesNot("b." + domain)
	if s := a.dnsStatus(); s.CurrentTailnet != nil && s.CurrentTailnet.MagicDNSEnabled {
		t.Errorf("MagicDNS: %+v", s.CurrentTailnet)
	}
}
