// load.go: the loads, each a call of the generator, and what they are measured by.

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"campusnet/bench/proc"
)

type figures map[string]float64

// load is one way to drive a server, and the rows that it fills.
type load struct {
	name, title string
	size        int  // bytes of a request
	flight      int  // requests in flight
	fresh       bool // each request comes from an address of its own
	full        bool // the server gives all that RFC 5780 has
	rows        []row
}

// The sockets that the requests in flight are spread over, if they are many.
const manySockets = 4

// targets are good ratios to the servers with these names, limits if what is better is smaller.
type targets map[string]float64

// row is one figure. most is the largest good value, none without.
type row struct {
	metric, title, unit string
	moreIsBetter        bool
	targets             targets
	most                float64
}

const none = -1

func loads() []load {
	rows := func(rate, cpu, p50 targets, lost float64) []row {
		return []row{
			{"rate", "answers", "1/s", true, rate, none},
			{"cpu", "server CPU per request", "us", false, cpu, none},
			{"p50", "latency p50", "us", false, p50, none},
			{"p99", "latency p99", "us", false, nil, none},
			{"lost", "lost", "", false, nil, lost},
		}
	}
	memory := []row{
		{"memory", "memory at the end", "MB", false, nil, none},
		{"grown", "memory that was added", "MB", false, nil, 0.1},
	}
	steady := targets{"floor": 1.05}
	fresh := targets{"floor": 1.1}
	return []load{
		{name: "steady40", title: "40 B, 256 in flight", size: 40, flight: 256,
			rows: rows(targets{"floor": 0.95, "tailscale": 1.5, "coturn": 1.9}, steady, nil, 0)},
		{name: "steady20", title: "20 B, 256 in flight", size: 20, flight: 256, rows: rows(nil, steady, nil, 0)},
		{name: "fresh40", title: "40 B, new 5-tuple each, 256 in flight", size: 40, flight: 256, fresh: true,
			rows: append(rows(targets{"coturn": 7}, fresh, nil, 0), memory...)},
		{name: "fresh20", title: "20 B, new 5-tuple each, 256 in flight", size: 20, flight: 256, fresh: true,
			rows: append(rows(targets{"coturn": 7}, fresh, nil, 0), memory...)},
		{name: "one40", title: "40 B, one in flight", size: 40, flight: 1, rows: rows(nil, nil, steady, none)},
		{name: "one20", title: "20 B, one in flight", size: 20, flight: 1, rows: rows(nil, nil, steady, none)},
		{name: "onefresh40", title: "40 B, new 5-tuple each, one in flight", size: 40, flight: 1, fresh: true,
			rows: rows(nil, nil, nil, none)},
		{name: "full20", title: "20 B, full RFC 5780 answer, 256 in flight", size: 20, flight: 256, full: true,
			rows: rows(nil, targets{"floor": 1.2}, nil, 0)},
	}
}

func names() []string {
	var all []string
	for _, l := range loads() {
		all = append(all, l.name)
	}
	return all
}

// suits says whether the server answers such requests: Tailscale's only answers Tailscale's.
func (l load) suits(e entry) bool { return e.kind != kindTailscale || l.size == 40 }

// run drives the server for that time.
func (l load) run(s *server, generator string, where places, d time.Duration) (figures, error) {
	args := []string{"-size", strconv.Itoa(l.size), "-flight", strconv.Itoa(l.flight),
		"-ms", strconv.FormatInt(max(1, d.Milliseconds()), 10)}
	if l.flight > 1 {
		args = append(args, "-sockets", strconv.Itoa(manySockets))
	}
	if l.fresh {
		args = append(args, "-fresh")
	}
	if where.apart {
		args = append(args, "-core", strconv.Itoa(where.generator))
	}
	before, err := proc.RSS(s.pid())
	if err != nil {
		return nil, err
	}
	meter, err := proc.Start(s.pid())
	if err != nil {
		return nil, err
	}
	var answers struct {
		Answered, Lost, Rate float64
		P50                  float64 `json:"p50_us"`
		P99                  float64 `json:"p99_us"`
		CPU                  float64 `json:"cpu_us"`
	}
	if err := where.generate(generator, append(args, s.host, s.port), &answers); err != nil {
		return nil, err
	}
	used, err := meter.Read()
	if err != nil {
		return nil, err
	}
	after, err := proc.RSS(s.pid())
	if err != nil {
		return nil, err
	}
	cpu := float64(used.Process.Nanoseconds()) / 1e3
	return figures{
		"rate": answers.Rate, "lost": answers.Lost, "p50": answers.P50, "p99": answers.P99,
		"cpu":    cpu / max(1, answers.Answered),
		"memory": float64(after) / (1 << 20), "grown": float64(after-before) / (1 << 20),
		"busy":         cpu * answers.Rate / 1e4 / max(1, answers.Answered),
		"others_cores": max(0, used.Others-answers.CPU/float64(used.Elapsed.Microseconds())),
	}, nil
}

// generate runs the generator and reads what it found.
func (w places) generate(path string, args []string, into any) error {
	var out, errs bytes.Buffer
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := w.launch(cmd, w.generator); err != nil {
		return err
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("generator: %w: %s", err, strings.TrimSpace(errs.String()))
	}
	return json.Unmarshal(out.Bytes(), into)
}
