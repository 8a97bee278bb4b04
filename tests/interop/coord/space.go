// Package coord drives coordd, relayd and stund with the unmodified
// tailscaled and tailscale, in network namespaces that have no way out.
//
// Each test makes a world of its own: a namespace with the servers, and one
// per client, joined to it by a pair of veth devices. The servers' namespace
// routes between the clients. Needs root and /dev/net/tun.
//
// The programs are named by absolute paths in the environment: COORDD,
// COORDCTL, RELAYD, STUND, TAILSCALED, TAILSCALE, DERPER. Without one of them
// the tests that need it are skipped; with CI set they fail.
//
// This file owns the namespaces. They have no names: each lives as long as
// processes in it, the first of which dies with this one.
package coord

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// needRoot skips the test where namespaces cannot be made; in CI it fails.
func needRoot(t testing.TB) {
	t.Helper()
	why := ""
	if os.Geteuid() != 0 {
		why = "needs root, for network namespaces"
	} else if _, err := os.Stat("/dev/net/tun"); err != nil {
		why = "needs a TUN device: " + err.Error()
	}
	cannotRun(t, why)
}

// cannotRun ends the test if there is a reason why it cannot run here.
func cannotRun(t testing.TB, why string) {
	t.Helper()
	if why == "" {
		return
	}
	if os.Getenv("CI") != "" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// space is a network namespace with a mount namespace of its own.
type space struct {
	name   string
	keeper *exec.Cmd // keeps it alive
	net    *os.File
}

func newSpace(t testing.TB, name string) *space {
	t.Helper()
	s := &space{name: name, keeper: exec.Command("sleep", "infinity")}
	s.keeper.SysProcAttr = &syscall.SysProcAttr{
		// Unshareflags, since these make the mounts private as well.
		Unshareflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS,
		Pdeathsig:    syscall.SIGKILL,
	}
	if err := s.keeper.Start(); err != nil {
		t.Fatalf("namespace of %s: %v", name, err)
	}
	t.Cleanup(func() {
		s.keeper.Process.Kill()
		s.keeper.Wait()
	})
	var err error
	s.net, err = os.Open(fmt.Sprintf("/proc/%d/ns/net", s.pid()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.net.Close() })
	s.sh(t, "mount -t sysfs sysfs /sys && ip link set lo up")
	return s
}

func (s *space) pid() int { return s.keeper.Process.Pid }

// command returns a command that will run inside.
func (s *space) command(path string, args ...string) *exec.Cmd {
	proc := fmt.Sprintf("/proc/%d/", s.pid())
	// The root is that of the tests, which may not be that of the mounts.
	all := []string{"--net=" + proc + "ns/net", "--mount=" + proc + "ns/mnt",
		"--root=" + proc + "root", "--wd=" + proc + "cwd", "--", path}
	return exec.Command("nsenter", append(all, args...)...)
}

// sh runs a shell script inside, which must succeed.
func (s *space) sh(t testing.TB, script string) string {
	t.Helper()
	out, err := s.try(script)
	if err != nil {
		t.Fatalf("in %s: %s: %v\n%s", s.name, script, err, out)
	}
	return out
}

func (s *space) try(script string) (string, error) {
	out, err := s.command("sh", "-euc", script).CombinedOutput()
	return string(out), err
}

// do calls f on a thread that is inside. A socket that f makes stays inside;
// f must start no process and no goroutine.
func (s *space) do(t testing.TB, f func()) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		home, err := os.Open("/proc/thread-self/ns/net")
		if err == nil {
			defer home.Close()
			err = unix.Setns(int(s.net.Fd()), unix.CLONE_NEWNET)
		}
		if err != nil {
			done <- err
			return
		}
		f()
		// The thread may be the parent of children that die with it:
		// so it goes home and lives on.
		if err := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); err != nil {
			panic(err)
		}
		runtime.UnlockOSThread()
		done <- nil
	}()
	if err := <-done; err != nil {
		t.Fatalf("cannot enter %s: %v", s.name, err)
	}
}

// ownEtc gives the namespace an /etc of its own, in dir: what is there now of
// the files that name lookups and TLS need, and the hosts given.
func (s *space) ownEtc(t testing.TB, dir, hosts string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"hosts":         "127.0.0.1 localhost\n::1 localhost\n" + hosts,
		"nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
		"resolv.conf":   "nameserver " + serverIP4 + "\n",
		"passwd":        "root:x:0:0:root:/root:/bin/sh\n",
		"group":         "root:x:0:\n",
	} {
		writeFile(t, filepath.Join(dir, name), text)
	}
	s.sh(t, "mkdir -p '"+dir+"/ssl' && { [ ! -d /etc/ssl ] || "+
		"mount --bind /etc/ssl '"+dir+"/ssl'; } && mount --rbind '"+dir+"' /etc")
}

func writeFile(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
