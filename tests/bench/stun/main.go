// stunbench measures STUN servers side by side, in one run, with one generator (c/stunload.c).
//
// Each figure is taken from a fresh server process on one core, with the generator on another. For each load the servers
// take turns, in an order that rotates from round to round. Values are medians over the rounds; ratios are what can be
// compared: loopback charges the sender with most of the network's work, and a value holds for this machine only.
// The floor (c/floor.c) is what the kernel charges for the same answer without a server around it. Timing is shown, never
// asserted; a wrong answer or a server that does not start ends the run with status 1.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"campusnet/bench/table"
)

type options struct {
	rounds          int
	seconds         float64
	realtime        bool
	loads           []load
	generator, json string
}

func main() {
	// A child ends with the thread that started it (Pdeathsig) and inherits its core, so that thread is held.
	runtime.LockOSThread()

	var o options
	flag.IntVar(&o.rounds, "rounds", 5, "rounds; each figure is the median over them")
	flag.Float64Var(&o.seconds, "seconds", 1, "seconds per load and round")
	flag.BoolVar(&o.realtime, "realtime", false, "run servers and generator ahead of all else (SCHED_FIFO): for a machine "+
		"that others use; needs root")
	flag.StringVar(&o.generator, "generator", "build/release/tests/bench/stunload", "the load generator")
	flag.StringVar(&o.json, "json", "", "also write all figures to this file")
	quick := flag.Bool("quick", false, "smoke run: one short round that shows that everything works, and measures little")
	only := flag.String("only", "", "run the loads with these names alone, of "+strings.Join(names(), ","))
	flag.Usage = func() {
		fmt.Fprintf(flag.CommandLine.Output(), "usage: stunbench [flags] NAME=PATH[,FLAG]...\n"+
			"The NAME floor is c/floor.c, tailscale Tailscale's stund, coturn its turnserver; any other is a stund.\n")
		flag.PrintDefaults()
	}
	flag.Parse()
	if *quick {
		o.rounds, o.seconds = 1, 0.05
	}
	entries, err := o.check(flag.Args(), *only)
	if err != nil {
		fmt.Fprintln(os.Stderr, "stunbench:", err)
		os.Exit(2)
	}
	if err := bench(entries, o); err != nil {
		fmt.Fprintln(os.Stderr, "stunbench:", err)
		os.Exit(1)
	}
}

func (o *options) check(args []string, only string) ([]entry, error) {
	if o.rounds < 1 || o.rounds > 100 {
		return nil, fmt.Errorf("-rounds %d: want 1 to 100", o.rounds)
	}
	if o.seconds < 0.01 || o.seconds > 10 {
		return nil, fmt.Errorf("-seconds %v: want 0.01 to 10", o.seconds)
	}
	o.loads = loads()
	if only != "" {
		o.loads = nil
		for _, name := range strings.Split(only, ",") {
			i := slices.Index(names(), name)
			if i < 0 {
				return nil, fmt.Errorf("-only: no load %q", name)
			}
			o.loads = append(o.loads, loads()[i])
		}
	}
	if len(args) == 0 {
		return nil, errors.New("want a server or more, as NAME=PATH[,FLAG]...")
	}
	var entries []entry
	for _, a := range args {
		e, err := parseEntry(a)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(entries, func(o entry) bool { return o.name == e.name }) {
			return nil, fmt.Errorf("%q: name used twice", a)
		}
		entries = append(entries, e)
	}
	return entries, nil
}

func bench(entries []entry, o options) error {
	dir, err := os.MkdirTemp("", "stunbench-")
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
	where, err := choosePlaces(o.realtime)
	if err != nil {
		return err
	}

	rep := newReport(entries, o, where)
	rep.printHeader(os.Stdout)
	for round := range o.rounds {
		for _, l := range o.loads {
			for i := range entries {
				e := entries[(i+round)%len(entries)]
				if !l.suits(e) {
					continue
				}
				table.Progress("round %d of %d: %s: %s", round+1, o.rounds, l.title, e.name)
				fig, err := runOne(e, l, o, where, dir)
				if err != nil {
					return fmt.Errorf("%s: %s: %w", e.name, l.title, err)
				}
				rep.add(e, l, fig)
			}
		}
	}
	table.Progress("")
	rep.finish(o.loads)
	rep.printTable(os.Stdout)
	if o.json == "" {
		return nil
	}
	b, err := json.MarshalIndent(rep, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(o.json, append(b, '\n'), 0o644)
}

// runOne is a sample: a fresh server, a short load to warm it up, and the load.
func runOne(e entry, l load, o options, where places, dir string) (figures, error) {
	s, err := e.start(dir, l.full, where)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	d := time.Duration(o.seconds * float64(time.Second))
	if _, err := l.run(s, o.generator, where, d/4); err != nil {
		return nil, fmt.Errorf("%w%s", err, s.logTail())
	}
	fig, err := l.run(s, o.generator, where, d)
	if err != nil {
		return nil, fmt.Errorf("%w%s", err, s.logTail())
	}
	return fig, nil
}
