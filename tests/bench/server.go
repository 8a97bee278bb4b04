// server.go: one server under test as a child process: start, readiness, accounting, end.

package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"campusnet/bench/proc"
)

// entry is one server of the command line: name=PATH[,FLAG]...
type entry struct {
	name, path string
	flags      []string
}

func parseEntry(arg string) (entry, error) {
	name, rest, ok := strings.Cut(arg, "=")
	if !ok || name == "" || rest == "" {
		return entry{}, fmt.Errorf("%q: want NAME=PATH[,FLAG]..., for example relayd-2w=build/release/relayd,-workers=2", arg)
	}
	parts := strings.Split(rest, ",")
	path, err := exec.LookPath(parts[0])
	if err != nil {
		return entry{}, fmt.Errorf("%q: %w", arg, err)
	}
	return entry{name, path, parts[1:]}, nil
}

// version is the first line that the program prints for -version, or "unknown".
func (e entry) version() string {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, e.path, "-version").Output()
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	if err != nil || line == "" {
		return "unknown"
	}
	return line
}

type server struct {
	addr string
	leaf []byte // DER of the certificate that it was given
	cmd  *exec.Cmd
	log  string
	done chan struct{} // closed when the process has ended
}

// start runs the server on a free loopback port and returns when a client has logged in. A port can be lost between
// the choice and the child's bind, hence a second try.
func (e entry) start(dir string) (*server, error) {
	s, err := e.startOnce(dir)
	if err != nil {
		s, err = e.startOnce(dir)
	}
	return s, err
}

func (e entry) startOnce(parent string) (*server, error) {
	dir, err := os.MkdirTemp(parent, e.name+"-")
	if err != nil {
		return nil, err
	}
	s := &server{log: filepath.Join(dir, "log"), done: make(chan struct{})}
	if s.leaf, err = writeCert(dir); err != nil {
		return nil, err
	}
	if s.addr, err = proc.FreeAddr(); err != nil {
		return nil, err
	}
	logFile, err := os.Create(s.log)
	if err != nil {
		return nil, err
	}
	defer logFile.Close()

	s.cmd = exec.Command(e.path, append([]string{"-a", s.addr, "-hostname", "127.0.0.1", "-certmode", "manual",
		"-certdir", dir, "-c", filepath.Join(dir, "derper.key"), "-http-port", "-1", "-stun=false"}, e.flags...)...)
	s.cmd.Stdout, s.cmd.Stderr = logFile, logFile
	// No server outlives the benchmark. The signal follows the thread that started the child; main holds it.
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		s.cmd.Wait()
		close(s.done)
	}()
	if err := s.waitReady(); err != nil {
		s.stop()
		return nil, fmt.Errorf("%w%s", err, s.logTail())
	}
	return s, nil
}

func (s *server) waitReady() error {
	deadline := time.Now().Add(patience)
	for {
		c, err := s.dial(nil, smallBuf)
		if err == nil {
			c.close()
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

func (s *server) dial(curves []tls.CurveID, bufSize int) (*client, error) {
	return dial(s.addr, s.leaf, curves, bufSize)
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

func (s *server) settledRSS(while time.Duration) (int64, error) {
	return proc.SettledRSS(s.cmd.Process.Pid, while, patience)
}

// logTail is the end of what the server said, for an error message.
func (s *server) logTail() string {
	b, _ := os.ReadFile(s.log)
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return "\n  log: " + strings.Join(lines[max(0, len(lines)-5):], "\n  log: ")
}

// writeCert makes the P-256 certificate that each server is given: with the same kind of key, connects compare.
func writeCert(dir string) ([]byte, error) {
	priv, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "127.0.0.1"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	leaf, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, priv.Public(), priv)
	if err != nil {
		return nil, err
	}
	ec, err := x509.MarshalECPrivateKey(priv)
	if err != nil {
		return nil, err
	}
	base := filepath.Join(dir, "127.0.0.1")
	crt := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf})
	key := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: ec})
	return leaf, errors.Join(os.WriteFile(base+".crt", crt, 0o644), os.WriteFile(base+".key", key, 0o600))
}
