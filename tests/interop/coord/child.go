package coord

// This file owns the processes that the tests start: they are ended by the
// process id, and die with the tests.

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait for something that must happen. It is generous,
// since sanitizer builds on a busy machine are slow; nothing waits for its end.
const patience = 60 * time.Second

// program returns the path of a program named by an environment variable.
func program(t testing.TB, env string) string {
	t.Helper()
	path := os.Getenv(env)
	if path == "" {
		cannotRun(t, env+" is not set: it must be the path of the program")
	}
	if !filepath.IsAbs(path) {
		t.Fatalf("%s=%q: must be an absolute path", env, path)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%s: %v", env, err)
	}
	return path
}

// await polls check until it returns nil. Its last error says what is wrong.
func await(t testing.TB, what string, check func() error) {
	t.Helper()
	awaitWithin(t, patience, what, check)
}

func awaitWithin(t testing.TB, limit time.Duration, what string, check func() error) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("still not so after %v: %s: %v", limit, what, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// awaitTrue is await for a check that has nothing to tell.
func awaitTrue(t testing.TB, what string, check func() bool) {
	t.Helper()
	await(t, what, func() error {
		if check() {
			return nil
		}
		return errors.New("it is not")
	})
}

// output collects what a child writes.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// tail returns the last lines.
func (o *output) tail(lines int) string {
	all := strings.Split(strings.TrimRight(o.String(), "\n"), "\n")
	if len(all) > lines {
		all = append([]string{"..."}, all[len(all)-lines:]...)
	}
	return strings.Join(all, "\n")
}

// child is a running program.
type child struct {
	name string
	cmd  *exec.Cmd
	out  *output
	done chan struct{} // closed when the process has ended
	err  error         // how it ended; read after done
}

// start runs a command that space.command made. out goes on with what an
// earlier run wrote.
func start(t testing.TB, name string, cmd *exec.Cmd, out *output) *child {
	t.Helper()
	c := &child{name: name, cmd: cmd, out: out, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	go func() {
		c.err = cmd.Wait()
		close(c.done)
	}()
	return c
}

func (c *child) alive() bool {
	select {
	case <-c.done:
		return false
	default:
		return true
	}
}

// end sends a signal and waits for the end, which it tells.
func (c *child) end(sig syscall.Signal) error {
	if c.alive() {
		c.cmd.Process.Signal(sig)
	}
	select {
	case <-c.done:
		return c.err
	case <-time.After(patience):
		c.cmd.Process.Kill()
		<-c.done
		return fmt.Errorf("%s did not end within %v of %v", c.name, patience, sig)
	}
}

// kill is what kill -9 does.
func (c *child) kill() {
	c.cmd.Process.Kill()
	<-c.done
}

// findings are the words with which a sanitizer reports.
var findings = []string{"Sanitizer: ", "runtime error: "}

// endWell ends one of our own programs: with status 0 and no finding.
func (c *child) endWell(t testing.TB) {
	t.Helper()
	if !c.alive() {
		t.Errorf("%s died: %v", c.name, c.err)
	} else if err := c.end(syscall.SIGTERM); err != nil {
		t.Errorf("%s did not end well: %v", c.name, err)
	}
	for _, word := range findings {
		if strings.Contains(c.out.String(), word) {
			t.Errorf("%s: a sanitizer has reported", c.name)
		}
	}
}
