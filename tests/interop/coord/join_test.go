package coord

import (
	"fmt"
	"strings"
	"testing"

	"tailscale.com/ipn/ipnstate"
)

// TestJoinHTTP: two clients join by http with a reusable key and talk:
// direct, through the relay with UDP cut, and direct again.
func TestJoinHTTP(t *testing.T) {
	t.Parallel()
	w := newWorld(t, config{})
	all := w.joinAll("robots", "a", "b")
	a, b := all[0], all[1]
	a.seeOnline("b", true)
	b.seeOnline("a", true)
	a.awaitDirect(b)
	b.awaitDirect(a)
	a.pings(b.ip(4))
	a.pings(b.ip(6))
	b.serve(t, 8022)
	a.reaches(b, 8022)

	a.cut()
	a.awaitRelayed(b)
	b.awaitRelayed(a)
	a.reaches(b, 8022)
	a.mend()
	a.awaitDirect(b)
}

// TestNames: MagicDNS names of both families, in full and short.
func TestNames(t *testing.T) {
	t.Parallel()
	w := newWorld(t, config{})
	all := w.joinAll("robots", "a", "b")
	a, b := all[0], all[1]
	a.seePeer("b", "is there", nil)
	for _, name := range []string{"b." + domain, "b", "B." + domain} {
		a.resolves("ahostsv4", name, b.ip(4))
		a.resolves("ahostsv6", name, b.ip(6))
	}
	a.pings(b.ip(4))
	a.pings(b.ip(6))
	a.resolvesNot("c." + domain)
	a.see("name of its own", func(st *ipnstate.Status) error {
		if st.Self.DNSName != "a."+domain+"." {
			return fmt.Errorf("it is %q", st.Self.DNSName)
		}
		return nil
	})
}

// TestJoinHTTPS: two clients that trust the site's CA join by https, and a
// third that does not stays outside.
func TestJoinHTTPS(t *testing.T) {
	t.Parallel()
	w := newWorld(t, config{tls: true})
	trust := "SSL_CERT_FILE=" + w.caFile()
	key := w.key("robots", "--reusable")
	a, b, c := w.client("a", trust), w.client("b", trust), w.client("c")
	for _, c := range []*client{a, b} {
		c.up("--auth-key=" + key)
	}
	a.awaitDirect(b)
	a.resolves("ahostsv4", "b", b.ip(4))
	a.resolves("ahostsv6", "b", b.ip(6))
	a.pings(b.ip(4))
	a.pings(b.ip(6))
	b.cut()
	a.awaitRelayed(b)

	if out, err := c.cli("up", "--login-server="+w.url(), "--timeout=5s", "--auth-key="+key); err == nil {
		t.Errorf("a client that does not trust the CA joins: %s", out)
	}
	if !strings.Contains(c.log.String(), "x509: certificate signed by unknown authority") {
		t.Error("its log does not say why")
	}
	if len(w.nodes()) != 2 {
		t.Errorf("nodes: %+v", w.nodes())
	}
}
