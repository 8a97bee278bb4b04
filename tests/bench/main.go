// derpbench measures DERP servers side by side, in one run, with one generator.
//
// Each figure is taken from a fresh server process that has the machine's attention alone, apart from the generator.
// For each load the servers take turns, in an order that rotates from round to round, so that a slow minute of the
// machine hits all of them. Values are medians over the rounds. Read ratios, not values: the generator shares the
// cores with the server, and a value holds for this machine only. Timing is shown, never asserted; a wrong byte,
// a lost connection or a server that does not start ends the run with status 1.
package main

import (
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"campusnet/bench/proc"
	"campusnet/bench/table"
)

// load is one way to drive a server, and the rows that it fills.
type load struct {
	name, title string
	run         func(*server, size) (figures, error)
	rows        []row
}

// The targets are what relayd is built to reach beside derper.
const (
	cpuTarget     = 0.55
	latencyTarget = 1.0
	idleTarget    = 0.25
	connectTarget = 0.5
)

func loads() []load {
	// A server that drops is cheap per packet sent, one that delivers is cheap per packet delivered: the target has to be
	// met both ways.
	cpu := []row{
		{"cpu_per_sent", "server CPU per packet sent", "us", cpuTarget},
		{"cpu_per_delivered", "server CPU per packet delivered", "us", cpuTarget},
	}
	rates := []row{
		{"sent_rate", "sent", "1/s", 0},
		{"delivered_rate", "delivered", "1/s", 0},
		{"loss", "loss", "%", notAbove},
	}
	latency := []row{
		{"p50", "latency p50", "us", latencyTarget},
		{"p99", "latency p99", "us", latencyTarget},
	}
	packets := slices.Concat(cpu, latency, rates)
	flooded := slices.Concat(cpu, rates)
	trips := []row{
		{"cpu_per_trip", "server CPU per round trip", "us", cpuTarget},
		{"p50", "round trip p50", "us", latencyTarget},
		{"p99", "round trip p99", "us", latencyTarget},
	}
	connects := []row{
		{"cpu_per_connect", "server CPU per connect", "us", connectTarget},
		{"connect_rate", "connects", "1/s", 0},
	}
	return []load{
		{"paced10k", "paced 10k/s 1200 B", paced(10_000, 1200, time.Millisecond), packets},
		{"paced20k", "paced 20k/s 120 B", paced(20_000, 120, time.Millisecond), packets},
		// Evenly spaced, each packet wakes everybody for itself: the dearest way to carry it, and the lowest latency.
		{"even10k", "even 10k/s 1200 B", paced(10_000, 1200, 0), packets},
		{"flood1", "flood 1200 B, one pair", flood(true, 1200), flooded},
		{"flood", "flood 1200 B, all pairs", flood(false, 1200), flooded},
		{"pingpong", "ping-pong 120 B", pingPong, trips},
		{"connect", "connect, as a stock client", connect(), connects},
		// Go servers agree on ML-KEM with a stock client, OpenSSL 3.0 cannot: like for like is X25519 for both.
		{"connect_x25519", "connect, X25519 only", connect(tls.X25519), connects},
		{"idle", "idle connections", idle, []row{
			{"kb_per_conn", "memory per connection", "KB", idleTarget},
			{"base_rss", "memory without them", "MB", 0},
		}},
	}
}

func main() {
	// A child ends with the thread that started it (Pdeathsig), so that thread is held.
	runtime.LockOSThread()
	debug.SetGCPercent(400)

	z := size{settle: time.Second}
	rounds := flag.Int("rounds", 3, "rounds; each figure is the median over them")
	flag.Float64Var(&z.seconds, "seconds", 2, "seconds per load and round")
	flag.IntVar(&z.pairs, "pairs", 10, "pairs of clients in the paced loads and in the flood")
	flag.IntVar(&z.idle, "idle", 2000, "idle connections")
	flag.IntVar(&z.connects, "connects", 500, "connects per round")
	flag.IntVar(&z.burst, "burst", 1, "packets per write in the flood; a stock client writes each one alone")
	quick := flag.Bool("quick", false, "smoke run: one short round that shows that everything works, and measures little")
	only := flag.String("only", "", "run the loads with these names alone, as in flood1,pingpong")
	jsonPath := flag.String("json", "", "also write all figures to this file")
	flag.Usage = func() {
		fmt.Fprintf(flag.CommandLine.Output(), "usage: derpbench [flags] NAME=PATH[,FLAG]... NAME=PATH[,FLAG]...\n"+
			"Ratios are to the server named derper, else to the last one.\n")
		flag.PrintDefaults()
	}
	flag.Parse()
	if *quick {
		*rounds, z.seconds, z.idle, z.connects, z.settle = 1, 0.2, 200, 50, 300*time.Millisecond
	}
	entries, err := parseArgs(flag.Args(), *rounds, z)
	if err != nil {
		fmt.Fprintln(os.Stderr, "derpbench:", err)
		os.Exit(2)
	}
	chosen, err := choose(*only)
	if err != nil {
		fmt.Fprintln(os.Stderr, "derpbench:", err)
		os.Exit(2)
	}
	if err := bench(entries, chosen, *rounds, z, *jsonPath); err != nil {
		fmt.Fprintln(os.Stderr, "derpbench:", err)
		os.Exit(1)
	}
}

// choose returns the loads that a comma list names; all of them for "".
func choose(list string) ([]load, error) {
	if list == "" {
		return loads(), nil
	}
	var chosen []load
	for _, name := range strings.Split(list, ",") {
		i := slices.IndexFunc(loads(), func(l load) bool { return l.name == name })
		if i < 0 {
			return nil, fmt.Errorf("-only: no load %q", name)
		}
		chosen = append(chosen, loads()[i])
	}
	return chosen, nil
}

func parseArgs(args []string, rounds int, z size) ([]entry, error) {
	within := func(name string, v, lo, hi float64) error {
		if v < lo || v > hi {
			return fmt.Errorf("-%s %v: want %v to %v", name, v, lo, hi)
		}
		return nil
	}
	for _, err := range []error{
		within("rounds", float64(rounds), 1, 100),
		within("seconds", z.seconds, 0.1, 60),
		within("pairs", float64(z.pairs), 1, 100),
		within("idle", float64(z.idle), 10, 20_000),
		within("connects", float64(z.connects), 10, 10_000),
		within("burst", float64(z.burst), 1, 1000),
	} {
		if err != nil {
			return nil, err
		}
	}
	if len(args) < 2 {
		return nil, fmt.Errorf("want two servers or more, as NAME=PATH[,FLAG]..., got %d", len(args))
	}
	var entries []entry
	seen := map[string]bool{}
	for _, a := range args {
		e, err := parseEntry(a)
		if err != nil {
			return nil, err
		}
		if seen[e.name] {
			return nil, fmt.Errorf("%q: name used twice", a)
		}
		seen[e.name] = true
		entries = append(entries, e)
	}
	return entries, nil
}

func bench(entries []entry, chosen []load, rounds int, z size, jsonPath string) error {
	if err := proc.RaiseFiles(z.idle + 200); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "derpbench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	sig := make(chan os.Signal, 1)
	signal.Notify(sig, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		<-sig
		os.RemoveAll(dir)
		os.Exit(130)
	}()

	rep := newReport(entries, rounds, z)
	rep.printHeader(os.Stdout)
	for round := range rounds {
		for _, l := range chosen {
			for i := range entries {
				e := entries[(i+round)%len(entries)]
				table.Progress("round %d of %d: %s: %s", round+1, rounds, l.title, e.name)
				fig, err := runOne(e, l, z, dir)
				if err != nil {
					return fmt.Errorf("%s: %s: %w", e.name, l.title, err)
				}
				rep.add(e, l, fig)
			}
		}
	}
	table.Progress("")
	rep.finish(chosen)
	rep.printTable(os.Stdout)
	if jsonPath == "" {
		return nil
	}
	b, err := json.MarshalIndent(rep, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(jsonPath, append(b, '\n'), 0o644)
}

func runOne(e entry, l load, z size, dir string) (figures, error) {
	s, err := e.start(dir)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	runtime.GC() // the last load's garbage is not this one's
	fig, err := l.run(s, z)
	if err != nil {
		return nil, fmt.Errorf("%w%s", err, s.logTail())
	}
	return fig, nil
}
