// up.go: how long a stock client takes from `tailscale up` to Running. It runs in two network namespaces that are made
// for it: the coordinators, relayd and stund in one, tailscaled in the other, which has no way out.

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	serverIP = "10.77.0.1"
	clientIP = "10.77.0.2"
)

// space is a network and mount namespace, held open by a process that sleeps.
type space struct{ holder *exec.Cmd }

func newSpace() (*space, error) {
	cmd := exec.Command("sleep", "infinity")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Unshareflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("a network namespace: %w", err)
	}
	return &space{cmd}, nil
}

func (s *space) free() {
	s.holder.Process.Kill()
	s.holder.Wait()
}

// command is one that runs in the space, or, without one, here. No child outlives the benchmark: the signal follows
// the thread that started it; main holds that.
func (s *space) command(path string, args ...string) *exec.Cmd {
	if s != nil {
		ns := fmt.Sprintf("/proc/%d/ns/", s.holder.Process.Pid)
		args = append([]string{"--net=" + ns + "net", "--mount=" + ns + "mnt", "--", path}, args...)
		path = "nsenter"
	}
	cmd := exec.Command(path, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// script runs lines of shell in the space.
func (s *space) script(lines ...string) error {
	cmd := s.command("/bin/sh", "-euc", strings.Join(lines, "\n"))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("in a namespace: %w: %s", err, out)
	}
	return nil
}

// lab is both namespaces with all that a client needs but a coordinator.
type lab struct {
	dir            string
	programs       string // folder of tailscale and tailscaled
	server, client *space
	daemons        []*exec.Cmd
	derpMap        string
}

// newLab wants root, and the folders of our programs and of Tailscale's.
func newLab(dir, ours, theirs string) (l *lab, err error) {
	l = &lab{dir: dir}
	defer func() {
		if err != nil {
			l.free()
		}
	}()
	if l.programs, err = filepath.Abs(theirs); err != nil {
		return l, err
	}
	if l.server, err = newSpace(); err != nil {
		return l, err
	}
	if l.client, err = newSpace(); err != nil {
		return l, err
	}
	if err = l.network(); err != nil {
		return l, err
	}
	return l, l.relay(ours)
}

func (l *lab) network() error {
	// tailscaled writes to /etc and /var/lib and talks to the daemons behind /run: the client has them for itself.
	etc := filepath.Join(l.dir, "etc")
	if err := os.Mkdir(etc, 0o755); err != nil {
		return err
	}
	return errors.Join(
		l.server.script("ip link set lo up",
			fmt.Sprintf("ip link add s0 type veth peer name c0 netns %d", l.client.holder.Process.Pid),
			"ip addr add "+serverIP+"/24 dev s0", "ip link set s0 up"),
		l.client.script("ip link set lo up", "ip addr add "+clientIP+"/24 dev c0", "ip link set c0 up",
			"ip route add default via "+serverIP, "cp /etc/passwd /etc/group "+etc, "echo 'hosts: files dns' >"+etc+"/nsswitch.conf",
			"echo '127.0.0.1 localhost' >"+etc+"/hosts", "echo 'nameserver "+serverIP+"' >"+etc+"/resolv.conf",
			"mount --bind "+etc+" /etc", "mount -t tmpfs none /run",
			"mount -t tmpfs none /var/lib"))
}

// relay starts relayd and stund as `make run` does.
func (l *lab) relay(ours string) error {
	ours, err := filepath.Abs(ours)
	if err != nil {
		return err
	}
	certs, derpMap := filepath.Join(l.dir, "certs"), filepath.Join(l.dir, "derp.json")
	if err := os.Mkdir(certs, 0o700); err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(l.dir, "relay.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	for _, cmd := range []*exec.Cmd{
		l.server.command(filepath.Join(ours, "relayd"), "-a", serverIP+":3443", "-hostname", serverIP, "-certmode", "manual",
			"-certdir", certs, "-c", filepath.Join(l.dir, "relay.key"), "-http-port", "-1", "-stun=false", "-stun-port", "3478",
			"-derp-map", derpMap),
		l.server.command(filepath.Join(ours, "stund"), "-listen", serverIP+":3478"),
	} {
		cmd.Stdout, cmd.Stderr = log, log
		if err := cmd.Start(); err != nil {
			return err
		}
		l.daemons = append(l.daemons, cmd)
	}
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		b, err := os.ReadFile(derpMap)
		if err == nil && json.Valid(b) {
			l.derpMap = string(b)
			return nil
		}
		if time.Now().After(end) {
			said, _ := os.ReadFile(log.Name())
			return fmt.Errorf("relayd wrote no DERP map: %s", said)
		}
	}
}

func (l *lab) free() {
	for _, cmd := range l.daemons {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
	}
	for _, s := range []*space{l.client, l.server} {
		if s != nil {
			s.free()
		}
	}
}

// join starts a tailscaled that was never anywhere, and measures `tailscale up`, from its start to its good end.
func (l *lab) join(c *coordinator, key, name string) (took time.Duration, err error) {
	dir := filepath.Join(l.dir, name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return 0, err
	}
	socket := filepath.Join(dir, "sock")
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return 0, err
	}
	defer log.Close()
	daemon := l.client.command(filepath.Join(l.programs, "tailscaled"), "--statedir="+dir, "--socket="+socket, "--port=0",
		"--no-logs-no-support")
	daemon.Stdout, daemon.Stderr = log, log
	if err := daemon.Start(); err != nil {
		return 0, err
	}
	defer func() {
		daemon.Process.Signal(syscall.SIGTERM)
		daemon.Wait()
		if err != nil {
			said, _ := os.ReadFile(log.Name())
			err = fmt.Errorf("%w; tailscaled said:\n%s", err, said)
		}
	}()
	if err := awaitState(socket, "NeedsLogin"); err != nil {
		return 0, err
	}
	time.Sleep(500 * time.Millisecond) // it may still have work of its start
	up := l.client.command(filepath.Join(l.programs, "tailscale"), "--socket="+socket, "up",
		"--login-server=http://"+c.addr, "--auth-key="+key, "--hostname="+name, "--timeout=60s")
	t0 := time.Now()
	out, err := up.CombinedOutput()
	took = time.Since(t0)
	if err != nil {
		return 0, fmt.Errorf("tailscale up: %w: %s%s", err, out, c.logTail())
	}
	return took, awaitState(socket, "Running")
}

// awaitState asks tailscaled over its socket until it is in a state.
func awaitState(socket, want string) error {
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		}}}
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		var status struct{ BackendState string }
		res, err := client.Get("http://local-tailscaled.sock/localapi/v0/status?peers=false")
		if err == nil {
			err = json.NewDecoder(res.Body).Decode(&status)
			res.Body.Close()
		}
		if err == nil && status.BackendState == want {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("tailscaled is in state %q, not %s (%v)", status.BackendState, want, err)
		}
	}
}

// ups joins stock clients, the coordinators in turn, and adds a figure for each join.
func ups(l *lab, entries []entry, z size, add func(entry, figures)) error {
	var cs []*coordinator
	var keys []string
	for i, e := range entries {
		c, err := e.start(l.dir, site{addr: net.JoinHostPort(serverIP, strconv.Itoa(8080+i)), space: l.server, derpMap: l.derpMap})
		if err != nil {
			return fmt.Errorf("%s: %w", e.name, err)
		}
		defer c.stop()
		key, err := c.addUser("robots")
		if err != nil {
			return fmt.Errorf("%s: %w", e.name, err)
		}
		cs, keys = append(cs, c), append(keys, key)
	}
	for round := range z.ups {
		for i := range cs {
			k := (i + round) % len(cs)
			took, err := l.join(cs[k], keys[k], fmt.Sprintf("%s-%d", cs[k].name, round))
			if err != nil {
				return fmt.Errorf("%s: %w", cs[k].name, err)
			}
			add(entries[k], figures{"up_time": took.Seconds()})
		}
	}
	return nil
}
