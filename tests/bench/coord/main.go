// coordbench measures coordinators: coordd, beside Headscale if it is given.
//
// A swarm of simulated clients speaks the control protocol with them, and stock clients join in network namespaces.
// Each swarm has a fresh coordinator. All figures hold for this machine only, and the swarm shares its cores; ratios are
// what can be compared. Timing is shown, never asserted; a node that is told something wrong, or is not told something,
// ends the run with status 1.
package main

import (
	"errors"
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

var rep *report

// note is printed below the table.
func note(format string, args ...any) { rep.Notes = append(rep.Notes, fmt.Sprintf(format, args...)) }

type options struct {
	size
	rounds             int
	quick              bool
	only               []string
	ours, theirs, json string
}

func main() {
	// A child ends with the thread that started it (Pdeathsig), so that thread is held.
	runtime.LockOSThread()
	debug.SetGCPercent(400)

	o := options{size: size{settle: time.Second}}
	flag.IntVar(&o.rounds, "rounds", 1, "rounds of the swarm's loads")
	flag.IntVar(&o.ups, "ups", 7, "stock clients that join, per coordinator")
	flag.IntVar(&o.nodes, "nodes", 1000, "nodes that all see each other")
	flag.IntVar(&o.many, "many", 10_000, "nodes in teams")
	flag.IntVar(&o.team, "team", 100, "nodes per team")
	flag.IntVar(&o.width, "width", 100, "nodes in teams that join at a time")
	flag.IntVar(&o.changes, "changes", 300, "changes of an endpoint")
	flag.DurationVar(&o.limit, "limit", 5*time.Minute, "when to give up waiting for maps")
	flag.BoolVar(&o.oneSource, "one-source", false, "all simulated nodes come from one address, as behind a NAT")
	flag.BoolVar(&o.quick, "quick", false, "smoke run: few nodes, no stock clients: shows that all works, measures little")
	flag.StringVar(&o.ours, "programs", "build/release", "folder of relayd and stund")
	flag.StringVar(&o.theirs, "peers", "build/peers", "folder of tailscale and tailscaled")
	flag.StringVar(&o.json, "json", "", "also write all figures to this file")
	only := flag.String("only", "", "run these alone, of up,few,all,teams")
	flag.Usage = func() {
		fmt.Fprintf(flag.CommandLine.Output(), "usage: coordbench [flags] NAME=PATH[,FLAG]...\n"+
			"A NAME that begins with headscale is a Headscale; any other is a coordd.\n")
		flag.PrintDefaults()
	}
	flag.Parse()
	if *only != "" {
		o.only = strings.Split(*only, ",")
	}
	if o.quick {
		o.nodes, o.many, o.team, o.width, o.changes, o.ups, o.settle = 20, 20, 5, 10, 5, 0, 300*time.Millisecond
		o.limit = min(o.limit, time.Minute)
	}
	entries, err := o.check(flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "coordbench:", err)
		os.Exit(2)
	}
	if err := bench(entries, o); err != nil {
		fmt.Fprintln(os.Stderr, "coordbench:", err)
		os.Exit(1)
	}
}

func (o *options) check(args []string) ([]entry, error) {
	for _, v := range []struct {
		name      string
		v, lo, hi int
	}{
		{"rounds", o.rounds, 1, 100}, {"ups", o.ups, 0, 1000}, {"nodes", o.nodes, 2, 10_000}, {"many", o.many, 2, 30_000},
		{"team", o.team, 2, 10_000}, {"width", o.width, 1, 30_000}, {"changes", o.changes, 1, 50_000},
	} {
		if v.v < v.lo || v.v > v.hi {
			return nil, fmt.Errorf("-%s %d: want %d to %d", v.name, v.v, v.lo, v.hi)
		}
	}
	for _, name := range o.only {
		if !slices.Contains([]string{"up", "few", "all", "teams"}, name) {
			return nil, fmt.Errorf("-only: no load %q", name)
		}
	}
	if len(args) == 0 {
		return nil, errors.New("want a coordinator or more, as NAME=PATH[,FLAG]...")
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

func (o *options) wants(name string) bool { return len(o.only) == 0 || slices.Contains(o.only, name) }

func bench(entries []entry, o options) error {
	if err := proc.RaiseFiles(max(o.nodes, o.many) + 1000); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "coordbench-")
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

	rep = newReport(entries)
	rep.printHeader(os.Stdout, o.size)
	err = measure(entries, o, dir)
	table.Progress("")
	rep.finish(rows(o.size))
	rep.printTable(os.Stdout) // what there is, also after an error
	if o.json != "" {
		err = errors.Join(err, rep.write(o.json))
	}
	return err
}

func measure(entries []entry, o options, dir string) error {
	for _, e := range entries {
		built, stripped, err := e.sizes(dir)
		if err != nil {
			return err
		}
		rep.add(e, figures{"size_built": built, "size_stripped": stripped})
	}
	if o.wants("up") && o.ups > 0 {
		if err := stock(entries, o, dir); err != nil {
			return err
		}
	}
	for round := range o.rounds {
		if err := swarms(entries, o, dir, round); err != nil {
			return err
		}
	}
	return nil
}

func stock(entries []entry, o options, dir string) error {
	if os.Getuid() != 0 {
		note("tailscale up was not measured: that needs root, for network namespaces")
		return nil
	}
	table.Progress("stock clients join")
	l, err := newLab(dir, o.ours, o.theirs)
	if err != nil {
		return err
	}
	defer l.free()
	return ups(l, entries, o.size, rep.add)
}

// swarms is one round. What Headscale cannot do in time is a note; coordd has to.
func swarms(entries []entry, o options, dir string, round int) error {
	for _, l := range loads(o.size) {
		if !o.wants(l.name) {
			continue
		}
		for i := range entries {
			e := entries[(i+round)%len(entries)]
			table.Progress("round %d of %d: %s: %s", round+1, o.rounds, l.name, e.name)
			fig := figures{}
			err := l.run(e, dir, o.size, fig)
			rep.add(e, fig)
			switch {
			case err != nil && e.isHeadscale():
				note("%s: %s: %v", e.name, l.name, err)
			case err != nil:
				return fmt.Errorf("%s: %s: %w", e.name, l.name, err)
			}
		}
	}
	return nil
}
