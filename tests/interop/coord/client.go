package coord

// This file owns the clients: an unmodified tailscaled in a namespace of its
// own, driven by an unmodified tailscale.

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"tailscale.com/client/local"
	"tailscale.com/ipn"
	"tailscale.com/ipn/ipnstate"
)

type client struct {
	*space
	w      *world
	n      int // 10.77.n.2
	dir    string
	env    []string // of tailscaled
	args   []string // more of tailscaled
	daemon *child
	log    output
	local  local.Client
}

// client makes a host and starts tailscaled on it; it has not joined yet.
func (w *world) client(name string, env ...string) *client {
	w.Helper()
	c := w.host(name)
	c.env = env
	c.startDaemon()
	return c
}

// host makes a host whose tailscaled does not run yet.
func (w *world) host(name string) *client {
	w.Helper()
	w.hosts++
	c := &client{space: newSpace(w, name), w: w, n: w.hosts}
	c.dir = w.path(fmt.Sprintf("c%d", c.n))
	c.local = local.Client{Socket: filepath.Join(c.dir, "sock"), UseSocketOnly: true}
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		w.Fatal(err)
	}
	c.ownEtc(w, filepath.Join(c.dir, "etc"), serverIP4+" "+serverName+"\n")
	w.servers.sh(w, fmt.Sprintf("ip link add v%[1]d type veth peer name eth0 netns %[2]d\n"+
		"ip addr add 10.77.%[1]d.1/24 dev v%[1]d\n"+
		"ip addr add fd77:0:0:%[1]d::1/64 dev v%[1]d nodad\n"+
		"ip link set v%[1]d up", c.n, c.pid()))
	c.sh(w, fmt.Sprintf("ip link set eth0 up\n"+
		"ip addr add 10.77.%[1]d.2/24 dev eth0\n"+
		"ip addr add fd77:0:0:%[1]d::2/64 dev eth0 nodad\n"+
		"ip route add default via 10.77.%[1]d.1\n"+
		"ip -6 route add default via fd77:0:0:%[1]d::1", c.n))
	w.Cleanup(func() {
		if w.Failed() {
			c.tell()
		}
		if c.daemon != nil {
			c.daemon.kill()
		}
	})
	return c
}

// tell logs what there is to know about the client after a failure.
func (c *client) tell() {
	if st, err := c.cli("status"); err == nil || st != "" {
		c.w.Logf("tailscale status of %s:\n%s", c.name, st)
	}
	c.w.Logf("log of tailscaled of %s:\n%s", c.name, c.log.tail(80))
}

func (c *client) startDaemon() {
	c.w.Helper()
	args := append([]string{"--statedir=" + c.dir, "--socket=" + c.local.Socket,
		"--port=41641", "--tun=tailscale0", "--no-logs-no-support", "--verbose=1"}, c.args...)
	cmd := c.command(program(c.w, "TAILSCALED"), args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + c.dir,
		"TMPDIR=" + c.dir}, c.env...)
	c.daemon = start(c.w, "tailscaled of "+c.name, cmd, &c.log)
	await(c.w, "tailscaled answers", func() error {
		if !c.daemon.alive() {
			c.w.Fatalf("tailscaled of %s ended: %v\n%s", c.name, c.daemon.err, c.log.tail(40))
		}
		_, err := c.status()
		return err
	})
}

// stopDaemon ends tailscaled as a shutdown does.
func (c *client) stopDaemon() {
	c.w.Helper()
	if err := c.daemon.end(syscall.SIGTERM); err != nil {
		c.w.Fatal(err)
	}
}

func (c *client) restartDaemon() {
	c.w.Helper()
	c.stopDaemon()
	c.startDaemon()
}

// cli runs tailscale and returns all that it wrote.
func (c *client) cli(args ...string) (string, error) {
	cmd := c.command(program(c.w, "TAILSCALE"),
		append([]string{"--socket=" + c.local.Socket}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s: tailscale %s: %v: %s", c.name, strings.Join(args, " "), err, out)
	}
	return string(out), err
}

// do runs tailscale, which must succeed.
func (c *client) run(args ...string) string {
	c.w.Helper()
	out, err := c.cli(args...)
	if err != nil {
		c.w.Fatal(err)
	}
	return out
}

// tryUp runs `tailscale up` with the usual flags and those given.
func (c *client) tryUp(args ...string) (string, error) {
	return c.cli(append([]string{"up", "--login-server=" + c.w.url(),
		"--hostname=" + c.name, "--timeout=60s"}, args...)...)
}

// up is tryUp that must end with the state Running.
func (c *client) up(args ...string) {
	c.w.Helper()
	if _, err := c.tryUp(args...); err != nil {
		c.w.Fatal(err)
	}
	c.awaitState("Running")
}

// join makes a client, which joins as a node of that user.
func (w *world) join(name, user string, upArgs ...string) *client {
	w.Helper()
	c := w.client(name)
	c.up(append([]string{"--auth-key=" + w.key(user)}, upArgs...)...)
	return c
}

// joinAll makes clients that join at once, all of that user.
func (w *world) joinAll(user string, names ...string) []*client {
	w.Helper()
	key := w.key(user, "--reusable")
	all := make([]*client, len(names))
	for i, name := range names {
		all[i] = w.client(name)
	}
	errs := make(chan error)
	for _, c := range all {
		go func() {
			_, err := c.tryUp("--auth-key=" + key)
			errs <- err
		}()
	}
	var err error
	for range all {
		err = errors.Join(err, <-errs)
	}
	if err != nil {
		w.Fatal(err)
	}
	for _, c := range all {
		c.awaitState("Running")
	}
	return all
}

func (c *client) status() (*ipnstate.Status, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return c.local.Status(ctx)
}

// see polls the status until check returns nil.
func (c *client) see(what string, check func(*ipnstate.Status) error) {
	c.w.Helper()
	await(c.w, c.name+": "+what, func() error {
		st, err := c.status()
		if err != nil {
			return err
		}
		return check(st)
	})
}

func (c *client) awaitState(state string) {
	c.w.Helper()
	c.see("state "+state, func(st *ipnstate.Status) error {
		if st.BackendState != state {
			return fmt.Errorf("the state is %s", st.BackendState)
		}
		return nil
	})
}

// peer finds a peer by the first label of its name; nil if there is none.
func peer(st *ipnstate.Status, name string) *ipnstate.PeerStatus {
	for _, p := range st.Peer {
		if label(p.DNSName) == name {
			return p
		}
	}
	return nil
}

func label(fqdn string) string {
	first, _, _ := strings.Cut(fqdn, ".")
	return first
}

// seePeer polls until there is the peer and check, if any, returns nil.
func (c *client) seePeer(name, what string, check func(*ipnstate.PeerStatus) error) {
	c.w.Helper()
	c.see("peer "+name+" "+what, func(st *ipnstate.Status) error {
		p := peer(st, name)
		if p == nil {
			return errors.New("no such peer")
		}
		if check == nil {
			return nil
		}
		return check(p)
	})
}

// seeNoPeer polls until the peer has gone.
func (c *client) seeNoPeer(name string) {
	c.w.Helper()
	c.see("no peer "+name, func(st *ipnstate.Status) error {
		if peer(st, name) != nil {
			return errors.New("it is still there")
		}
		return nil
	})
}

// seeOnline polls until the peer is online, or not.
func (c *client) seeOnline(name string, online bool) {
	c.w.Helper()
	c.seePeer(name, fmt.Sprintf("online %v", online), func(p *ipnstate.PeerStatus) error {
		if p.Online != online {
			return fmt.Errorf("online is %v", p.Online)
		}
		return nil
	})
}

// ip returns the client's own address of IP version 4 or 6.
func (c *client) ip(version int) string {
	c.w.Helper()
	st, err := c.status()
	if err != nil {
		c.w.Fatal(err)
	}
	for _, ip := range st.TailscaleIPs {
		if ip.Is4() == (version == 4) {
			return ip.String()
		}
	}
	c.w.Fatalf("%s has no address of version %d: %v", c.name, version, st.TailscaleIPs)
	return ""
}

// awaitAuthURL polls until the client shows where to log in.
func (c *client) awaitAuthURL() string {
	c.w.Helper()
	url := ""
	c.see("URL to log in", func(st *ipnstate.Status) error {
		if url = st.AuthURL; url == "" {
			return fmt.Errorf("there is none, state %s", st.BackendState)
		}
		return nil
	})
	return url
}

func (c *client) prefs() *ipn.Prefs {
	c.w.Helper()
	p, err := c.local.GetPrefs(context.Background())
	if err != nil {
		c.w.Fatal(err)
	}
	return p
}
