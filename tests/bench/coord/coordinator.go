// coordinator.go: one coordinator under test as a child process: files, start, readiness, users and keys, end.

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"campusnet/bench/proc"
)

const (
	patience = 20 * time.Second // for anything that a healthy program does at once
	domain   = "bench.example"
)

// entry is one coordinator of the command line: NAME=PATH[,FLAG]... A name that begins with "headscale" is Headscale's.
type entry struct {
	name, path string
	flags      []string
}

func parseEntry(arg string) (entry, error) {
	name, rest, ok := strings.Cut(arg, "=")
	if !ok || name == "" || rest == "" {
		return entry{}, fmt.Errorf("%q: want NAME=PATH[,FLAG]..., for example coordd=build/release/coordd", arg)
	}
	parts := strings.Split(rest, ",")
	path, err := exec.LookPath(parts[0])
	if err != nil {
		return entry{}, fmt.Errorf("%q: %w", arg, err)
	}
	if path, err = filepath.Abs(path); err != nil {
		return entry{}, err
	}
	return entry{name, path, parts[1:]}, nil
}

func (e entry) isHeadscale() bool { return strings.HasPrefix(e.name, "headscale") }

func (e entry) version() string {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	arg := "-version"
	if e.isHeadscale() {
		arg = "version"
	}
	out, err := exec.CommandContext(ctx, e.path, arg).Output()
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	if err != nil || line == "" {
		return "unknown"
	}
	return line
}

// sizes are those of the file, as it is and without symbols, in MB.
func (e entry) sizes(dir string) (built, stripped float64, err error) {
	size := func(path string) float64 {
		st, serr := os.Stat(path)
		err = errors.Join(err, serr)
		if serr != nil {
			return 0
		}
		return float64(st.Size()) / (1 << 20)
	}
	bare := filepath.Join(dir, "stripped")
	defer os.Remove(bare)
	if out, err := exec.Command("strip", "-o", bare, e.path).CombinedOutput(); err != nil {
		return 0, 0, fmt.Errorf("strip: %w: %s", err, out)
	}
	return size(e.path), size(bare), err
}

// site is where a coordinator listens and what it serves.
type site struct {
	addr    string // of plain HTTP
	space   *space // nil: where the benchmark itself runs
	derpMap string // JSON
	policy  string // huJSON; "" lets everybody reach everybody
}

type coordinator struct {
	entry
	site
	dir  string
	log  string
	cmd  *exec.Cmd
	done chan struct{}
	made int // users
}

func (e entry) start(parent string, at site) (*coordinator, error) {
	dir, err := os.MkdirTemp(parent, e.name+"-")
	if err != nil {
		return nil, err
	}
	if at.addr == "" {
		if at.addr, err = proc.FreeAddr(); err != nil {
			return nil, err
		}
	}
	c := &coordinator{entry: e, site: at, dir: dir, log: filepath.Join(dir, "log")}
	write := c.writeCoordd
	if e.isHeadscale() {
		write = c.writeHeadscale
	}
	if err := write(); err != nil {
		return nil, err
	}
	return c, c.run()
}

func (c *coordinator) file(name string) string { return filepath.Join(c.dir, name) }

func (c *coordinator) writeCoordd() error {
	return errors.Join(os.Mkdir(c.file("state"), 0o700), os.WriteFile(c.file("derp.json"), []byte(c.derpMap), 0o644),
		os.WriteFile(c.file("policy"), []byte(c.policy), 0o644))
}

// writeHeadscale writes its smallest configuration: what is not here is its default.
func (c *coordinator) writeHeadscale() error {
	conf := map[string]any{
		"server_url": "http://" + c.addr, "listen_addr": c.addr, "metrics_listen_addr": "", "disable_check_updates": true,
		"noise":    map[string]any{"private_key_path": c.file("noise.key")},
		"prefixes": map[string]any{"v4": "100.64.0.0/10", "v6": "fd7a:115c:a1e0::/48"},
		"derp":     map[string]any{"paths": []string{c.file("derp.yaml")}, "auto_update_enabled": false},
		"database": map[string]any{"type": "sqlite", "sqlite": map[string]any{"path": c.file("db.sqlite")}},
		"dns":      map[string]any{"magic_dns": true, "base_domain": domain, "override_local_dns": false},
		"policy":   map[string]any{"path": ""}, "unix_socket": c.file("sock"),
	}
	if c.policy != "" {
		conf["policy"] = map[string]any{"path": c.file("policy")}
	}
	text, err := json.MarshalIndent(conf, "", "  ") // JSON is YAML, too
	if err != nil {
		return err
	}
	return errors.Join(os.WriteFile(c.file("conf.yaml"), text, 0o644),
		os.WriteFile(c.file("derp.yaml"), yamlMap(c.derpMap), 0o644), os.WriteFile(c.file("policy"), []byte(c.policy), 0o644))
}

// yamlMap is a DERP map as Headscale reads it: keys in lower case, regions by number.
func yamlMap(text string) []byte {
	text = regexp.MustCompile(`"[A-Za-z0-9]+"\s*:`).ReplaceAllStringFunc(text, strings.ToLower)
	return []byte(regexp.MustCompile(`"(\d+)"\s*:`).ReplaceAllString(text, "$1: "))
}

func (c *coordinator) run() error {
	logFile, err := os.OpenFile(c.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer logFile.Close()
	args := []string{"serve", "-c", c.file("conf.yaml")}
	if !c.isHeadscale() {
		args = []string{"-listen", c.addr, "-state", c.file("state"), "-domain", domain, "-derp-map", c.file("derp.json"),
			"-socket", c.file("sock"), "-url", "http://" + c.addr, "-admin", "", "-user", "root"}
		if c.policy != "" {
			args = append(args, "-policy", c.file("policy"))
		}
	}
	c.cmd = c.space.command(c.path, append(args, c.flags...)...)
	c.cmd.Stdout, c.cmd.Stderr = logFile, logFile
	c.done = make(chan struct{})
	if err := c.cmd.Start(); err != nil {
		return err
	}
	go func() {
		c.cmd.Wait()
		close(c.done)
	}()
	if err := c.waitReady(); err != nil {
		c.stop()
		return fmt.Errorf("%w%s", err, c.logTail())
	}
	return nil
}

// waitReady waits until the socket for administrators answers; then the public listener does, too.
func (c *coordinator) waitReady() error {
	for end := time.Now().Add(patience); ; {
		err := c.ping()
		if err == nil {
			return nil
		}
		select {
		case <-c.done:
			return fmt.Errorf("ended before it was ready: %v", c.cmd.ProcessState)
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(end) {
			return fmt.Errorf("not ready after %v: %w", patience, err)
		}
	}
}

func (c *coordinator) ping() error {
	if c.isHeadscale() {
		conn, err := net.Dial("unix", c.file("sock"))
		if err == nil {
			conn.Close()
		}
		return err
	}
	return c.api("GET", "/status", nil, nil)
}

// stop ends this child, and only this child.
func (c *coordinator) stop() {
	c.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-c.done:
	case <-time.After(patience):
		c.cmd.Process.Kill()
		<-c.done
	}
}

// end stops it; to an error it adds what the coordinator said last.
func (c *coordinator) end(err *error) {
	c.stop()
	if *err != nil {
		*err = fmt.Errorf("%w%s", *err, c.logTail())
	}
}

// memory is the settled resident memory, in MB.
func (c *coordinator) memory(settle time.Duration) (float64, error) {
	b, err := proc.SettledRSS(c.cmd.Process.Pid, settle, patience)
	return float64(b) / (1 << 20), err
}

// logTail is the end of what the coordinator said, for an error message.
func (c *coordinator) logTail() string {
	b, _ := os.ReadFile(c.log)
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return "\n  log: " + strings.Join(lines[max(0, len(lines)-5):], "\n  log: ")
}

// addUser makes a user with a reusable auth key, and returns the key.
func (c *coordinator) addUser(name string) (string, error) {
	c.made++
	if c.isHeadscale() {
		return c.addHeadscaleUser(name)
	}
	if err := c.api("POST", "/users", map[string]any{"name": name}, nil); err != nil {
		return "", err
	}
	var k struct{ Key string }
	err := c.api("POST", "/preauthkeys", map[string]any{"user": name, "reusable": true, "expiration": 86400}, &k)
	return k.Key, err
}

func (c *coordinator) addHeadscaleUser(name string) (string, error) {
	run := func(args ...string) ([]byte, error) {
		var out, bad bytes.Buffer
		cmd := exec.Command(c.path, append([]string{"-c", c.file("conf.yaml"), "-o", "json"}, args...)...)
		cmd.Stdout, cmd.Stderr = &out, &bad
		if err := cmd.Run(); err != nil {
			return nil, fmt.Errorf("headscale %s: %w: %s", strings.Join(args, " "), err, bad.Bytes())
		}
		return out.Bytes(), nil
	}
	if _, err := run("users", "create", name); err != nil {
		return "", err
	}
	out, err := run("preauthkeys", "create", "--user", strconv.Itoa(c.made), "--reusable", "--expiration", "24h")
	if err != nil {
		return "", err
	}
	var k struct{ Key string }
	err = json.Unmarshal(out, &k)
	return k.Key, err
}

// api asks coordd over its Unix socket.
func (c *coordinator) api(method, path string, body, answer any) error {
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", c.file("sock"))
		}}}
	var sent io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		sent = bytes.NewReader(b)
	}
	req, err := http.NewRequest(method, "http://coordd/api/v1"+path, sent)
	if err != nil {
		return err
	}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s: %.200s %v", method, path, res.Status, b, err)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(b, answer)
}
