// Package proc says what a process costs, and prepares this one to have many connections.
package proc

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// CPU is the time that the process's threads have run, dead threads included.
//
// It comes from the process's CPU clock. /proc/PID/stat counts the same time, but in steps of 10 ms;
// /proc/PID/task/*/schedstat has nanoseconds too, but loses a thread's time when the thread ends, and Go's do.
// On loopback the time includes the receiving side's TCP work for what the process sends, as the kernel does it there.
func CPU(pid int) (time.Duration, error) {
	const schedClock = 2
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|schedClock), &ts); err != nil {
		return 0, fmt.Errorf("reading the server's CPU clock: %w", err)
	}
	return time.Duration(ts.Nano()), nil
}

// Meter takes CPU time from a starting point: a process's, our own, and everybody else's.
type Meter struct {
	pid                int
	at                 time.Time
	process, own, busy time.Duration
}

// Used is what a Meter has seen: CPU time of the process and of us, and how many cores were busy with something else.
type Used struct {
	Elapsed, Process, Own time.Duration
	Others                float64
}

func Start(pid int) (Meter, error) {
	process, err := CPU(pid)
	if err != nil {
		return Meter{}, err
	}
	busy, err := machineCPU()
	return Meter{pid, time.Now(), process, ownCPU(), busy}, err
}

func (m Meter) Read() (Used, error) {
	now, err := Start(m.pid)
	if err != nil {
		return Used{}, err
	}
	u := Used{Elapsed: now.at.Sub(m.at), Process: now.process - m.process, Own: now.own - m.own}
	others := max(0, now.busy-m.busy-u.Process-u.Own)
	u.Others = others.Seconds() / u.Elapsed.Seconds()
	return u, nil
}

func ownCPU() time.Duration {
	var ts unix.Timespec
	unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &ts)
	return time.Duration(ts.Nano())
}

// machineCPU is the time that all cores together were not idle, in steps of 10 ms.
func machineCPU() (time.Duration, error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	var user, nice, system, idle, iowait, irq, softirq, steal int64
	if _, err := fmt.Sscanf(string(b), "cpu %d %d %d %d %d %d %d %d",
		&user, &nice, &system, &idle, &iowait, &irq, &softirq, &steal); err != nil {
		return 0, fmt.Errorf("/proc/stat: %w", err)
	}
	return time.Duration(user+nice+system+irq+softirq+steal) * 10 * time.Millisecond, nil
}

// RSS is the resident memory in bytes. smaps_rollup walks the pages; the counters in statm and status are kept per
// CPU and may lag. Memory that the kernel holds for sockets is in neither.
func RSS(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, err
	}
	for sc := bufio.NewScanner(bytes.NewReader(b)); sc.Scan(); {
		if f := strings.Fields(sc.Text()); len(f) == 3 && f[0] == "Rss:" {
			kb, err := strconv.ParseInt(f[1], 10, 64)
			return kb << 10, err
		}
	}
	return 0, errors.New("smaps_rollup has no Rss line")
}

// SettledRSS waits until the memory has stayed within 0.5 % for a while. After patience it takes what is there.
func SettledRSS(pid int, while, patience time.Duration) (int64, error) {
	const step = 100 * time.Millisecond
	var first int64
	for stable, end := time.Duration(0), time.Now().Add(patience); ; stable += step {
		now, err := RSS(pid)
		if err != nil {
			return 0, err
		}
		if diff := max(now-first, first-now); diff*200 > first {
			first, stable = now, 0
		}
		if stable >= while || time.Now().After(end) {
			return now, nil
		}
		time.Sleep(step)
	}
}

// FreeAddr is a TCP address of loopback that nobody listens on.
func FreeAddr() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer ln.Close()
	return ln.Addr().String(), nil
}

// RaiseFiles lifts the soft limit on open files. Set explicitly it also holds for the children; the lift that Go's
// runtime does by itself is undone for them.
func RaiseFiles(need int) error {
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err != nil {
		return err
	}
	if r.Max < uint64(need) {
		return fmt.Errorf("the hard limit on open files is %d, need %d: raise it (ulimit -Hn)", r.Max, need)
	}
	r.Cur = r.Max
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &r)
}
