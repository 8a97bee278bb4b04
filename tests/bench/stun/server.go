// server.go: one server under test as a child process on a core of its own: start, readiness, end.

package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"tailscale.com/net/stun"
)

const (
	patience = 10 * time.Second // for anything that a healthy server does at once
	first    = "127.0.0.1"
	second   = "127.0.0.2" // the other address of RFC 5780
)

type kind int

const (
	kindStund kind = iota
	kindFloor
	kindTailscale
	kindCoturn
)

// entry is one server of the command line: NAME=PATH[,FLAG]...
type entry struct {
	kind       kind
	name, path string
	flags      []string
}

func parseEntry(arg string) (entry, error) {
	name, rest, ok := strings.Cut(arg, "=")
	if !ok || name == "" || rest == "" {
		return entry{}, fmt.Errorf("%q: want NAME=PATH[,FLAG]..., for example stund=build/release/stund,-sandbox=false", arg)
	}
	parts := strings.Split(rest, ",")
	path, err := exec.LookPath(parts[0])
	if err != nil {
		return entry{}, fmt.Errorf("%q: %w", arg, err)
	}
	kinds := map[string]kind{"floor": kindFloor, "tailscale": kindTailscale, "coturn": kindCoturn}
	return entry{kinds[name], name, path, parts[1:]}, nil
}

// version is what the program says of itself, or "".
func (e entry) version() string {
	arg := map[kind]string{kindStund: "-version", kindCoturn: "--version"}[e.kind]
	if arg == "" {
		return ""
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	out, _ := exec.CommandContext(ctx, e.path, arg).Output()
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return lines[len(lines)-1]
}

// args are the program's, for an answer as short as it can be, or with all that RFC 5780 has.
func (e entry) args(dir, port, other string, full bool) []string {
	var args []string
	switch e.kind {
	case kindFloor:
		args = []string{first, port}
	case kindTailscale:
		args = []string{"-stun", net.JoinHostPort(first, port), "-http", net.JoinHostPort(first, other)}
	case kindStund:
		// Limits are in force, so that they cost what they cost, but too high to be met.
		args = []string{"-listen", net.JoinHostPort(first, port), "-log", "error", "-workers", "1"}
		for _, name := range []string{"source-rate", "source-burst", "prefix-rate", "prefix-burst", "total-rate"} {
			args = append(args, "-"+name, "1000000")
		}
		if full {
			args = append(args, "-behaviour", "always", "-alternate", net.JoinHostPort(second, other))
		}
	case kindCoturn:
		args = []string{"-n", "--stun-only", "--no-tcp", "--no-tls", "--no-dtls", "--no-cli", "--no-software-attribute",
			"--simple-log", "--log-file=stdout", "--userdb=" + filepath.Join(dir, "db"), "--pidfile=" + filepath.Join(dir, "pid"),
			"--listening-ip=" + first, "--listening-port=" + port}
		if full {
			args = append(args, "--listening-ip="+second, "--alt-listening-port="+other)
		} else {
			args = append(args, "--no-rfc5780", "--no-stun-backward-compatibility", "--response-origin-only-with-rfc5780")
		}
	}
	return append(args, e.flags...)
}

type server struct {
	host, port string
	cmd        *exec.Cmd
	log        string
	done       chan struct{} // closed when the process has ended
}

func (s *server) pid() int { return s.cmd.Process.Pid }

// start returns when the server answers. A port can be lost between the choice and the child's bind, hence a second try.
func (e entry) start(dir string, full bool, where places) (*server, error) {
	s, err := e.startOnce(dir, full, where)
	if err != nil {
		s, err = e.startOnce(dir, full, where)
	}
	return s, err
}

func (e entry) startOnce(parent string, full bool, where places) (*server, error) {
	dir, err := os.MkdirTemp(parent, e.name+"-")
	if err != nil {
		return nil, err
	}
	ports, err := freePorts()
	if err != nil {
		return nil, err
	}
	s := &server{host: first, port: ports[0], log: filepath.Join(dir, "log"), done: make(chan struct{})}
	logFile, err := os.Create(s.log)
	if err != nil {
		return nil, err
	}
	defer logFile.Close()
	s.cmd = exec.Command(e.path, e.args(dir, ports[0], ports[1], full)...)
	s.cmd.Stdout, s.cmd.Stderr = logFile, logFile
	if err := where.launch(s.cmd, where.server); err != nil {
		return nil, err
	}
	go func() {
		s.cmd.Wait()
		close(s.done)
	}()
	// The floor has one answer for all.
	if err := s.waitReady(full && e.kind != kindFloor); err != nil {
		s.stop()
		return nil, fmt.Errorf("%w%s", err, s.logTail())
	}
	return s, nil
}

func (s *server) waitReady(full bool) error {
	deadline := time.Now().Add(patience)
	for {
		err := s.probe(full)
		if err == nil {
			return nil
		}
		select {
		case <-s.done:
			return fmt.Errorf("ended before it was ready: %v", s.cmd.ProcessState)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not ready after %v: %w", patience, err)
		}
	}
}

// probe sends a request and looks at the answer: it has to have what the load is about.
func (s *server) probe(full bool) error {
	conn, err := net.Dial("udp", net.JoinHostPort(s.host, s.port))
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(200 * time.Millisecond))
	request := stun.Request(stun.NewTxID())
	want := []uint16{0x0020} // XOR-MAPPED-ADDRESS
	if full {
		request = append(request[:2:2], append([]byte{0, 0}, request[4:20]...)...)
		want = append(want, 0x0001, 0x802b, 0x802c) // MAPPED-ADDRESS, RESPONSE-ORIGIN, OTHER-ADDRESS
	}
	if _, err := conn.Write(request); err != nil {
		return err
	}
	b := make([]byte, 2048)
	n, err := conn.Read(b)
	if err != nil {
		return err
	}
	if n < 20 || !bytes.Equal(b[4:20], request[4:20]) {
		return errors.New("the answer is not to the request")
	}
	has := map[uint16]bool{}
	for at := 20; at+4 <= n; at += 4 + (int(binary.BigEndian.Uint16(b[at+2:]))+3)&^3 {
		has[binary.BigEndian.Uint16(b[at:])] = true
	}
	for _, attr := range want {
		if !has[attr] {
			return fmt.Errorf("the answer of %d bytes lacks attribute %#04x", n, attr)
		}
	}
	return nil
}

// stop ends this child, and only this child.
func (s *server) stop() {
	s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.done:
	case <-time.After(patience):
		s.cmd.Process.Kill()
		<-s.done
	}
}

// logTail is the end of what the server said, for an error message.
func (s *server) logTail() string {
	b, _ := os.ReadFile(s.log)
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return "\n  log: " + strings.Join(lines[max(0, len(lines)-5):], "\n  log: ")
}

// freePorts are two ports that are free for UDP and TCP on every address.
func freePorts() ([]string, error) {
	var ports []string
	for tries := 0; len(ports) < 2 && tries < 100; tries++ {
		u, err := net.ListenPacket("udp4", ":0")
		if err != nil {
			return nil, err
		}
		defer u.Close()
		port := u.LocalAddr().(*net.UDPAddr).Port
		t, err := net.Listen("tcp4", ":"+strconv.Itoa(port))
		if err != nil {
			continue
		}
		defer t.Close()
		ports = append(ports, strconv.Itoa(port))
	}
	if len(ports) < 2 {
		return nil, errors.New("found no free ports")
	}
	return ports, nil
}

// places are the cores that server and generator run on.
type places struct {
	all               unix.CPUSet
	server, generator int
	apart             bool // on two different ones
	realtime          bool
}

func choosePlaces(realtime bool) (places, error) {
	w := places{realtime: realtime}
	if err := unix.SchedGetaffinity(0, &w.all); err != nil {
		return w, err
	}
	var cores []int
	for i := range runtime.NumCPU() * 64 {
		if w.all.IsSet(i) {
			cores = append(cores, i)
		}
	}
	w.server, w.generator = cores[0], cores[len(cores)-1]
	w.apart = len(cores) > 1
	return w, nil
}

// launch starts a child on a core. It ends when we end.
func (w places) launch(cmd *exec.Cmd, core int) (err error) {
	var one unix.CPUSet
	one.Set(core)
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unix.SchedSetaffinity(0, &w.all)) }()
	if w.realtime {
		fifo := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 1}
		if err := unix.SchedSetAttr(0, &fifo, 0); err != nil {
			return fmt.Errorf("-realtime: %w", err)
		}
		defer func() {
			err = errors.Join(err, unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr}, 0))
		}()
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd.Start()
}
